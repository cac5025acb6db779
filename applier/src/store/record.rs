//! What is remembered of one application.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::message::desired::Present;
use bus::message::state::{HistoryEntry, Operation, Pin, ReleaseCause};
use bus::{AppId, Digest, Generation, ReleaseId};
use serde::{Deserialize, Serialize};

use crate::drift::Reference;
use crate::object::Key;
use crate::plan::{HookProgress, Item};
use crate::secrets::Versions;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) app: AppId,
    /// UID of the `Application` object that the inventory belongs to.
    pub(crate) uid: String,
    /// The highest generation that was released.
    pub(crate) head: Generation,
    /// The last release that began.
    pub(crate) release: ReleaseId,
    /// Failed attempts of the generation at hand.
    #[serde(default)]
    pub(crate) failure: Option<Failure>,
    #[serde(default)]
    pub(crate) pin: Option<Pin>,
    /// What was wanted when it was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pinned_over: Option<Wanted>,
    /// A failed release that was gone back from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Refused>,
    #[serde(with = "pairs")]
    pub(crate) inventory: BTreeMap<Key, Item>,
    /// Newest last.
    pub(crate) history: Vec<HistoryEntry>,
    /// The manifests that were applied last, at which generation.
    #[serde(default)]
    pub(crate) live: Option<(Generation, Digest)>,
    /// The desired state that was released last: policy, tracking and destination while the broker has nothing.
    #[serde(default)]
    pub(crate) desired: Option<Arc<Present>>,
    /// Ids of the last commands carried out, oldest first.
    #[serde(default)]
    pub(crate) commands: Vec<String>,
    /// Hooks of the last attempt that its policies delete; done again after a crash.
    #[serde(default)]
    pub(crate) hooks_to_delete: Vec<Key>,
    #[serde(default)]
    pub(crate) operation: Option<Operation>,
    /// How far the running attempt has come with its hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) progress: Option<HookProgress>,
    /// Deletions that a person has been asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<Asked>,
    /// What was last written of the destination's namespace, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<Box<str>>,
}

/// A release left objects where they are until a person agrees that they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    /// The manifests that the objects aren't in: the word counts for no others.
    pub(crate) manifests: Digest,
    /// Unix milliseconds: an earlier word doesn't count.
    pub(crate) since: u64,
}

/// An attempt that failed, so that it isn't tried again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) generation: Generation,
    pub(crate) attempts: u32,
    pub(crate) message: String,
    /// Unix milliseconds.
    pub(crate) time: u64,
    /// Whether only the health of what is applied was wrong.
    #[serde(default)]
    pub(crate) unhealthy: bool,
    /// Whether nothing was applied, since something that the release needs couldn't be had.
    #[serde(default)]
    pub(crate) early: bool,
    /// Whether it was of rotated secrets: it had no hooks that could be what is left to do.
    #[serde(default)]
    pub(crate) rotated: bool,
    /// Why it isn't tried again, whatever the retry policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<Ended>,
}

/// What ended a release for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ended {
    /// A person.
    Terminated,
    /// It took longer than `towline.dev/sync-timeout`.
    TimedOut,
}

/// A release that failed, and that isn't released again until a newer one comes or a person asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refused {
    pub(crate) generation: Generation,
    pub(crate) digest: Digest,
    pub(crate) revisions: Vec<String>,
    /// The release that was gone back to.
    pub(crate) to: ReleaseId,
    /// When the release that failed began, Unix milliseconds.
    pub(crate) began: u64,
    pub(crate) why: String,
}

impl Refused {
    /// Whether this is newer, and something else: the same manifests under a newer generation would fail alike.
    pub(crate) fn is_overcome_by(&self, generation: Generation, digest: &Digest) -> bool {
        generation > self.generation && *digest != self.digest
    }
}

/// What an application should be at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wanted {
    pub(crate) generation: Generation,
    pub(crate) digest: Digest,
    pub(crate) revisions: Vec<String>,
}

impl Wanted {
    /// Whether `other` is of newer revisions: not merely published again, nor another policy or parameter of the same ones.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        other.generation > self.generation
            && other.revisions != self.revisions
            && other.digest != self.digest
    }
}

/// How many commands are remembered.
const COMMANDS: usize = 32;

