//! Rotation: a store has other versions of secrets than those that objects were made with. What is due is told by comparing what was
//! applied with what the agent saw last, so neither a lost message nor a crash loses it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus::message::state::AgentState;

use super::App;
use super::release::Reason;
use super::target::Target;
use super::unchanged;
use crate::object::Manifest;
use crate::plan::Presences;
use crate::secrets::{Given, Versions, body};
use crate::store::{Applied, AppliedMap};

/// What is known of the versions of an application's secrets.
#[derive(Default)]
pub(super) struct Rotation {
    /// By path, as the agent saw them last.
    newest: Versions,
    /// Those of `newest` that were resolved already. What was given may be newer still, of which the agent tells later.
    seen: Versions,
}

/// The versions, other than those that the objects were made with, that their paths have now. What another manifest was made with
/// doesn't count: its next release resolves it anyway.
fn due(manifests: &[Manifest], applied: &AppliedMap, newest: &Versions) -> Versions {
    manifests
        .iter()
        .filter(|manifest| manifest.has_references() && manifest.hook.is_none())
        .filter_map(|manifest| {
            applied
                .get(&manifest.key)
                .filter(|applied| applied.manifest == manifest.digest)
        })
        .flat_map(|applied| outdated(applied, newest))
        .collect()
}

fn outdated<'a>(
    applied: &'a Applied,
    newest: &'a Versions,
) -> impl Iterator<Item = (String, u64)> + 'a {
    applied.versions.iter().filter_map(|(path, version)| {
        let now = *newest.get(path)?;
        (now != *version).then(|| (path.clone(), now))
    })
}

/// Those of `versions` that a manifest uses.
pub(super) fn used(manifest: &Manifest, versions: &Versions) -> Versions {
    let mut references = BTreeSet::new();
    if versions.is_empty()
        || body::references(
            &manifest.body.value(),
            manifest.filled.as_deref(),
            &mut references,
        )
        .is_err()
    {
        return Versions::new();
    }
    references
        .into_iter()
        .filter(|reference| reference.version.is_none())
        .filter_map(|reference| {
            let version = *versions.get(&reference.path)?;
            Some((reference.path, version))
        })
        .collect()
}

/// The agent says `kv/data/shop` of what is written `kv/shop`, too. Where that could mean another path, a needless question follows.
fn with_short_forms(mut newest: Versions) -> Versions {
    const DATA: &str = "/data/";
    let short: Vec<(String, u64)> = newest
        .iter()
        .flat_map(|(path, version)| {
            path.match_indices(DATA).map(move |(at, _)| {
                (
                    format!("{}/{}", &path[..at], &path[at + DATA.len()..]),
                    *version,
                )
            })
        })
        .collect();
    for (path, version) in short {
        newest.entry(path).or_insert(version);
    }
    newest
}

impl App {
    pub(super) fn take_versions(&mut self, state: AgentState) {
        let newest = with_short_forms(
            state
                .paths
                .into_iter()
                .filter_map(|(path, version)| Some((path, version?)))
                .collect(),
        );
        let known = std::mem::replace(&mut self.rotation.newest, newest);
        let newest = &self.rotation.newest;
        self.rotation
            .seen
            .retain(|path, version| newest.get(path) == Some(version));
        let news = !known.is_empty() && known != *newest;
        let Some(target) = self.target.clone().filter(|_| news) else {
            return;
        };
        // Whatever failed with the old values may go well with the new ones, unless it was ended for good.
        if !self.rotated(&target).is_empty()
            && let Some(failure) = self
                .record
                .as_mut()
                .and_then(|record| record.failure.as_mut())
            && failure.ended.is_none()
        {
            failure.attempts = 0;
            failure.time = 0;
        }
    }

    /// The paths of which something live has another version than there is, with that version.
    pub(super) fn rotated(&self, target: &Target) -> Versions {
        let Rotation { newest, seen } = &self.rotation;
        let mut due = due(&target.manifests, &self.applied, newest);
        due.retain(|path, version| seen.get(path) != Some(version));
        due
    }

    /// Whether an object is live with other values than it would get now.
    pub(super) fn is_outdated(&self, manifest: &Manifest, rotated: &Versions) -> bool {
        !rotated.is_empty()
            && self
                .applied
                .get(&manifest.key)
                .is_some_and(|applied| outdated(applied, rotated).next().is_some())
    }

    /// Resolves anew, and releases the objects whose values changed. Whether anything came of it.
    pub(super) async fn rotate(&mut self, target: Arc<Target>, live: &Presences) -> bool {
        let rotated = self.rotated(&target);
        let given = match self.resolve(&target).await {
            Ok(given) => given,
            Err((message, kind)) => {
                self.not_started(&target, None, &message, kind);
                return true;
            }
        };
        let unchanged = self.unchanged(&target, &given);
        let objects: Vec<String> = target
            .manifests
            .iter()
            .zip(&unchanged)
            .filter(|(manifest, unchanged)| {
                manifest.has_references() && manifest.hook.is_none() && !**unchanged
            })
            .map(|(manifest, _)| manifest.key.path())
            .collect();
        if objects.is_empty() && self.restarts_due(&target).is_empty() {
            self.nothing_rotated(&target, rotated).await;
            return true;
        }
        let paths = if rotated.is_empty() {
            self.paths_of_restarts(&target)
        } else {
            rotated.into_keys().collect()
        };
        let reason = Reason::Rotated { paths, objects };
        self.begin(target, live, given, &unchanged, reason).await
    }

