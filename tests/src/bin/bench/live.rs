//! What is live, as the API server tells it: a watch, with the moment at which each state was seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::StreamExt;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::DynamicObject;
use serde_json::Value;
use tests::Cluster;
use tokio::sync::watch;
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_mins(5);
const RETRY: Duration = Duration::from_millis(200);

/// Objects by kind and name.
pub(crate) type Objects = BTreeMap<(String, String), Value>;

/// A follower of some kinds in one namespace.
pub(crate) struct Live {
    objects: Arc<Mutex<Objects>>,
    changes: watch::Receiver<Option<Instant>>,
    _tasks: JoinSet<()>,
}

impl Live {
    pub(crate) async fn follow(
        cluster: &Cluster,
        namespace: &str,
        kinds: &[&str],
    ) -> anyhow::Result<Self> {
        let objects = Arc::new(Mutex::new(Objects::new()));
        let (sender, changes) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for kind in kinds {
            let api = cluster.api(kind, namespace)?;
            let version = list(&api, kind, &objects).await?;
            let (kind, objects, sender) =
                ((*kind).to_owned(), Arc::clone(&objects), sender.clone());
            tasks.spawn(async move { follow(&api, &kind, version, &objects, &sender).await });
        }
        Ok(Self {
            objects,
            changes,
            _tasks: tasks,
        })
    }

    /// As they are now.
    pub(crate) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When `holds` first held, after now.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&Objects) -> bool,
    ) -> anyhow::Result<Instant> {
        let waiting = async {
            loop {
                let seen = *self.changes.borrow_and_update();
                if holds(&self.objects()) {
                    return seen.unwrap_or_else(Instant::now);
                }
                if self.changes.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(seen) => Ok(seen),
            Err(_) => bail!("after {} s, still not true: {what}", DEADLINE.as_secs()),
        }
    }
}

/// Watches from `version` on. Whatever ends a watch, the next begins with a list, so that nothing stays unseen.
async fn follow(
    api: &Api<DynamicObject>,
    kind: &str,
    mut version: String,
    objects: &Mutex<Objects>,
    sender: &watch::Sender<Option<Instant>>,
) {
    loop {
        if let Ok(stream) = api.watch(&WatchParams::default(), &version).await {
            let mut stream = stream.boxed();
            while let Some(Ok(event)) = stream.next().await {
                let seen = Instant::now();
                match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        put(objects, kind, &object);
                    }
                    WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
                    WatchEvent::Error(_) => break,
                }
                sender.send_replace(Some(seen));
            }
        }
        eprintln!("a watch of {kind} ended; listing again");
        while let Err(error) = list(api, kind, objects).await.map(|now| version = now) {
            eprintln!("listing {kind}: {error:#}");
            tokio::time::sleep(RETRY).await;
        }
        sender.send_replace(Some(Instant::now()));
    }
}

/// Puts all objects there are; the version to watch from.
async fn list(
    api: &Api<DynamicObject>,
    kind: &str,
    objects: &Mutex<Objects>,
) -> anyhow::Result<String> {
    let list = api.list(&ListParams::default()).await?;
    for object in &list.items {
        put(objects, kind, object);
    }
    Ok(list.metadata.resource_version.unwrap_or_default())
}

fn put(objects: &Mutex<Objects>, kind: &str, object: &DynamicObject) {
    let name = object.metadata.name.clone().unwrap_or_default();
    objects
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert((kind.to_owned(), name), object.data.clone());
}
