//! Writes what the watcher says of each application, when it changed, and removes what no longer counts, also what an earlier
//! watcher left.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::message::state::WatcherState;
use bus::subject::{self, Bucket};
use bus::{AppId, Bus, BusError, Digest, Update};
use futures::StreamExt;
use lease::Lead;
use tokio_util::sync::CancellationToken;

use crate::index::Index;
use crate::metrics::Metrics;

const TOGETHER: usize = 16;
const RETRY: Duration = Duration::from_secs(1);
/// The service's name in the keys of bucket `state`.
const SERVICE: &str = "watcher";

/// What the bucket holds of each application, as far as we know.
type Written = BTreeMap<AppId, Kept>;

#[derive(Debug, Default)]
struct Kept {
    /// By whomever. More than one when its cluster changed while nobody looked.
    keys: BTreeSet<String>,
    /// What we wrote last, and that it is still there.
    ours: Option<(String, Digest)>,
    /// Whether it is ours to remove, without another word of the API server.
    own: bool,
}

pub async fn write(
    bus: Bus,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    lead: Lead,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let mut connections = bus.connections();
    let left = async {
        lead.begun().await;
        read(&bus).await
    };
    let mut written = tokio::select! {
        () = token.cancelled() => return Ok(()),
        left = left => left,
    };
    // Those whose object is gone for good may have nothing else on the bus.
    for id in written.keys() {
        index.lifecycle.push(id);
    }
    loop {
        let (waiting, ticket) = tokio::select! {
            () = token.cancelled() => return Ok(()),
            (waiting, ticket) = index.states.next() => (waiting, ticket),
            // The broker may have lost the bucket.
            Ok(()) = connections.changed() => {
                for (id, kept) in &mut written {
                    kept.ours = None;
                    index.states.push(id);
                }
                continue;
            }
        };
        metrics.sizes(index.sizes());
        // Whatever is told of an application may be what others wait for.
        index.order_changed.notify_one();
        if !lead.holds() {
            for id in &waiting {
                index.states.push(id);
            }
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = lead.acts() => continue,
            }
        }
        if !index.is_started() {
            // All of them come again when everything was read. Until then an application that isn't there means nothing.
            index.states.finish(ticket);
            continue;
        }
        let changes: Vec<_> = waiting
            .into_iter()
            .filter_map(|id| {
                let gone = index.take_gone(&id);
                change(written.get(&id), index.state(&id), id, gone)
            })
            .collect();
        let done: Vec<_> = futures::stream::iter(changes)
            .map(|change| carry_out(&bus, change))
            .buffer_unordered(TOGETHER)
            .collect()
            .await;
        let mut failed = false;
        for (change, result) in done {
            if let Err(error) = result {
                tracing::warn!(app = %change.id, error = &error as &dyn std::error::Error, "writing a state; trying again");
                index.states.push(&change.id);
                let kept = written.entry(change.id).or_default();
                kept.own = true;
                kept.keys.extend(change.put.map(|(key, ..)| key));
                failed = true;
            } else if let Some((key, _, digest)) = change.put {
                let kept = Kept {
                    keys: [key.clone()].into(),
                    ours: Some((key, digest)),
                    own: true,
                };
                written.insert(change.id, kept);
            } else {
                written.remove(&change.id);
            }
        }
        if failed {
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = tokio::time::sleep(RETRY) => {}
            }
        } else {
            index.states.finish(ticket);
        }
    }
}

/// What an earlier watcher left.
async fn read(bus: &Bus) -> Written {
    let mut watch = bus.watch_bucket::<WatcherState>(Bucket::State, &format!("{SERVICE}.>"));
    let mut found = Written::new();
    loop {
        match watch.next().await {
            Update::Put(stored) => {
                if let Some(key) = Bucket::State.key(&stored.subject) {
                    let kept = found.entry(stored.value.app).or_default();
                    kept.keys.insert(key.to_owned());
                }
            }
            Update::Deleted { subject } => {
                for kept in found.values_mut() {
                    kept.keys
                        .retain(|key| Bucket::State.subject(key) != subject);
                }
            }
            Update::Ready => return found,
            // It is overwritten when its application is written.
            Update::Unreadable { subject, error } => {
                tracing::warn!(
                    subject,
                    error,
                    "a state of an earlier watcher can't be read"
                );
            }
        }
    }
}

