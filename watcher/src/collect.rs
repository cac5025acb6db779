//! Takes out of the object stores what nothing names any more and nobody touched for a while: snapshots and manifests of
//! yesterday. [`choose`] is pure. In doubt, everything stays.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::message::Message;
use bus::message::cluster::ClusterInfo;
use bus::message::desired::{Desired, DesiredState, Present};
use bus::message::manifests::{Manifests, Payload};
use bus::message::render::{Render, RenderOutcome};
use bus::subject::{Bucket, Store, Stream};
use bus::{Bus, BusError, ClusterId, Digest, Listed, Update, Watch, clock};
use lease::Lead;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Between two rounds; each reads all that the bus holds.
const INTERVAL: Duration = Duration::from_hours(1);
/// A stream that isn't read through by then ends the round.
const PATIENCE: Duration = Duration::from_mins(5);

#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("{subject} can't be read ({error}), so nobody knows what it names")]
    Unreadable { subject: String, error: String },
    #[error("reading {what} took longer than {PATIENCE:?}")]
    Slow { what: &'static str },
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// What a round took out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub objects: usize,
    pub bytes: usize,
    /// Leftovers of writers that were killed.
    pub orphans: usize,
}

/// What the messages on the bus name.
#[derive(Debug, Default)]
struct Named {
    snapshots: BTreeSet<Digest>,
    manifests: BTreeMap<ClusterId, BTreeSet<Digest>>,
}

/// Collects every hour what was unused for `unused`, while this watcher leads.
pub async fn run(
    bus: Bus,
    metrics: Arc<Metrics>,
    unused: Duration,
    lead: Lead,
    token: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if !lead.holds() {
            continue;
        }
        match round(&bus, unused).await {
            Ok(collected) => {
                metrics.collected(collected);
                tracing::info!(
                    objects = collected.objects,
                    bytes = collected.bytes,
                    orphans = collected.orphans,
                    "collected what was no longer used"
                );
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "nothing more is collected in this round"
            ),
        }
    }
}

/// Looks through every store once. The stores are listed before the names are read: what is stored and named meanwhile is
/// newer than the list.
pub async fn round(bus: &Bus, unused: Duration) -> Result<Collected, CollectError> {
    let clusters = clusters(bus).await?;
    let stores: Vec<Store> = std::iter::once(Store::Snapshots)
        .chain(clusters.into_iter().map(Store::Manifests))
        .collect();
    let mut listed = Vec::with_capacity(stores.len());
    for store in stores {
        let objects = bus.objects(&store);
        listed.push((store, objects.list().await?));
    }
    let named = named(bus).await?;
    let before = clock::now_ms().saturating_sub(u64::try_from(unused.as_millis()).unwrap_or(0));
    let mut collected = Collected::default();
    let nothing = BTreeSet::new();
    for (store, listed) in listed {
        let objects = bus.objects(&store);
        let kept = match &store {
            Store::Snapshots => &named.snapshots,
            Store::Manifests(cluster) => named.manifests.get(cluster).unwrap_or(&nothing),
        };
        for object in choose(&listed, kept, before) {
            if objects.remove(object).await? {
                collected.objects += 1;
                collected.bytes += object.size;
            }
        }
        for orphan in objects.orphans().await? {
            if orphan.touched < before {
                objects.remove_orphan(&orphan).await?;
                collected.orphans += 1;
            }
        }
    }
    Ok(collected)
}

/// The objects that nothing names and nobody touched since `before` (Unix milliseconds).
fn choose<'a>(
    listed: &'a [Listed],
    named: &BTreeSet<Digest>,
    before: u64,
) -> impl Iterator<Item = &'a Listed> {
    listed
        .iter()
        .filter(move |object| object.touched < before && !named.contains(&object.digest))
}

async fn clusters(bus: &Bus) -> Result<BTreeSet<ClusterId>, CollectError> {
    let mut clusters = BTreeSet::new();
    let watch = bus.watch_bucket::<ClusterInfo>(Bucket::Clusters, ">");
    read("the clusters", watch, |info| {
        clusters.insert(info.cluster);
    })
    .await?;
    Ok(clusters)
}

async fn named(bus: &Bus) -> Result<Named, CollectError> {
    let mut named = Named::default();
    let desired = bus.watch_stream::<Desired>(Stream::Desired, &Stream::Desired.pattern());
    read("the desired states", desired, |desired| {
        if let DesiredState::Present(present) = desired.state {
            named.snapshots.extend(packs(&present));
        }
    })
    .await?;
    let manifests = bus.watch_stream::<Manifests>(Stream::Manifests, &Stream::Manifests.pattern());
    read("the manifests", manifests, |manifests| {
        if let Payload::Object { .. } = manifests.payload {
            let of_cluster = named.manifests.entry(manifests.cluster).or_default();
            of_cluster.insert(manifests.digest);
        }
    })
    .await?;
    let renders = bus.watch_bucket::<Render>(Bucket::Renders, ">");
    read("the records of renders", renders, |render| {
        let of_cluster = named.manifests.entry(render.cluster).or_default();
        of_cluster.extend(render.past.into_iter().map(|past| past.digest));
        if let RenderOutcome::Rendered { digest, .. } = render.outcome {
            of_cluster.insert(digest);
        }
    })
    .await?;
    Ok(named)
}

fn packs(present: &Present) -> impl Iterator<Item = Digest> {
    let sources = present.sources.iter().map(|source| &source.snapshot);
    let dependencies = present.dependencies.iter().map(|it| &it.snapshot);
    sources
        .chain(dependencies)
        .flat_map(|snapshot| snapshot.packs.iter().cloned())
}

/// Every last value. One that can't be read may name anything.
async fn read<T: Message>(
    what: &'static str,
    mut watch: Watch<T>,
    mut each: impl FnMut(T),
) -> Result<(), CollectError> {
    let all = async {
        loop {
            match watch.next().await {
                Update::Put(stored) => each(stored.value),
                Update::Ready => return Ok(()),
                Update::Deleted { .. } => {}
                Update::Unreadable { subject, error } => {
                    return Err(CollectError::Unreadable { subject, error });
                }
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, all).await;
    read.unwrap_or(Err(CollectError::Slow { what }))
}
