//! Which application uses which paths, at which versions: what rotation watches. Kept as the agent's state on the bus, so that a
//! restarted agent goes on where the last one was.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bus::message::state::AgentState;
use bus::subject::{self, Bucket};
use bus::{AppId, Bus, BusError, ClusterId, Generation, Update};
use tokio_util::sync::CancellationToken;

use crate::policy::SecretPath;

/// The paths of one application whose newest version it uses, at its generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) generation: Generation,
    pub(crate) paths: BTreeMap<SecretPath, Option<u64>>,
}

#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<AppId, Use>>);

/// An application whose path has another version than it uses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outdated {
    pub(crate) app: AppId,
    pub(crate) generation: Generation,
    pub(crate) version: u64,
}

impl Uses {
    pub(crate) fn put(&self, app: &AppId, used: Use) {
        self.lock().insert(app.clone(), used);
    }

    pub(crate) fn remove(&self, app: &AppId) {
        self.lock().remove(app);
    }

    /// Every path in use, once.
    pub(crate) fn paths(&self) -> Vec<SecretPath> {
        let mut paths: Vec<SecretPath> = self
            .lock()
            .values()
            .flat_map(|used| used.paths.iter())
            .filter(|(_, version)| version.is_some())
            .map(|(path, _)| path.clone())
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Takes note that `path` is at `newest`: who used another version, each told once.
    pub(crate) fn rotate(&self, path: &SecretPath, newest: u64) -> Vec<Outdated> {
        let mut outdated: Vec<Outdated> = self
            .lock()
            .iter_mut()
            .filter_map(|(app, used)| {
                let version = used.paths.get_mut(path)?.as_mut()?;
                let before = std::mem::replace(version, newest);
                (before != newest).then(|| Outdated {
                    app: app.clone(),
                    generation: used.generation,
                    version: before,
                })
            })
            .collect();
        outdated.sort_by(|one, two| one.app.cmp(&two.app));
        outdated
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AppId, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(uses.paths(), [path("kv/data/x"), path("kv/data/y")]);
        uses.remove(&app("a"));
        assert_eq!(uses.paths(), [path("kv/data/x")]);
    }

    #[test]
    fn each_user_of_a_rotated_path_is_told_once() {
        let uses = Uses::default();
        uses.put(&app("a"), used(&[("kv/data/x", Some(1))]));
        uses.put(&app("b"), used(&[("kv/data/x", Some(2))]));
        uses.put(&app("c"), used(&[("kv/data/y", Some(1))]));
        let told = uses.rotate(&path("kv/data/x"), 2);
        assert_eq!(
            told,
            [Outdated {
                app: app("a"),
                generation: Generation(1),
                version: 1
            }]
        );
        assert_eq!(uses.rotate(&path("kv/data/x"), 2), []);
        assert_eq!(uses.rotate(&path("kv/data/x"), 3).len(), 2);
    }
}
