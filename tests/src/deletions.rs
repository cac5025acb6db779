//! Watching that nothing is deleted.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::DynamicObject;
use tokio::task::JoinSet;

use crate::cluster::Cluster;

/// A watch of an application's objects in one namespace, from a moment on.
pub struct Deletions {
    seen: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Deletions {
    /// Begins to watch `kinds`; returns when nothing can be missed any more.
    pub async fn watch(cluster: &Cluster, namespace: &str, kinds: &[&str]) -> anyhow::Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for kind in kinds {
            let api = cluster.api(kind, namespace)?;
            let list = api.list(&ListParams::default()).await?;
            let mut version = list.metadata.resource_version.unwrap_or_default();
            let (kind, seen) = ((*kind).to_owned(), Arc::clone(&seen));
            let params = WatchParams::default().labels(api::annotations::APPLICATION);
            tasks.spawn(async move {
                loop {
                    let Ok(stream) = api.watch(&params, &version).await else {
                        continue;
                    };
                    let mut stream = stream.boxed();
                    while let Some(Ok(event)) = stream.next().await {
                        note(&kind, event, &mut version, &seen);
                    }
                }
            });
        }
        Ok(Self { seen, tasks })
    }

    /// Ends the watch; an error if an object was deleted meanwhile.
    pub fn none(mut self) -> anyhow::Result<()> {
        self.tasks.abort_all();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(seen.is_empty(), "deleted on the way: {seen:?}");
        Ok(())
    }
}

fn note(
    kind: &str,
    event: WatchEvent<DynamicObject>,
    version: &mut String,
    seen: &Mutex<Vec<String>>,
) {
    let name = match &event {
        WatchEvent::Deleted(object) => object.metadata.name.clone(),
        _ => None,
    };
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            version.clone_from(&object.metadata.resource_version.unwrap_or_default());
        }
        WatchEvent::Bookmark(mark) => version.clone_from(&mark.metadata.resource_version),
        WatchEvent::Error(error) => {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(format!("(the watch of {kind} broke: {})", error.message));
        }
    }
    if let Some(name) = name {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(format!("{kind}/{name}"));
    }
}
