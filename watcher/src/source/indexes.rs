//! The indexes of Helm repositories, as last read: of each only the charts that are in use, and all of them within one bound.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use tokio::sync::MutexGuard;

use super::error::FetchError;
use super::helm_index::Index;
use super::web;

/// Repositories whose index is kept.
const MAX_REPOSITORIES: usize = 1000;
/// What all indexes together may hold, in bytes.
const MAX_TOGETHER: usize = 32 << 20;
/// A chart that nobody looked for so long is read no more.
const UNUSED: Duration = Duration::from_hours(1);

/// One repository, as one login sees it.
pub(super) type Key = (String, [u8; 16]);

static ALL: LazyLock<Mutex<HashMap<Key, Arc<Repository>>>> = LazyLock::new(Mutex::default);

/// One repository's index. Whoever asks its host holds `held`.
#[derive(Default)]
pub(super) struct Repository {
    held: tokio::sync::Mutex<Held>,
    /// Which charts are looked for, and when each was last.
    wanted: Mutex<BTreeMap<Box<str>, Instant>>,
    /// What `held` holds, in bytes.
    size: AtomicUsize,
}

/// What is known of a repository's index.
#[derive(Default)]
pub(super) struct Held {
    /// When the host was last asked, and what became of it.
    pub(super) asked: Option<Instant>,
    pub(super) failed: Option<FetchError>,
    index: Option<Arc<Index>>,
    /// The charts that were read.
    charts: BTreeSet<Box<str>>,
    validator: Option<String>,
}

impl Repository {
    pub(super) fn of(key: Key) -> Arc<Self> {
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_REPOSITORIES && !all.contains_key(&key) {
            // Those that nobody looks at right now.
            all.retain(|_, repository| Arc::strong_count(repository) > 1);
        }
        Arc::clone(all.entry(key).or_default())
    }

    /// Says that a chart is in use.
    pub(super) fn want(&self, chart: &str, now: Instant) {
        self.wanted().insert(chart.into(), now);
    }

    /// The charts in use.
    pub(super) fn charts(&self, now: Instant) -> BTreeSet<Box<str>> {
        let mut wanted = self.wanted();
        wanted.retain(|_, last| now.saturating_duration_since(*last) < UNUSED);
        wanted.keys().cloned().collect()
    }

    pub(super) async fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().await
    }

    /// Keeps what was read, and lets go of other repositories' where that is too much.
    pub(super) fn keep(
        &self,
        held: &mut Held,
        index: Index,
        charts: BTreeSet<Box<str>>,
        validator: Option<String>,
    ) {
        self.size.store(index.size(), Ordering::Relaxed);
        (held.index, held.charts, held.validator) = (Some(Arc::new(index)), charts, validator);
        let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let size = |repository: &Self| repository.size.load(Ordering::Relaxed);
        let mut together: usize = all.values().map(|repository| size(repository)).sum();
        for repository in all.values() {
            if together <= MAX_TOGETHER {
                break;
            }
            // This one's, and those that are being looked at, are locked.
            if let Ok(mut other) = repository.held.try_lock() {
                other.index = None;
                together -= repository.size.swap(0, Ordering::Relaxed);
            }
        }
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, BTreeMap<Box<str>, Instant>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The index, if this chart of it was read.
    pub(super) fn index(&self, chart: &str) -> Option<&Arc<Index>> {
        self.index.as_ref().filter(|_| self.charts.contains(chart))
    }

    /// Asks for the index only if it is another than the one with this chart that is here.
    pub(super) fn unless(&self, chart: &str) -> HeaderMap {
        match (self.index(chart), &self.validator) {
            (Some(_), Some(validator)) => web::unless(validator),
            _ => HeaderMap::new(),
        }
    }
}
