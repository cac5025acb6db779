//! Tells appliers what the releases of their applications wait for (`towline.dev/depends-on`), and follows how those are: only
//! applications that others wait for are followed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::message::predecessors::Predecessors;
use bus::message::state::ApplierState;
use bus::subject::{self, Bucket};
use bus::{AppId, Bus, ClusterId, Update};
use lease::Lead;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::index::Index;
use crate::order::standing;

/// What couldn't be written, or not while another leads, is written after this time.
const RETRY: Duration = Duration::from_secs(2);

type Place = (AppId, ClusterId);

/// Until the process drains. A follower's task never ends by itself, so one that panicked ends this one, too.
pub async fn tell(
    bus: Bus,
    index: Arc<Index>,
    lead: Lead,
    token: CancellationToken,
) -> Result<(), FollowerEnded> {
    let mut followed = Followed::default();
    let mut written = Written::new(&bus);
    let mut failed = false;
    loop {
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = index.order_changed.notified() => {}
            () = written.changed() => {}
            Some(ended) = followed.tasks.join_next() => {
                match ended {
                    Err(error) if !error.is_cancelled() => return Err(FollowerEnded(error)),
                    Err(_) | Ok(_) => {}
                }
                continue;
            }
            () = tokio::time::sleep(RETRY), if failed => {}
        }
        if !index.is_started() {
            continue;
        }
        followed.follow(&bus, &index);
        failed = !written.write(&bus, &index, &lead).await;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("following an application's state ended")]
pub struct FollowerEnded(#[source] tokio::task::JoinError);

/// The applications whose state is followed.
#[derive(Default)]
struct Followed {
    tasks: JoinSet<Infallible>,
    places: BTreeMap<Place, AbortHandle>,
}

impl Followed {
    fn follow(&mut self, bus: &Bus, index: &Arc<Index>) {
        let wanted = index.awaited();
        self.places.retain(|place, task| {
            let still = wanted.contains(place);
            if !still {
                task.abort();
                index.stands(place, None);
            }
            still
        });
        for place in wanted {
            if !self.places.contains_key(&place) {
                let task = self
                    .tasks
                    .spawn(follow(bus.clone(), Arc::clone(index), place.clone()));
                self.places.insert(place, task);
            }
        }
    }
}

async fn follow(bus: Bus, index: Arc<Index>, place: Place) -> Infallible {
    let (app, cluster) = &place;
    let key = subject::state("applier", Some(cluster), app);
    let mut watch = bus.watch_bucket::<ApplierState>(Bucket::State, &key);
    loop {
        match watch.next().await {
            Update::Put(stored) => index.stands(&place, Some(standing(&stored.value))),
            // A broker that lost it has it again when its applier notices.
            Update::Deleted { .. } => index.stands(&place, None),
            Update::Ready => {}
            Update::Unreadable { subject, error } => {
                tracing::warn!(subject, error, "an applier's state can't be read");
                index.stands(&place, None);
            }
        }
    }
}

/// What the bucket holds.
struct Written {
    watch: bus::Watch<Predecessors>,
    there: BTreeMap<String, Predecessors>,
    /// Of which nothing can be read.
    unreadable: BTreeSet<String>,
    ready: bool,
}

impl Written {
    fn new(bus: &Bus) -> Self {
        Self {
            watch: bus.watch_bucket(Bucket::Predecessors, ">"),
            there: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            ready: false,
        }
    }

    /// Waits until the bucket may hold something else than it should.
    async fn changed(&mut self) {
        loop {
            match self.watch.next().await {
                Update::Put(stored) => {
                    if let Some(key) = Bucket::Predecessors.key(&stored.subject) {
                        self.unreadable.remove(key);
                        self.there.insert(key.to_owned(), stored.value);
                    }
                }
                Update::Deleted { subject } => {
                    if let Some(key) = Bucket::Predecessors.key(&subject) {
                        self.there.remove(key);
                    }
                    return;
                }
                // After a reconnect the broker may have lost it all: what is still there is written once more.
                Update::Ready => {
                    if self.ready {
                        self.there.clear();
                    }
                    self.ready = true;
                    return;
                }
                Update::Unreadable { subject, error } => {
                    tracing::warn!(
                        subject,
                        error,
                        "what releases wait for can't be read; writing it again"
                    );
                    if let Some(key) = Bucket::Predecessors.key(&subject) {
                        self.there.remove(key);
                        self.unreadable.insert(key.to_owned());
                    }
                    return;
                }
            }
        }
    }

    /// Makes the bucket say what is so. False if that is to be tried again.
    async fn write(&mut self, bus: &Bus, index: &Index, lead: &Lead) -> bool {
        if !self.ready {
            return true;
        }
        let wanted: BTreeMap<String, Predecessors> = index
            .predecessors()
            .into_iter()
            .map(|row| (subject::application(&row.cluster, &row.app), row))
            .collect();
        let news: Vec<(&String, &Predecessors)> = wanted
            .iter()
            .filter(|(key, row)| self.there.get(*key) != Some(row))
            .collect();
        let gone: Vec<String> = self
            .there
            .keys()
            .chain(&self.unreadable)
            .filter(|key| !wanted.contains_key(*key))
            .cloned()
            .collect();
        if news.is_empty() && gone.is_empty() {
            return true;
        }
        if !lead.holds() {
            return false;
        }
        let mut done = true;
        for (key, row) in news {
            match bus.put(Bucket::Predecessors, key, row).await {
                Ok(_) => {
                    self.unreadable.remove(key);
                    self.there.insert(key.clone(), row.clone());
                }
                Err(error) => {
                    done = false;
                    warn(key, &error);
                }
            }
        }
        for key in gone {
            match bus.delete(Bucket::Predecessors, &key).await {
                Ok(()) => {
                    self.there.remove(&key);
                    self.unreadable.remove(&key);
                }
                Err(error) => {
                    done = false;
                    warn(&key, &error);
                }
            }
        }
        done
    }
}

fn warn(key: &str, error: &bus::BusError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(key, error, "saying what a release waits for; trying again");
}
