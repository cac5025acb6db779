//! What others say on the bus: renders, heads, clusters, refused and lost parts, commands; and the desired states themselves.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::message::cluster::{ClusterInfo, Head};
use bus::message::command::{Action, Command};
use bus::message::desired::Desired;
use bus::message::event::{Event, EventKind};
use bus::message::render::Render;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, ClusterId, Outcome, Update};
use lease::Lead;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::index::{Concerned, Index, Lost, Part, Wake};
use crate::metrics::Metrics;

/// Commands whose ids are remembered.
const REMEMBERED: usize = 1024;
/// What the broker didn't answer is asked again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// The desired states on the bus. After a reconnect each that isn't there any more is forgotten, and so published again.
pub async fn desired(
    bus: Bus,
    index: Arc<Index>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let mut watch = bus.watch_stream::<Desired>(Stream::Desired, &Stream::Desired.pattern());
    let mut begun = false;
    // When to compare again what couldn't be.
    let mut retry = None;
    loop {
        let update = tokio::select! {
            () = token.cancelled() => return Ok(()),
            update = watch.next() => update,
            () = until(retry) => {
                retry = compare(&bus, &index).await;
                continue;
            }
        };
        match update {
            Update::Put(stored) => index.desired(&stored.value),
            Update::Deleted { .. } => {}
            Update::Ready if !begun => {
                begun = true;
                index.started(Part::Desired);
            }
            Update::Ready => retry = compare(&bus, &index).await,
            Update::Unreadable { subject, error } => {
                tracing::warn!(
                    subject,
                    error,
                    "a desired state can't be read; it will be replaced"
                );
            }
        }
    }
}

/// The broker may have lost anything: what isn't there as we know it is forgotten, with all packs. Says when to do it again, if
/// the broker didn't answer.
async fn compare(bus: &Bus, index: &Index) -> Option<Instant> {
    let mut lost: BTreeMap<AppId, Vec<ClusterId>> = BTreeMap::new();
    let mut asked = 0_usize;
    for (app, cluster, generation) in index.all_published() {
        asked += 1;
        let subject = subject::desired(&cluster, &app);
        match bus.last::<Desired>(Stream::Desired, &subject).await {
            Ok(Some(stored)) if stored.value.generation >= generation => {}
            Ok(_) | Err(bus::BusError::Decode { .. }) => {
                lost.entry(app).or_default().push(cluster);
            }
            // Perhaps with the connection still there: a stream that was made anew may not answer at once.
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "comparing with the broker; trying again"
                );
                return Some(Instant::now() + RETRY);
            }
        }
    }
    if lost.is_empty() {
        return None;
    }
    if !index.is_started() {
        // For the leader to publish again; or, if that is us next, as after a start.
        for (app, clusters) in lost {
            for cluster in clusters {
                index.forget(&app, &cluster);
            }
        }
        return None;
    }
    tracing::warn!(
        lost = lost.len(),
        of = asked,
        "the broker lost desired states: publishing them again"
    );
    index.wake_all(&Wake {
        forget: true,
        evaluate: Concerned::All,
        ..Wake::default()
    });
    for (app, clusters) in lost {
        for cluster in clusters {
            index.lost(&app, &cluster);
        }
    }
    None
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The deletions that an earlier leader purged as carried out, while this watcher followed. One that can't be asked after is
/// purged again, which changes nothing.
pub async fn forget_purged(bus: &Bus, index: &Index) {
    for (app, cluster) in index.all_deleted() {
        let subject = subject::desired(&cluster, &app);
        if let Ok(None) = bus.last::<Desired>(Stream::Desired, &subject).await {
            index.forget(&app, &cluster);
        }
    }
}