    /// Another key of the path changed, or the value is the same.
    async fn nothing_rotated(&mut self, target: &Target, rotated: Versions) {
        self.rotation.seen.extend(rotated);
        if let Some(record) = &mut self.record {
            record.failure = record
                .failure
                .take()
                .filter(|failure| failure.generation != target.generation || !failure.early);
        }
        self.trouble = None;
        self.save(None).await;
    }

    /// By manifest: whether what is live was made of it and of these values. Those are then known to be of these versions.
    pub(super) fn unchanged(&mut self, target: &Target, given: &Given) -> Vec<bool> {
        let unchanged = unchanged::with_secrets(
            &target.manifests,
            &self.applied,
            &given.values,
            &self.ctx.digest_key,
        );
        for (manifest, _) in target
            .manifests
            .iter()
            .zip(&unchanged)
            .filter(|(manifest, unchanged)| manifest.has_references() && **unchanged)
        {
            if let Some(applied) = self.applied.get_mut(&manifest.key) {
                applied.versions = used(manifest, &given.versions);
                applied.contents =
                    unchanged::contents_digest(manifest, &given.values, &self.ctx.digest_key);
            }
        }
        unchanged
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::drift::{Mask, Reference};
    use crate::object::{Body, Key, Options};

    fn manifest(name: &str, body: &Value) -> Manifest {
        Manifest {
            key: Key::new("", "Secret", "shop", name),
            version: "v1".into(),
            placeholders: crate::secrets::Placement::of(body),
            filled: None,
            body: Body::from(body),
            digest: "d".into(),
            wave: 0,
            hook: None,
            options: Options::default(),
        }
    }

    fn secret(name: &str) -> Manifest {
        let data =
            json!({"a": "<path:kv/data/a#p>", "b": "<path:kv/data/b#p#3>", "c": "<path:k8s/c#p>"});
        manifest(
            name,
            &json!({"apiVersion": "v1", "kind": "Secret", "stringData": data}),
        )
    }

    fn versions(of: &[(&str, u64)]) -> Versions {
        of.iter()
            .map(|(path, version)| ((*path).to_owned(), *version))
            .collect()
    }

    fn applied(manifest: &Manifest, versions: Versions) -> AppliedMap {
        let applied = Applied {
            manifest: manifest.digest.clone(),
            resolved: None,
            versions,
            contents: None,
            began_with: None,
            reference: Arc::new(Reference::of(&json!({}), "towline", &Mask::default())),
            client_side: None,
        };
        [(manifest.key.clone(), applied)].into()
    }

    #[test]
    fn a_manifest_uses_the_paths_whose_newest_version_it_asks_for() {
        let all = versions(&[("kv/data/a", 2), ("kv/data/b", 7), ("elsewhere", 1)]);
        assert_eq!(used(&secret("s"), &all), versions(&[("kv/data/a", 2)]));
    }

    #[test]
    fn a_path_counts_in_its_short_form_unless_that_is_one_of_its_own() {
        let told = versions(&[
            ("kv/data/shop", 3),
            ("a/b/data/c", 1),
            ("kv/x", 7),
            ("kv/data/x", 2),
        ]);
        let newest = with_short_forms(told);
        for (path, version) in [
            ("kv/shop", 3),
            ("kv/data/shop", 3),
            ("a/b/c", 1),
            ("kv/x", 7),
        ] {
            assert_eq!(newest.get(path), Some(&version), "{path}");
        }
    }

    #[test]
    fn another_version_than_was_applied_is_due_be_it_older() {
        let manifests = [secret("s")];
        let live = applied(&manifests[0], versions(&[("kv/data/a", 2), ("k8s/c", 9)]));
        let due = |newest: &[(&str, u64)]| due(&manifests, &live, &versions(newest));
        assert_eq!(due(&[("kv/data/a", 2), ("elsewhere", 5)]), Versions::new());
        assert_eq!(
            due(&[("kv/data/a", 3), ("k8s/c", 9)]),
            versions(&[("kv/data/a", 3)])
        );
        // Deleted with all its history, and made anew.
        assert_eq!(due(&[("kv/data/a", 1)]), versions(&[("kv/data/a", 1)]));
    }

    #[test]
    fn what_was_made_of_another_manifest_is_not_due() {
        let manifests = [secret("s")];
        let mut live = applied(&manifests[0], versions(&[("kv/data/a", 2)]));
        for applied in live.values_mut() {
            applied.manifest = "other".into();
        }
        assert_eq!(
            due(&manifests, &live, &versions(&[("kv/data/a", 3)])),
            Versions::new()
        );
    }
}
