//! Which application uses which paths, at which versions: what rotation watches. Kept as the agent's state on the bus, so that a
//! restarted agent goes on where the last one was.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bus::message::state::AgentState;
use bus::subject::{self, Bucket};
use bus::{AppId, Bus, BusError, ClusterId, Generation, Update};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::policy::SecretPath;

/// The paths whose newest version one application uses, at its generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) generation: Generation,
    pub(crate) paths: BTreeMap<SecretPath, Option<u64>>,
}

impl Use {
    pub(crate) fn state(&self, app: &AppId, cluster: &ClusterId) -> AgentState {
        AgentState {
            app: app.clone(),
            cluster: cluster.clone(),
            generation: self.generation,
            paths: self
                .paths
                .iter()
                .map(|(path, version)| (path.to_string(), *version))
                .collect(),
            conditions: Vec::new(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Uses {
    known: Mutex<HashMap<AppId, Use>>,
    added: Notify,
}

/// An application that was given another version of a path than there is now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outdated {
    pub(crate) app: AppId,
    /// The version that it was given.
    pub(crate) version: u64,
    /// With the version that there is now.
    pub(crate) used: Use,
}

impl Uses {
    /// As another replica or an earlier life of the agent wrote it.
    fn put(&self, app: &AppId, used: Use) {
        self.lock().insert(app.clone(), used);
        self.added.notify_one();
    }

    /// Until an application was put or given something since the last call that returned.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// What `app` was given just now. A request may be for some of its objects alone, so that paths given for the same generation
    /// before stay in use. Returns all of them.
    pub(crate) fn given(&self, app: &AppId, mut used: Use) -> Use {
        let mut known_uses = self.lock();
        if let Some(known) = known_uses.get(app)
            && known.generation == used.generation
        {
            for (path, version) in &known.paths {
                used.paths.entry(path.clone()).or_insert(*version);
            }
        }
        known_uses.insert(app.clone(), used.clone());
        self.added.notify_one();
        used
    }

    pub(crate) fn remove(&self, app: &AppId) {
        self.lock().remove(app);
    }

    /// Every path in use, once, with an application that uses it.
    pub(crate) fn paths(&self) -> BTreeMap<SecretPath, AppId> {
        let known = self.lock();
        let mut paths: BTreeMap<SecretPath, AppId> = BTreeMap::new();
        for (app, used) in known.iter() {
            for (path, version) in &used.paths {
                if version.is_some() {
                    paths.entry(path.clone()).or_insert_with(|| app.clone());
                }
            }
        }
        paths
    }

    /// Who uses another version of `path` than `newest`.
    pub(crate) fn outdated(&self, path: &SecretPath, newest: u64) -> Vec<Outdated> {
        let mut outdated: Vec<Outdated> = self
            .lock()
            .iter()
            .filter_map(|(app, used)| {
                let version = (*used.paths.get(path)?)?;
                if version == newest {
                    return None;
                }
                let mut used = used.clone();
                used.paths.insert(path.clone(), Some(newest));
                Some(Outdated {
                    app: app.clone(),
                    version,
                    used,
                })
            })
            .collect();
        outdated.sort_by(|one, two| one.app.cmp(&two.app));
        outdated
    }

    /// `app` was told that `path` is at `newest`.
    pub(crate) fn told(&self, app: &AppId, path: &SecretPath, newest: u64) {
        if let Some(version) = self
            .lock()
            .get_mut(app)
            .and_then(|used| used.paths.get_mut(path))
        {
            *version = Some(newest);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AppId, Use>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the agent's own state, which another replica or an earlier life of this one may have written.
pub(crate) async fn follow(
    bus: Bus,
    cluster: ClusterId,
    uses: Arc<Uses>,
    token: CancellationToken,
) -> Result<(), BusError> {
    let own = format!("{}.{cluster}.>", crate::SERVICE);
    let mut watch = bus.watch_bucket::<AgentState>(Bucket::State, &own);
    while let Some(update) = token.run_until_cancelled(watch.next()).await {
        match update {
            Update::Put(stored) => {
                let AgentState {
                    app,
                    generation,
                    paths,
                    ..
                } = stored.value;
                // What an older agent wrote passes the checks of this one, or isn't asked for.
                let paths = paths
                    .into_iter()
                    .filter_map(|(path, version)| Some((SecretPath::parse(&path).ok()?, version)))
                    .collect();
                uses.put(&app, Use { generation, paths });
            }
            Update::Deleted { subject } => {
                if let Some((_, app)) = subject::parse_application(&subject) {
                    uses.remove(&app);
                }
            }
            Update::Ready => {}
            Update::Unreadable { subject, error } => {
                tracing::warn!(subject, error, "an unreadable state is ignored");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> SecretPath {
        SecretPath::parse(text).unwrap()
    }

    fn app(name: &str) -> AppId {
        AppId::new("argocd", name).unwrap()
    }

    fn used(paths: &[(&str, Option<u64>)]) -> Use {
        Use {
            generation: Generation(1),
            paths: paths
                .iter()
                .map(|(text, version)| (path(text), *version))
                .collect(),
        }
    }

    #[test]
    fn a_path_in_use_by_many_is_asked_for_once() {
        let uses = Uses::default();
        uses.put(
            &app("a"),
            used(&[("kv/data/x", Some(1)), ("kv/data/y", Some(1))]),
        );
        uses.put(&app("b"), used(&[("kv/data/x", Some(1)), ("old/z", None)]));
        let paths = || uses.paths().into_keys().collect::<Vec<_>>();
        assert_eq!(paths(), [path("kv/data/x"), path("kv/data/y")]);
        uses.remove(&app("a"));
        assert_eq!(paths(), [path("kv/data/x")]);
    }

    #[test]
    fn who_was_told_of_a_rotated_path_is_not_told_again() {
        let uses = Uses::default();
        uses.put(&app("a"), used(&[("kv/data/x", Some(1))]));
        uses.put(&app("b"), used(&[("kv/data/x", Some(2))]));
        uses.put(&app("c"), used(&[("kv/data/y", Some(1))]));
        let outdated = uses.outdated(&path("kv/data/x"), 2);
        assert_eq!(
            outdated,
            [Outdated {
                app: app("a"),
                version: 1,
                used: used(&[("kv/data/x", Some(2))]),
            }]
        );
        uses.told(&app("a"), &path("kv/data/x"), 2);
        assert_eq!(uses.outdated(&path("kv/data/x"), 2), []);
        assert_eq!(uses.outdated(&path("kv/data/x"), 3).len(), 2);
    }

    #[test]
    fn a_request_for_some_objects_does_not_forget_what_the_others_use() {
        let uses = Uses::default();
        uses.given(
            &app("a"),
            used(&[("kv/data/x", Some(1)), ("kv/data/y", Some(1))]),
        );
        let all = uses.given(&app("a"), used(&[("kv/data/x", Some(2))]));
        assert_eq!(all, used(&[("kv/data/x", Some(2)), ("kv/data/y", Some(1))]));
        let newer = Use {
            generation: Generation(2),
            ..used(&[("kv/data/x", Some(2))])
        };
        assert_eq!(uses.given(&app("a"), newer.clone()), newer);
    }
}
