//! Watching Application objects: what counts of each goes into the index, and what left is asked after.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use bus::AppId;
use futures::{StreamExt, TryStreamExt, stream};
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::index::{Index, Part};
use crate::seen::{Seen, Watched};

type Guarded = DeserializeGuard<Watched>;

/// Which Applications are watched.
#[derive(Clone, Debug)]
pub struct Scope {
    /// None is all.
    pub namespaces: Option<BTreeSet<String>>,
    pub selector: Option<String>,
}

impl Scope {
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespaces
            .as_ref()
            .is_none_or(|namespaces| namespaces.contains(namespace))
    }
}

/// Follows them until the token is cancelled.
pub async fn follow(
    client: kube::Client,
    scope: Scope,
    index: Arc<Index>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let namespaces: Vec<Option<String>> = match &scope.namespaces {
        None => vec![None],
        Some(namespaces) => namespaces.iter().cloned().map(Some).collect(),
    };
    let mut listed = vec![false; namespaces.len()];
    let mut updates =
        stream::select_all(namespaces.iter().enumerate().map(|(number, namespace)| {
            let api: Api<Guarded> = match namespace {
                None => Api::all(client.clone()),
                Some(namespace) => Api::namespaced(client.clone(), namespace),
            };
            let mut config = watcher::Config::default();
            config.label_selector.clone_from(&scope.selector);
            watcher::watcher(api, config)
                .default_backoff()
                .map_ok(move |event| (number, event))
                .boxed()
        }));
    let mut lists: Vec<BTreeSet<AppId>> = vec![BTreeSet::new(); namespaces.len()];
    loop {
        let update = tokio::select! {
            () = token.cancelled() => return Ok(()),
            update = updates.next() => update,
        };
        let (number, event) = match update {
            Some(Ok(update)) => update,
            Some(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "watching Applications; trying again"
                );
                continue;
            }
            // Its streams have no end.
            None => return Ok(()),
        };
        match event {
            watcher::Event::Apply(object) => {
                apply(&index, object);
            }
            watcher::Event::Delete(object) => {
                if let Some(id) = id(&object) {
                    index.application_left(&id);
                }
            }
            watcher::Event::Init => lists[number].clear(),
            watcher::Event::InitApply(object) => lists[number].extend(apply(&index, object)),
            watcher::Event::InitDone => {
                let list = std::mem::take(&mut lists[number]);
                for id in index.applications(namespaces[number].as_deref()) {
                    if !list.contains(&id) {
                        index.application_left(&id);
                    }
                }
                listed[number] = true;
                if listed.iter().all(|done| *done) {
                    index.started(Part::Applications);
                }
            }
        }
    }
}

/// Hands one object over. One that can't be read is known, and left as it is.
fn apply(index: &Index, object: Guarded) -> Option<AppId> {
    let id = id(&object);
    let version = object.resource_version().unwrap_or_default();
    match object.0 {
        Ok(object) => {
            let had = object.had.clone();
            if let Some(seen) = Seen::of(object) {
                index.application(seen, had, version);
            }
        }
        Err(error) => {
            let name = error.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(
                name,
                error = error.error,
                "an Application can't be read; it stays as it is"
            );
        }
    }
    id
}

fn id(object: &Guarded) -> Option<AppId> {
    AppId::new(&object.namespace()?, &object.name_any()).ok()
}
