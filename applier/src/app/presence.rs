//! What is live of an application's objects: from the cache, and by one GET for each object that the cache lacks.

use std::collections::HashSet;

use futures::future::join_all;

use super::App;
use super::target::Target;
use crate::cluster::ClusterError;
use crate::execute::resolve_kind;
use crate::health::Health;
use crate::live::{Claim, Entry, Look, Owner};
use crate::object::Key;
use crate::plan::{Facts, Presence, Presences};
use crate::secrets::{Placement, Words};

#[derive(Debug, thiserror::Error)]
#[error("reading {key}")]
pub(crate) struct LookError {
    pub(crate) key: Key,
    pub(crate) source: ClusterError,
}

impl App {
    /// Whether the watches of all kinds that the target and the inventory have were listed; starts those that aren't running.
    pub(super) fn watched(&self, target: Option<&Target>) -> bool {
        let kinds = self.ctx.kinds.get();
        let mut all = true;
        let of_target = target
            .iter()
            .flat_map(|target| &target.manifests)
            .map(|manifest| (&manifest.key, &manifest.version));
        let of_record = self
            .record
            .iter()
            .flat_map(|record| &record.inventory)
            .map(|(key, item)| (key, &item.version));
        let mut seen = HashSet::new();
        for (key, version) in of_target.chain(of_record) {
            if !seen.insert((&key.group, &key.kind)) {
                continue;
            }
            let kind = kinds
                .exact(&key.group, version, &key.kind)
                .or_else(|| kinds.preferred(&key.group, &key.kind));
            if let Some(kind) = kind {
                all &= self.ctx.watches.ensure(kind);
            }
        }
        all
    }

    /// Every object of the targets and the inventory.
    pub(super) async fn presences(
        &self,
        targets: [Option<&Target>; 2],
        owner: Owner<'_>,
    ) -> Result<Presences, LookError> {
        let of_targets = targets
            .into_iter()
            .flatten()
            .flat_map(|target| &target.manifests)
            .map(|manifest| (&manifest.key, &manifest.version));
        let of_record = self
            .record
            .iter()
            .flat_map(|record| &record.inventory)
            .map(|(key, item)| (key, &item.version));
        let mut presences = Presences::new();
        let mut unknown = Vec::new();
        for (key, version) in of_targets.chain(of_record) {
            if presences.contains_key(key) {
                continue;
            }
            let presence = match self.ctx.live.look(key) {
                Look::Unknown => {
                    unknown.push((key, version));
                    Presence::Absent
                }
                Look::Absent => Presence::Absent,
                Look::Present(entry) => self.presence(key, &entry, owner),
            };
            presences.insert(key.clone(), presence);
        }
        // Bounded by the client's requests in flight.
        let fetched = join_all(unknown.into_iter().map(|(key, version)| async move {
            // A kind that the cluster no longer has has no objects.
            let Some(kind) = resolve_kind(&self.ctx, key, Some(version)) else {
                return Ok(key);
            };
            match self.ctx.cluster.get(&kind, key).await {
                Ok(Some(object)) => self.ctx.live.found(key, object),
                Ok(None) => self.ctx.live.found_absent(key),
                Err(source) => {
                    return Err(LookError {
                        key: key.clone(),
                        source,
                    });
                }
            }
            Ok(key)
        }))
        .await;
        for key in fetched {
            let key = key?;
            if let Look::Present(entry) = self.ctx.live.look(key) {
                presences.insert(key.clone(), self.presence(key, &entry, owner));
            }
        }
        let repeating = self.repeating(targets);
        withhold(&mut presences, &repeating);
        Ok(presences)
    }

    /// Objects that a secret was put into, or will be, where controllers, kubelets and scripts may repeat it in what they say.
    fn repeating(&self, targets: [Option<&Target>; 2]) -> HashSet<Key> {
        let manifests = targets
            .into_iter()
            .flatten()
            .flat_map(|target| &target.manifests)
            .filter(|manifest| manifest.placeholders == Placement::Elsewhere)
            .map(|manifest| &manifest.key);
        let before = self
            .applied
            .iter()
            .filter(|(key, applied)| applied.resolved.is_some() && !key.is_secret())
            .map(|(key, _)| key);
        manifests.chain(before).cloned().collect()
    }

    /// Objects without our label are watched in their namespace as long as one of them is there: before their first release, and
    /// when they leave without one.
    pub(super) fn watch_strangers(&self, live: &Presences) {
        for key in self.ctx.live.strangers(live.keys()) {
            if let Some(kind) = resolve_kind(&self.ctx, key, None) {
                self.ctx.live.interest(key, &self.hash);
                self.ctx.watches.ensure_in(&kind, &key.namespace);
            }
        }
    }

    fn presence(&self, key: &Key, entry: &Entry, owner: Owner<'_>) -> Presence {
        let proven = match owner.claim(key, entry) {
            Claim::Ours => true,
            Claim::Nobodys => false,
            Claim::Others(name) => {
                // Before it is asked, so that nothing is missed.
                self.ctx.live.interest(key, &self.hash);
                if !self.ctx.wanted.is_let_go(key, entry.hash.as_deref(), &name) {
                    return Presence::Others(name);
                }
                false
            }
        };
        let successor = self.ctx.wanted.other(key, &self.hash);
        Presence::Present(Facts {
            uid: entry.uid.clone(),
            proven,
            drifted: entry.drift.is_some(),
            deleting: entry.deleting,
            health: explained(entry),
            words: Words::Shown,
            attempt: entry.attempt.clone(),
            holds: None,
            successor: successor.map(|app| app.to_string().into()),
        })
    }
}

/// Of objects that may repeat a secret only the status is shown.
fn withhold(presences: &mut Presences, repeating: &HashSet<Key>) {
    for key in repeating {
        let Some(Presence::Present(facts)) = presences.get_mut(key) else {
            continue;
        };
        facts.words = Words::Withheld;
        if let Some(health) = &mut facts.health {
            health.message = facts.words.of(&health.message).to_owned();
        }
    }
}

/// The health, with the reason of the worst pod where one was found.
fn explained(entry: &Entry) -> Option<Health> {
    let mut health = entry.health.clone()?;
    if let Some(reason) = &entry.pod_reason {
        health.message = match health.message.as_str() {
            "" => reason.to_string(),
            message => format!("{reason} ({message})"),
        };
    }
    Some(health)
}
