//! Keeps the cluster's kinds fresh and tells them to the watcher and the renderer (bucket `clusters`).

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bus::message::cluster::ClusterInfo;
use bus::subject::Bucket;
use bus::{Bus, ClusterId};
use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::{Notify, mpsc};

use crate::cluster::{Cluster, Kinds};
use crate::live::{Chain, Live};

/// Changes that come together are asked about once.
const SETTLE: Duration = Duration::from_millis(200);
const AGAIN: Duration = Duration::from_secs(2);

/// The kinds as last discovered.
#[derive(Clone)]
pub(crate) struct KindsHandle {
    current: Arc<RwLock<Arc<Kinds>>>,
    wanted: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
#[error("the watch of CustomResourceDefinitions ended")]
pub(crate) struct DescribeEnded;

impl KindsHandle {
    pub(crate) fn new(kinds: Kinds) -> Self {
        Self {
            current: Arc::new(RwLock::new(Arc::new(kinds))),
            wanted: Arc::new(Notify::new()),
        }
    }

    pub(crate) fn get(&self) -> Arc<Kinds> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Somebody misses a kind.
    pub(crate) fn refresh(&self) {
        self.wanted.notify_one();
    }

    fn set(&self, kinds: Kinds) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(kinds);
    }
}

/// Discovers again when a `CustomResourceDefinition` changes or a kind is missed; publishes what is new, and everything after a
/// reconnect to the broker.
pub(crate) async fn run(
    cluster: Cluster,
    handle: KindsHandle,
    live: Arc<Live>,
    bus: Bus,
    id: ClusterId,
) -> Result<(), DescribeEnded> {
    let definitions: Api<PartialObjectMeta<CustomResourceDefinition>> =
        Api::all(cluster.client().clone());
    let mut changes = watcher(definitions, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut connections = bus.connections();
    let (retry, mut retries) = mpsc::channel::<()>(1);
    let mut published: Option<ClusterInfo> = None;
    let mut listing = true;
    publish(&bus, &handle, &id, &mut published, &retry).await;
    loop {
        tokio::select! {
            change = changes.next() => match change {
                None => return Err(DescribeEnded),
                // What is listed at first was discovered just before.
                Some(Ok(watcher::Event::Init | watcher::Event::InitApply(_))) => continue,
                Some(Ok(watcher::Event::InitDone)) if listing => { listing = false; continue }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "watch of CustomResourceDefinitions interrupted");
                    continue;
                }
            },
            () = handle.wanted.notified() => {}
            Some(()) = retries.recv() => {}
            again = connections.changed() => if again.is_ok() { published = None } else { return Err(DescribeEnded) },
        }
        tokio::time::sleep(SETTLE).await;
        match Kinds::discover(&cluster).await {
            Ok(kinds) => {
                let before = handle.get().info(&id);
                handle.set(kinds);
                if handle.get().info(&id) != before {
                    live.wake_all();
                }
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "can't discover the cluster's kinds");
                later(&retry);
            }
        }
        publish(&bus, &handle, &id, &mut published, &retry).await;
    }
}

async fn publish(
    bus: &Bus,
    handle: &KindsHandle,
    id: &ClusterId,
    published: &mut Option<ClusterInfo>,
    retry: &mpsc::Sender<()>,
) {
    let info = handle.get().info(id);
    if published.as_ref() == Some(&info) {
        return;
    }
    match bus.put(Bucket::Clusters, id.as_str(), &info).await {
        Ok(_) => *published = Some(info),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "can't publish the cluster's kinds");
            later(retry);
        }
    }
}

fn later(retry: &mpsc::Sender<()>) {
    let retry = retry.clone();
    // Bounded by the channel: at most one waits.
    if let Ok(permit) = retry.try_reserve_owned() {
        tokio::spawn(async move {
            tokio::time::sleep(AGAIN).await;
            permit.send(());
        });
    }
}
