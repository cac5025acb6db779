//! What is live, as the API server tells it: a watch, with the moment at which each state was seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::StreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::DynamicObject;
use serde_json::Value;
use tests::Cluster;
use tokio::sync::watch;
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_mins(5);

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
            let list = api.list(&ListParams::default()).await?;
            let mut version = list.metadata.resource_version.unwrap_or_default();
            let (kind, objects, sender) =
                ((*kind).to_owned(), Arc::clone(&objects), sender.clone());
            for object in list.items {
                put(&objects, &kind, &object);
            }
            tasks.spawn(async move {
                loop {
                    let Ok(stream) = api.watch(&WatchParams::default(), &version).await else {
                        continue;
                    };
                    let mut stream = stream.boxed();
                    while let Some(Ok(event)) = stream.next().await {
                        let seen = Instant::now();
                        if let WatchEvent::Added(object) | WatchEvent::Modified(object) = &event {
                            put(&objects, &kind, object);
                        }
                        if let WatchEvent::Added(object)
                        | WatchEvent::Modified(object)
                        | WatchEvent::Deleted(object) = event
                        {
                            version = object.metadata.resource_version.unwrap_or_default();
                        }
                        sender.send_replace(Some(seen));
                    }
                }
            });
        }
        Ok(Self {
            objects,
            changes,
            _tasks: tasks,
        })
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
                if holds(&self.objects.lock().unwrap_or_else(PoisonError::into_inner)) {
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

fn put(objects: &Mutex<Objects>, kind: &str, object: &DynamicObject) {
    let name = object.metadata.name.clone().unwrap_or_default();
    objects
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert((kind.to_owned(), name), object.data.clone());
}
