//! Objects of ours without our label: before their first release, and those that leave without one. A watch by label doesn't see
//! them, so their namespace is watched as long as there are any.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use futures::StreamExt;
use kube::runtime::watcher;

use super::{Chain, LIST_AGAIN, Place, Places, is_gone, open, refusal};
use crate::cluster::{ApiKind, Cluster};
use crate::live::Live;

pub(super) fn place(kind: &ApiKind, namespace: &str) -> Place {
    (kind.group.clone(), kind.kind.clone(), namespace.into())
}

pub(super) async fn follow(
    cluster: Cluster,
    live: Arc<Live>,
    kind: ApiKind,
    namespace: Box<str>,
    places: Places,
) {
    let of_interest = || live.strangers_in(&kind.group, &kind.kind, &namespace);
    let within = (!namespace.is_empty()).then_some(&*namespace);
    let mut events = open(&cluster, &kind, within, watcher::Config::default());
    let mut seen = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => seen.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                if let Some(key) = object.key(&kind).filter(|key| live.is_of_interest(key)) {
                    live.found(&key, object.complete(&kind));
                    seen.insert(key);
                }
                // Only a whole list says what isn't there.
                continue;
            }
            Ok(watcher::Event::InitDone) => {
                for key in of_interest().iter().filter(|key| !seen.contains(*key)) {
                    live.lost(key);
                }
            }
            Ok(watcher::Event::Apply(object)) => {
                if let Some(key) = object.key(&kind).filter(|key| live.is_of_interest(key)) {
                    live.found(&key, object.complete(&kind));
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                if let Some(key) = object.key(&kind).filter(|key| live.is_of_interest(key)) {
                    live.lost(&key);
                }
            }
            Err(error) => {
                tracing::warn!(kind = &*kind.kind, group = &*kind.group, %namespace, error = %Chain(&error), "watch interrupted");
                if refusal(&error).is_some() {
                    // It stays noted as watched: objects of the kind are known by GET alone.
                    return;
                }
                if is_gone(&error) {
                    tokio::time::sleep(LIST_AGAIN).await;
                    events = open(&cluster, &kind, within, watcher::Config::default());
                }
            }
        }
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever wants to know of another one says so before asking for this watch.
        if of_interest().is_empty() {
            places.remove(&place(&kind, &namespace));
            return;
        }
    }
}