impl Record {
    pub(crate) fn new(app: AppId, uid: String) -> Self {
        Self {
            app,
            uid,
            head: Generation(0),
            release: ReleaseId(0),
            failure: None,
            pin: None,
            pinned_over: None,
            refused: None,
            inventory: BTreeMap::new(),
            history: Vec::new(),
            live: None,
            desired: None,
            commands: Vec::new(),
            hooks_to_delete: Vec::new(),
            operation: None,
            progress: None,
            asked: None,
            namespace: None,
        }
    }

    pub(crate) fn knows_command(&self, id: &str) -> bool {
        self.commands.iter().any(|known| known == id)
    }

    pub(crate) fn remember_command(&mut self, id: &str) {
        if self.knows_command(id) {
            return;
        }
        self.commands.push(id.to_owned());
        if self.commands.len() > COMMANDS {
            self.commands.remove(0);
        }
    }

    /// Ids of releases whose manifests are still needed: the history, the pin, what is live.
    pub(crate) fn digests(&self) -> std::collections::BTreeSet<Digest> {
        self.history
            .iter()
            .map(|entry| entry.digest.clone())
            .chain(self.live.iter().map(|(_, digest)| digest.clone()))
            .collect()
    }

    /// The release to go back to: the one with this id, or the last healthy one that isn't live.
    pub(crate) fn way_back(&self, release: Option<ReleaseId>) -> Result<&HistoryEntry, String> {
        let mut history = self.history.iter();
        if let Some(id) = release {
            return history.find(|entry| entry.release == id).ok_or_else(|| {
                format!("release {id} is not in the history ({})", self.releases())
            });
        }
        let live = self.live.as_ref().map(|(_, digest)| digest);
        history
            .rfind(|entry| entry.healthy && Some(&entry.digest) != live)
            .ok_or_else(|| "no healthy release before the current one is in the history".to_owned())
    }

    fn releases(&self) -> String {
        let ids = self.history.iter().map(|entry| entry.release.to_string());
        let ids: Vec<String> = ids.collect();
        if ids.is_empty() {
            "which is empty".to_owned()
        } else {
            format!("which has {}", ids.join(", "))
        }
    }

    /// The newest release that was seen healthy.
    pub(crate) fn last_healthy(&self) -> Option<&HistoryEntry> {
        self.history.iter().rev().find(|entry| entry.healthy)
    }

    /// A newer release is under way: the refusal of an older one is over.
    pub(crate) fn overcome(&mut self, generation: Generation, digest: &Digest) {
        if self
            .refused
            .as_ref()
            .is_some_and(|refused| refused.is_overcome_by(generation, digest))
        {
            self.refused = None;
        }
    }

    /// Adds a release to the history, and drops what is over the limit; what one is held at or can go back to stays. Of rotations one
    /// after another only the last is kept, since they are the same to go back to, and would push out what isn't.
    pub(crate) fn add_history(&mut self, entry: HistoryEntry, limit: usize) {
        let pinned = self.pin.as_ref().map(|pin| pin.release);
        let rotated =
            |entry: &HistoryEntry| matches!(entry.cause, ReleaseCause::SecretRotated { .. });
        if self.history.last().is_some_and(|last| {
            rotated(last)
                && rotated(&entry)
                && last.digest == entry.digest
                && Some(last.release) != pinned
        }) {
            self.history.pop();
        }
        self.history.push(entry);
        let stay = [
            pinned,
            self.refused.as_ref().map(|refused| refused.to),
            self.last_healthy().map(|entry| entry.release),
        ];
        while self.history.len() > limit.max(1) {
            let Some(at) = self
                .history
                .iter()
                .take(self.history.len() - 1)
                .position(|entry| !stay.contains(&Some(entry.release)))
            else {
                break;
            };
            self.history.remove(at);
        }
    }
}

