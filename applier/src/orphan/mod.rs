//! Orphaned resources: objects in a namespace that no application has, for projects that want to know (`orphanedResources`).
//!
//! The live cache holds what is managed and nothing else, and a watch of all kinds of a namespace would hold the rest. So a namespace
//! is listed, and only while an application asks for it: kind after kind, metadata only, every few minutes and after each of its
//! applications' releases. `judge` says which of the objects found count for one application; it is pure.

mod judge;
mod list;

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::describe::KindsHandle;
use crate::live::Live;
use crate::object::Key;

pub(crate) use judge::{is_of_every_namespace, orphaned};
pub(crate) use list::is_of_the_cluster;

/// How often a namespace is listed that somebody asks for.
const PERIOD: Duration = Duration::from_mins(3);
/// How soon again at the earliest, however many of its applications are released.
const SOONEST: Duration = Duration::from_secs(5);

/// Objects of a namespace that belong to no application, whatever projects think of their kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Sorted, and no more than are worth keeping.
    pub(crate) objects: BTreeSet<Key>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// What applications want to know, and what is known.
#[derive(Default)]
pub(crate) struct Orphans {
    namespaces: Mutex<HashMap<Box<str>, Namespace>>,
    asked: Notify,
}

#[derive(Default)]
struct Namespace {
    found: Option<Arc<Found>>,
    looked: Option<Instant>,
    /// A release ended since.
    stale: bool,
    /// By the application's hash: its last release, and whom to wake.
    asking: HashMap<Box<str>, (u64, Arc<Notify>)>,
}

impl Namespace {
    /// When it is to be listed.
    fn due(&self) -> Option<Instant> {
        if self.asking.is_empty() {
            return None;
        }
        let Some(looked) = self.looked else {
            return Some(Instant::now());
        };
        Some(looked + if self.stale { SOONEST } else { PERIOD })
    }
}

impl Orphans {
    /// From now on the application is woken when something else is found in the namespace. What is known so far, if anything.
    pub(crate) fn ask(
        &self,
        namespace: &str,
        hash: &str,
        release: u64,
        waker: &Arc<Notify>,
    ) -> Option<Arc<Found>> {
        let mut namespaces = self.lock();
        let known = namespaces.entry(namespace.into()).or_default();
        let before = known.asking.insert(hash.into(), (release, waker.clone()));
        if before.is_none_or(|(before, _)| before != release) {
            known.stale = true;
            self.asked.notify_one();
        }
        known.found.clone()
    }

    /// The application no longer wants to know.
    pub(crate) fn forget(&self, namespace: &str, hash: &str) {
        let mut namespaces = self.lock();
        if let Some(known) = namespaces.get_mut(namespace) {
            known.asking.remove(hash);
            if known.asking.is_empty() {
                namespaces.remove(namespace);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Namespace>> {
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Instant, Box<str>)> {
        let namespaces = self.lock();
        let due = namespaces
            .iter()
            .filter_map(|(name, known)| Some((known.due()?, name.clone())));
        due.min()
    }

    fn learned(&self, namespace: &str, found: Option<Found>) {
        let mut namespaces = self.lock();
        let Some(known) = namespaces.get_mut(namespace) else {
            return;
        };
        known.looked = Some(Instant::now());
        // What couldn't be listed is asked for at its next time.
        let Some(found) = found else { return };
        if known.found.as_deref() == Some(&found) {
            return;
        }
        known.found = Some(Arc::new(found));
        for (_, waker) in known.asking.values() {
            waker.notify_one();
        }
    }

    fn begins(&self, namespace: &str) {
        if let Some(known) = self.lock().get_mut(namespace) {
            known.stale = false;
        }
    }
}

/// Lists one namespace after another, as they are due.
pub(crate) async fn run(
    cluster: Cluster,
    kinds: KindsHandle,
    live: Arc<Live>,
    orphans: Arc<Orphans>,
) -> Result<(), Infallible> {
    loop {
        let Some((due, namespace)) = orphans.next() else {
            orphans.asked.notified().await;
            continue;
        };
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            // Another one may be due before.
            () = orphans.asked.notified() => continue,
        }
        orphans.begins(&namespace);
        let found = list::list(&cluster, &kinds.get(), &live, &namespace).await;
        orphans.learned(&namespace, found);
    }
}
