//! What leaves for the bus without anybody waiting for it: events, states, heads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::message::cluster::Head;
use bus::message::event::Event;
use bus::message::state::ApplierState;
use bus::subject::{self, Bucket};
use bus::{AppId, Bus, BusError, ClusterId, Generation};
use futures::future::join_all;
use futures::{StreamExt, stream};
use lease::Lead;
use tokio::sync::{Notify, mpsc};

use crate::fit;
use crate::live::Chain;
use crate::metrics::Metrics;

/// Events that may wait for the broker.
const EVENTS: usize = 10_000;
/// Publishes under way at once.
const CONCURRENCY: usize = 16;
/// How soon a failed write is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// The service's name in the keys of bucket `state`.
const SERVICE: &str = "applier";

#[derive(Clone)]
pub(crate) struct Publisher {
    events: mpsc::Sender<Event>,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
}

/// The newest of each kind and application: an older one that still waits is never sent.
#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

type Waiting = HashMap<(AppId, Kind), Option<Value>>;

impl Shared {
    fn take(&self) -> Waiting {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put_back(&self, failed: Vec<((AppId, Kind), Option<Value>)>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in failed {
            // What came meanwhile is newer.
            waiting.entry(key).or_insert(value);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    State,
    Head,
}

enum Value {
    State(Box<ApplierState>),
    Head(Head),
}

#[derive(Debug, thiserror::Error)]
#[error("nobody is left who says anything")]
pub(crate) struct Silence;

impl Publisher {
    /// The handle, and the tasks that send events and keys.
    pub(crate) fn new(
        bus: Bus,
        cluster: ClusterId,
        metrics: Arc<Metrics>,
        lead: Lead,
    ) -> (
        Self,
        impl Future<Output = Result<(), Silence>> + Send + 'static,
        impl Future<Output = Result<(), Silence>> + Send + 'static,
    ) {
        let (events, received) = mpsc::channel(EVENTS);
        let shared = Arc::new(Shared::default());
        let publisher = Self {
            events,
            shared: shared.clone(),
            metrics,
        };
        let keys_bus = bus.clone();
        let keys_lead = lead.clone();
        let said = async move {
            let events =
                stream::unfold(received, |mut received: mpsc::Receiver<Event>| async move {
                    let event = received.recv().await?;
                    Some((event, received))
                });
            events
                .for_each_concurrent(CONCURRENCY, |event| {
                    let (bus, lead) = (bus.clone(), lead.clone());
                    async move {
                        lead.acts().await;
                        bus.event(&event).await;
                    }
                })
                .await;
            Err(Silence)
        };
        let keys = async move {
            loop {
                shared.wake.notified().await;
                keys_lead.acts().await;
                let mut failed = Vec::new();
                let mut due = shared.take().into_iter().peekable();
                while due.peek().is_some() {
                    let some = due.by_ref().take(CONCURRENCY).map(|((app, kind), value)| {
                        let (bus, cluster) = (&keys_bus, &cluster);
                        async move {
                            let sent = send(bus, cluster, &app, kind, value.as_ref()).await;
                            (!sent).then_some(((app, kind), value))
                        }
                    });
                    failed.extend(join_all(some).await.into_iter().flatten());
                }
                if !failed.is_empty() {
                    shared.put_back(failed);
                    tokio::time::sleep(AGAIN).await;
                    shared.wake.notify_one();
                }
            }
        };
        (publisher, said, keys)
    }

    pub(crate) fn event(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.metrics.events_dropped.inc();
        }
    }

    pub(crate) fn state(&self, state: ApplierState) {
        self.enqueue(
            (state.app.clone(), Kind::State),
            Some(Value::State(Box::new(state))),
        );
    }

    pub(crate) fn head(&self, app: &AppId, cluster: &ClusterId, generation: Generation) {
        let head = Head {
            app: app.clone(),
            cluster: cluster.clone(),
            generation,
        };
        self.enqueue((app.clone(), Kind::Head), Some(Value::Head(head)));
    }

    /// The cluster no longer holds anything of it.
    pub(crate) fn forget_head(&self, app: &AppId) {
        self.enqueue((app.clone(), Kind::Head), None);
    }

    pub(crate) fn forget_state(&self, app: &AppId) {
        self.enqueue((app.clone(), Kind::State), None);
    }

    fn enqueue(&self, key: (AppId, Kind), value: Option<Value>) {
        self.shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, value);
        self.shared.wake.notify_one();
    }
}

/// Whether the broker has it.
async fn send(
    bus: &Bus,
    cluster: &ClusterId,
    app: &AppId,
    kind: Kind,
    value: Option<&Value>,
) -> bool {
    let (bucket, key) = match kind {
        Kind::State => (Bucket::State, subject::state(SERVICE, Some(cluster), app)),
        Kind::Head => (Bucket::Heads, subject::application(cluster, app)),
    };
    let sent = match value {
        Some(Value::State(state)) => match bus.put(bucket, &key, &**state).await {
            Err(BusError::TooLarge { limit, .. }) => {
                let fitting = fit::to_fit(state.as_ref().clone(), limit);
                bus.put(bucket, &key, &fitting).await.map(|_| ())
            }
            sent => sent.map(|_| ()),
        },
        Some(Value::Head(head)) => bus.put(bucket, &key, head).await.map(|_| ()),
        None => bus.delete(bucket, &key).await,
    };
    if let Err(error) = &sent {
        tracing::warn!(%app, error = %Chain(error), "can't write bucket {bucket}; trying again");
    }
    sent.is_ok()
}