pub async fn renders(
    bus: Bus,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let mut watch = bus.watch_bucket::<Render>(Bucket::Renders, ">");
    loop {
        let update = tokio::select! {
            () = token.cancelled() => return Ok(()),
            update = watch.next() => update,
        };
        match update {
            Update::Put(stored) => {
                index.render(&stored.value);
                metrics.render_record(&stored.value.outcome);
            }
            Update::Ready => index.started(Part::Renders),
            Update::Deleted { .. } => {}
            // Without it nothing is concluded from it.
            Update::Unreadable { subject, error } => {
                tracing::warn!(subject, error, "a render's record can't be read");
            }
        }
    }
}

pub async fn heads(
    bus: Bus,
    index: Arc<Index>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let mut heads = bus.watch_bucket::<Head>(Bucket::Heads, ">");
    let mut clusters = bus.watch_bucket::<ClusterInfo>(Bucket::Clusters, ">");
    loop {
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            update = heads.next() => match update {
                Update::Put(stored) => index.head(&stored.value),
                Update::Ready => index.started(Part::Heads),
                Update::Deleted { subject } => {
                    if let Some((cluster, app)) = subject::parse_application(&subject) {
                        index.head_lost(&app, &cluster);
                    }
                }
                Update::Unreadable { subject, error } => {
                    tracing::warn!(subject, error, "a head can't be read");
                }
            },
            update = clusters.next() => match update {
                Update::Put(stored) => index.cluster(&stored.value),
                Update::Ready | Update::Deleted { .. } => {}
                Update::Unreadable { subject, error } => {
                    tracing::warn!(subject, error, "a cluster's description can't be read");
                }
            },
        }
    }
}

/// Events that ask for something to be published again, or say that a deletion was carried out.
pub async fn events(
    bus: Bus,
    index: Arc<Index>,
    kind: EventKind,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let mut watch = bus.watch_stream::<Event>(Stream::Events, &subject::events_of(kind));
    loop {
        let update = tokio::select! {
            () = token.cancelled() => return Ok(()),
            update = watch.next() => update,
        };
        // Each start reads the last ones again: only those about what is published now count.
        let Update::Put(stored) = update else {
            continue;
        };
        let event = stored.value;
        let Some(generation) = event.generation else {
            continue;
        };
        if kind == EventKind::ApplicationDeleted {
            let uid = event.detail.get("uid").map_or("", String::as_str);
            index.deletion_reported(&event.app, &event.cluster, uid, generation);
            continue;
        }
        if let Some(head) = event.detail.get("head").and_then(|head| head.parse().ok()) {
            index.head(&Head {
                app: event.app.clone(),
                cluster: event.cluster.clone(),
                generation: bus::Generation(head),
            });
        }
        let lost = match kind {
            EventKind::SnapshotMissing => Lost::Packs,
            _ => Lost::Message,
        };
        if index.again(&event.app, &event.cluster, generation, lost) {
            tracing::info!(app = %event.app, kind = kind.token(), %generation, "publishing again");
        }
    }
}

/// `refresh` commands, which the leader takes.
pub async fn commands(
    bus: Bus,
    index: Arc<Index>,
    lead: Lead,
    token: CancellationToken,
) -> Result<(), Infallible> {
    tokio::select! {
        () = token.cancelled() => return Ok(()),
        () = lead.begun() => {}
    }
    let work = bus.work::<Command>(Stream::Commands, subject::WATCHER_COMMANDS);
    let mut known = std::collections::VecDeque::with_capacity(REMEMBERED);
    loop {
        let delivery = tokio::select! {
            () = token.cancelled() => return Ok(()),
            delivery = work.next() => delivery,
        };
        let command = &delivery.value;
        let Action::Refresh { hard } = command.action else {
            delivery
                .finish(Outcome::Reject("not a refresh".to_owned()))
                .await;
            continue;
        };
        if !known.contains(&command.id) {
            tracing::info!(app = %command.app, user = command.user, hard, "refresh");
            index.refresh(&command.app, hard, delivery.trace);
            known.truncate(REMEMBERED - 1);
            known.push_front(command.id.clone());
        }
        delivery.finish(Outcome::Done).await;
    }
}
