//! Writes what the watcher says of each application, when it changed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::message::state::WatcherState;
use bus::subject::{self, Bucket};
use bus::{AppId, Bus, BusError, Digest};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::index::Index;
use crate::metrics::Metrics;

const TOGETHER: usize = 16;
const RETRY: Duration = Duration::from_secs(1);

/// What was written last: its key, and the digest of the value.
type Written = BTreeMap<AppId, (String, Digest)>;

pub async fn write(
    bus: Bus,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let mut written = Written::new();
    let mut connections = bus.connections();
    loop {
        let waiting = tokio::select! {
            () = token.cancelled() => return Ok(()),
            waiting = index.states.next() => waiting,
            // The broker may have lost the bucket.
            Ok(()) = connections.changed() => std::mem::take(&mut written).into_keys().collect(),
        };
        metrics.sizes(index.sizes());
        let changes: Vec<_> = waiting
            .into_iter()
            .filter_map(|id| change(&index, &written, id))
            .collect();
        let done: Vec<_> = futures::stream::iter(changes)
            .map(|change| carry_out(&bus, change))
            .buffer_unordered(TOGETHER)
            .collect()
            .await;
        let mut failed = false;
        for (change, result) in done {
            match (result, change.put) {
                (Ok(()), Some((key, _, digest))) => drop(written.insert(change.id, (key, digest))),
                (Ok(()), None) => drop(written.remove(&change.id)),
                (Err(error), _) => {
                    tracing::warn!(app = %change.id, error = &error as &dyn std::error::Error, "writing a state; trying again");
                    index.states.push(&change.id);
                    failed = true;
                }
            }
        }
        if failed {
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}

struct Change {
    id: AppId,
    /// A key that no longer counts.
    delete: Option<String>,
    put: Option<(String, WatcherState, Digest)>,
}

fn change(index: &Index, written: &Written, id: AppId) -> Option<Change> {
    let before = written.get(&id);
    let Some(state) = index.state(&id) else {
        let (key, _) = before?.clone();
        return Some(Change {
            id,
            delete: Some(key),
            put: None,
        });
    };
    let key = subject::state("watcher", state.cluster.as_ref(), &id);
    let digest = Digest::of(&serde_json::to_vec(&state).unwrap_or_default());
    if before.is_some_and(|(old, last)| *old == key && *last == digest) {
        return None;
    }
    let delete = before
        .map(|(old, _)| old)
        .filter(|old| **old != key)
        .cloned();
    Some(Change {
        id,
        delete,
        put: Some((key, state, digest)),
    })
}

async fn carry_out(bus: &Bus, change: Change) -> (Change, Result<(), BusError>) {
    let result = async {
        if let Some(key) = &change.delete {
            bus.delete(Bucket::State, key).await?;
        }
        if let Some((key, state, _)) = &change.put {
            bus.put(Bucket::State, key, state).await?;
        }
        Ok(())
    };
    let result = result.await;
    (change, result)
}