#[derive(Debug)]
struct Change {
    id: AppId,
    /// Keys that no longer count.
    delete: BTreeSet<String>,
    put: Option<(String, WatcherState, Digest)>,
}

/// What to do about an application; `gone` says that the API server has no such object.
fn change(
    before: Option<&Kept>,
    state: Option<WatcherState>,
    id: AppId,
    gone: bool,
) -> Option<Change> {
    let Some(state) = state else {
        // What another watcher wrote is its own, until the object is proven to be gone.
        let kept = before.filter(|kept| gone || kept.own)?;
        return Some(Change {
            id,
            delete: kept.keys.clone(),
            put: None,
        });
    };
    let key = subject::state(SERVICE, state.cluster.as_ref(), &id);
    let digest = Digest::of(&serde_json::to_vec(&state).unwrap_or_default());
    let ours = before.and_then(|kept| kept.ours.as_ref());
    if ours.is_some_and(|(written, last)| *written == key && *last == digest) {
        return None;
    }
    let mut delete = before.map_or_else(BTreeSet::new, |kept| kept.keys.clone());
    delete.remove(&key);
    Some(Change {
        id,
        delete,
        put: Some((key, state, digest)),
    })
}

/// The new one first: a reader never finds nothing.
async fn carry_out(bus: &Bus, change: Change) -> (Change, Result<(), BusError>) {
    let result = async {
        if let Some((key, state, _)) = &change.put {
            bus.put(Bucket::State, key, state).await?;
        }
        for key in &change.delete {
            bus.delete(Bucket::State, key).await?;
        }
        Ok(())
    };
    let result = result.await;
    (change, result)
}

#[cfg(test)]
mod tests {
    use bus::ClusterId;

    use super::*;

    fn app() -> AppId {
        AppId::new("argocd", "web").unwrap()
    }

    fn state(cluster: Option<ClusterId>) -> WatcherState {
        WatcherState {
            app: app(),
            uid: "u".to_owned(),
            cluster,
            project: "default".to_owned(),
            generation: None,
            sources: Vec::new(),
            conditions: Vec::new(),
            refreshed: None,
            deleting: false,
        }
    }

    fn left(cluster: Option<&ClusterId>) -> Kept {
        Kept {
            keys: [subject::state(SERVICE, cluster, &app())].into(),
            ..Kept::default()
        }
    }

    #[test]
    fn a_cluster_that_becomes_known_removes_the_key_without_one_also_an_earlier_watchers() {
        let here = ClusterId::in_cluster();
        let change = change(
            Some(&left(None)),
            Some(state(Some(here.clone()))),
            app(),
            false,
        );
        let change = change.unwrap();
        assert_eq!(change.put.unwrap().0, "watcher.in-cluster.argocd.web");
        assert_eq!(change.delete, ["watcher._.argocd.web".to_owned()].into());
    }

    #[test]
    fn the_key_of_a_deleted_application_goes_when_it_is_proven_gone() {
        let left = left(None);
        assert!(change(Some(&left), None, app(), false).is_none());
        let change = change(Some(&left), None, app(), true).unwrap();
        assert_eq!(change.delete, left.keys);
    }

    #[test]
    fn what_is_there_already_is_not_written_again() {
        let said = state(None);
        let first = change(None, Some(said.clone()), app(), false).unwrap();
        let (key, _, digest) = first.put.unwrap();
        let kept = Kept {
            keys: [key.clone()].into(),
            ours: Some((key, digest)),
            own: true,
        };
        assert!(change(Some(&kept), Some(said), app(), false).is_none());
    }
}