/// What was applied of one object, and how the server answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// Digest of the manifest before secrets.
    #[serde(rename = "d")]
    pub(crate) manifest: Box<str>,
    /// Keyed digest of the manifest with its secrets, where it has any.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(crate) resolved: Option<Box<str>>,
    /// The versions that its secrets had.
    #[serde(rename = "v", default, skip_serializing_if = "Versions::is_empty")]
    pub(crate) versions: Versions,
    /// Keyed digest of a Secret's values, where it has any of a store.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub(crate) contents: Option<Box<str>>,
    /// Of a workload that restarts when they change: keyed digest of the Secrets that its pods began with.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub(crate) began_with: Option<Box<str>>,
    #[serde(rename = "r")]
    pub(crate) reference: Arc<Reference>,
    /// Applied client-side, and why.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_side: Option<String>,
}

pub(crate) type AppliedMap = BTreeMap<Key, Applied>;

/// A map with structured keys, as JSON has it.
pub(super) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_remembered_once_and_not_for_ever() {
        let mut record = Record::new(AppId::new("argocd", "web").unwrap(), "u".to_owned());
        for at in 0..100 {
            record.remember_command(&at.to_string());
            record.remember_command(&at.to_string());
        }
        assert!(record.knows_command("99") && !record.knows_command("0"));
        assert_eq!(record.commands.len(), COMMANDS);
    }

    fn released(release: u64, healthy: bool) -> HistoryEntry {
        HistoryEntry {
            release: ReleaseId(release),
            generation: Generation(release),
            digest: Digest::of(&release.to_le_bytes()),
            revisions: Vec::new(),
            commits: Vec::new(),
            sources: Vec::new(),
            cause: bus::message::state::ReleaseCause::Automated,
            started: 0,
            finished: 0,
            healthy,
        }
    }

    fn kept(record: &Record) -> Vec<u64> {
        record.history.iter().map(|entry| entry.release.0).collect()
    }

    #[test]
    fn the_last_healthy_release_outlives_the_histories_limit() {
        let mut record = Record::new(AppId::new("argocd", "web").unwrap(), "u".to_owned());
        for (release, healthy) in [(1, true), (2, true), (3, false), (4, false)] {
            record.add_history(released(release, healthy), 1);
        }
        assert_eq!(kept(&record), [2, 4]);
        assert_eq!(
            record.last_healthy().map(|entry| entry.release),
            Some(ReleaseId(2))
        );
    }

    #[test]
    fn the_same_manifests_stay_refused_under_a_newer_generation() {
        let mut record = Record::new(AppId::new("argocd", "web").unwrap(), "u".to_owned());
        let (bad, other) = (Digest::of(b"bad"), Digest::of(b"other"));
        record.refused = Some(Refused {
            generation: Generation(5),
            digest: bad.clone(),
            revisions: Vec::new(),
            to: ReleaseId(1),
            began: 0,
            why: String::new(),
        });
        record.overcome(Generation(6), &bad);
        // What is gone back to is older.
        record.overcome(Generation(4), &other);
        assert!(record.refused.is_some());
        record.overcome(Generation(6), &other);
        assert!(record.refused.is_none());
    }

    fn same(release: u64, cause: ReleaseCause) -> HistoryEntry {
        HistoryEntry {
            digest: Digest::of(b"same"),
            cause,
            ..released(release, true)
        }
    }

    #[test]
    fn rotations_do_not_push_out_what_one_can_go_back_to() {
        let rotated = || ReleaseCause::SecretRotated {
            paths: vec!["kv/a".to_owned()],
        };
        let mut record = Record::new(AppId::new("argocd", "web").unwrap(), "u".to_owned());
        record.add_history(same(1, ReleaseCause::Automated), 3);
        for release in 2..20 {
            record.add_history(same(release, rotated()), 3);
        }
        record.pin = Some(Pin {
            release: ReleaseId(19),
            user: "a".to_owned(),
            since: 0,
            until: bus::message::state::PinUntil::Unpinned,
        });
        record.add_history(same(20, rotated()), 3);
        assert_eq!(kept(&record), [1, 19, 20]);
    }

    #[test]
    fn the_pinned_release_outlives_the_histories_limit() {
        let mut record = Record::new(AppId::new("argocd", "web").unwrap(), "u".to_owned());
        record.pin = Some(Pin {
            release: ReleaseId(1),
            user: "a".to_owned(),
            since: 0,
            until: bus::message::state::PinUntil::Unpinned,
        });
        for at in 1..=5 {
            record.add_history(released(at, true), 2);
        }
        assert_eq!(kept(&record), [1, 5]);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
