//! All that is known, in memory: one [`View`] per application, folded anew whenever a part of it changes.
//!
//! A change costs the work of one application. What concerns many at once (a branch's newest checked commit) is joined when
//! it is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bus::message::event::{Event, EventKind};
use bus::message::state::{
    AgentState, ApplierState, Refreshed, ReleaseCause, RendererState, WatcherState,
};
use bus::message::verified::Verified;
use bus::{AppId, ClusterId};
use tokio::sync::{Notify, broadcast, watch};

use crate::declared::Declared;
use crate::events::{Events, Recorded};
use crate::fold::{Heard, Live, Parts, fold};
use crate::progress::{Progress, progress};
use crate::view::{Requested, View};

/// More applications than this are no longer followed: the bus can't be made to fill the memory.
const MAX_APPLICATIONS: usize = 20_000;
/// Branches that are followed.
const MAX_BRANCHES: usize = 20_000;
/// A listener that lags by more has to look at everything again.
const NOTICES: usize = 4_096;

/// Which service's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Watcher,
    Renderer,
    Agent,
    Applier,
}

impl Speaker {
    pub const ALL: [Self; 4] = [Self::Watcher, Self::Renderer, Self::Agent, Self::Applier];

    /// The service's name, as in the keys of bucket `state`.
    pub const fn service(self) -> &'static str {
        match self {
            Self::Watcher => "watcher",
            Self::Renderer => "renderer",
            Self::Agent => "secrets-agent",
            Self::Applier => "applier",
        }
    }
}

/// What listeners hear.
#[derive(Clone, Debug)]
pub enum Notice {
    Changed(AppId),
    Event(Arc<Recorded>),
}

pub struct Store {
    inner: RwLock<Inner>,
    notices: broadcast::Sender<Notice>,
    changed: Notify,
    /// Whether every state that was there at the start is known, so that what comes now is news.
    caught_up: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<AppId, Entry>,
    verified: HashMap<String, Verified>,
    events: Events,
    /// How many states were heard.
    heard: u64,
    /// Whether every `Application` that exists is known, so that a missing one is known to be gone.
    listed: bool,
    /// Applications that changed since the last look.
    changed: BTreeSet<AppId>,
}

struct Entry {
    parts: Parts,
    view: Arc<View>,
}

/// What the writer of statuses looks at.
pub struct Subject {
    pub view: View,
    /// Revisions without those that were only checked.
    pub compared: Vec<String>,
    pub declared: Option<Arc<Declared>>,
    /// The refresh that the watcher carried out last.
    pub refreshed: Option<Refreshed>,
    /// Whether the object is known to be gone.
    pub gone: bool,
    /// The states that are there, as (speaker, cluster of its key).
    pub spoken: Vec<(Speaker, Option<ClusterId>)>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            inner: RwLock::default(),
            notices: broadcast::channel(NOTICES).0,
            changed: Notify::new(),
            caught_up: watch::Sender::new(false),
        }
    }
}

impl Store {
    pub fn put_watcher(&self, key: Option<ClusterId>, state: WatcherState) {
        self.change(&state.app.clone(), |parts, order| {
            parts.watcher.insert(key, Box::new(Heard { order, state }));
        });
    }

    pub fn put_renderer(&self, state: RendererState) {
        self.change(&state.app.clone(), |parts, _| {
            let here = parts.clusters.entry(state.cluster.clone()).or_default();
            here.renderer = Some(state);
        });
    }

    pub fn put_agent(&self, state: AgentState) {
        self.change(&state.app.clone(), |parts, _| {
            let here = parts.clusters.entry(state.cluster.clone()).or_default();
            here.agent = Some(state);
        });
    }

    /// Keeps the state and says what it means for the metrics, unless it was there before we were.
    pub fn put_applier(&self, state: ApplierState) -> (Arc<View>, Progress) {
        let app = state.app.clone();
        let caught_up = *self.caught_up.borrow();
        let mut step = Progress::default();
        let view = self.change(&app, |parts, _| {
            let live = Live::from(state);
            if live.state.deleted.is_some() {
                parts.requested = None;
            }
            let here = parts
                .clusters
                .entry(live.state.cluster.clone())
                .or_default();
            if caught_up {
                let before = here
                    .applier
                    .as_ref()
                    .and_then(|before| before.operation.as_deref());
                step = progress(before, live.operation.as_deref());
            }
            if let Some(requested) = &parts.requested
                && is_answered(requested, &live)
            {
                parts.requested = None;
            }
            here.applier = Some(live);
        });
        (view, step)
    }

    /// Every state that was there at the start has been put.
    pub fn caught_up(&self) {
        self.caught_up.send_replace(true);
    }

    pub async fn until_caught_up(&self) {
        // The sender lives as long as we.
        let _ = self
            .caught_up
            .subscribe()
            .wait_for(|caught_up| *caught_up)
            .await;
    }

    pub fn forget(&self, speaker: Speaker, cluster: Option<&ClusterId>, app: &AppId) {
        self.change(app, |parts, _| {
            if speaker == Speaker::Watcher {
                parts.watcher.remove(&cluster.cloned());
                return;
            }
            let Some(cluster) = cluster else { return };
            if let Some(here) = parts.clusters.get_mut(cluster) {
                match speaker {
                    Speaker::Renderer => here.renderer = None,
                    Speaker::Agent => here.agent = None,
                    Speaker::Applier | Speaker::Watcher => here.applier = None,
                }
                if here.is_empty() {
                    parts.clusters.remove(cluster);
                }
            }
        });
    }

    pub fn declare(&self, mut declared: Declared) {
        self.change(&declared.app.clone(), |parts, _| {
            match &parts.declared {
                Some(known) if known.uid == declared.uid => declared.follows(known),
                Some(_) => parts.requested = None,
                None => {}
            }
            parts.declared = Some(Arc::new(declared));
        });
    }

    pub fn undeclare(&self, app: &AppId) {
        self.change(app, |parts, _| {
            parts.declared = None;
            parts.requested = None;
        });
    }

    /// Every `Application` that exists was declared; what isn't among `all` is gone.
    pub fn listed(&self, all: &BTreeSet<AppId>) {
        let (gone, first) = {
            let mut inner = self.write();
            let first = !inner.listed;
            inner.listed = true;
            let missing = inner.entries.iter().filter(|(app, _)| !all.contains(*app));
            let missing = missing.map(|(app, entry)| (app.clone(), entry.parts.declared.is_some()));
            (missing.collect::<Vec<_>>(), first)
        };
        for (app, declared) in gone {
            if declared || first {
                self.undeclare(&app);
            }
        }
    }

    pub fn verify(&self, key: &str, verified: Verified) {
        let mut inner = self.write();
        if inner.verified.len() < MAX_BRANCHES || inner.verified.contains_key(key) {
            inner.verified.insert(key.to_owned(), verified);
        }
    }

    pub fn unverify(&self, key: &str) {
        self.write().verified.remove(key);
    }

    pub fn record(&self, sequence: u64, event: Event) {
        let refused = (event.kind == EventKind::CommandRefused).then(|| event.clone());
        let recorded = self.write().events.record(sequence, event);
        let Some(recorded) = recorded else { return };
        if let Some(event) = refused {
            self.refuse(&event);
        }
        // Nobody listening is fine.
        let _ = self.notices.send(Notice::Event(recorded));
    }

    /// An operation that was asked for through the object is on its way.
    pub fn request(&self, app: &AppId, requested: Requested) {
        self.change(app, |parts, _| {
            let mut live = parts
                .clusters
                .values()
                .filter_map(|here| here.applier.as_ref());
            // Its release may have been faster than we.
            if !live.any(|live| is_answered(&requested, live)) {
                parts.requested = Some(Arc::new(requested));
            }
        });
    }

    /// Marks the request that the event is about as refused.
    fn refuse(&self, event: &Event) {
        let waiting = {
            let inner = self.read();
            let entry = inner.entries.get(&event.app);
            entry.and_then(|entry| entry.parts.requested.clone())
        };
        if let Some(requested) = waiting
            && event.detail.get("command") == Some(&requested.id)
        {
            let refused = Some(event.message.clone());
            self.request(
                &event.app,
                Requested {
                    refused,
                    ..(*requested).clone()
                },
            );
        }
    }

    pub fn view(&self, app: &AppId) -> Option<View> {
        let inner = self.read();
        let view = &inner.entries.get(app)?.view;
        Some(view.joined(|branch| inner.verified.get(branch)))
    }

    /// Views of all applications, by name.
    pub fn views(&self) -> Vec<View> {
        let inner = self.read();
        let join = |entry: &Entry| entry.view.joined(|branch| inner.verified.get(branch));
        inner.entries.values().map(join).collect()
    }

    pub fn subject(&self, app: &AppId) -> Option<Subject> {
        let inner = self.read();
        let entry = inner.entries.get(app)?;
        let watchers = entry
            .parts
            .watcher
            .keys()
            .map(|key| (Speaker::Watcher, key.clone()));
        let others = entry.parts.clusters.iter().flat_map(|(cluster, here)| {
            let spoken = [
                (Speaker::Renderer, here.renderer.is_some()),
                (Speaker::Agent, here.agent.is_some()),
                (Speaker::Applier, here.applier.is_some()),
            ];
            let spoken = spoken.into_iter().filter(|(_, there)| *there);
            spoken.map(|(speaker, _)| (speaker, Some(cluster.clone())))
        });
        Some(Subject {
            view: entry.view.joined(|branch| inner.verified.get(branch)),
            compared: entry.view.revisions.clone(),
            declared: entry.parts.declared.clone(),
            refreshed: entry
                .parts
                .watcher()
                .and_then(|state| state.refreshed.clone()),
            gone: inner.listed && entry.parts.declared.is_none(),
            spoken: watchers.chain(others).collect(),
        })
    }

    /// The last events of one application or of all, newest last.
    pub fn events(&self, app: Option<&AppId>, limit: usize) -> Vec<Arc<Recorded>> {
        let inner = self.read();
        let mut newest: Vec<_> = match app {
            Some(app) => inner.events.of(app).rev().take(limit).cloned().collect(),
            None => inner.events.all().rev().take(limit).cloned().collect(),
        };
        newest.reverse();
        newest
    }

    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Waits until an application changed, then gives all that did since the last time.
    pub async fn changed(&self) -> BTreeSet<AppId> {
        loop {
            let woken = self.changed.notified();
            let changed = std::mem::take(&mut self.write().changed);
            if !changed.is_empty() {
                return changed;
            }
            woken.await;
        }
    }

    fn change(&self, app: &AppId, edit: impl FnOnce(&mut Parts, u64)) -> Arc<View> {
        let mut guard = self.write();
        let inner = &mut *guard;
        inner.heard += 1;
        let mut entry = match inner.entries.remove(app) {
            Some(entry) => entry,
            None => Entry {
                parts: Parts::default(),
                view: Arc::new(fold(app, &Parts::default())),
            },
        };
        edit(&mut entry.parts, inner.heard);
        let before = Arc::clone(&entry.view);
        entry.view = Arc::new(fold(app, &entry.parts));
        let view = Arc::clone(&entry.view);
        let differs = *view != *before;
        if entry.parts.is_empty() {
            // Nothing says anything of it any more.
        } else if inner.entries.len() < MAX_APPLICATIONS {
            inner.entries.insert(app.clone(), entry);
        } else {
            tracing::warn!(%app, "over {MAX_APPLICATIONS} applications: this one is not followed");
        }
        inner.changed.insert(app.clone());
        drop(guard);
        self.changed.notify_one();
        if differs {
            let _ = self.notices.send(Notice::Changed(app.clone()));
        }
        view
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the applier's state shows what became of the request.
fn is_answered(requested: &Requested, live: &Live) -> bool {
    live.operation.as_ref().is_some_and(|operation| {
        matches!(&operation.cause, ReleaseCause::Command { id, .. } if *id == requested.id)
            || operation.started > requested.at
    })
}

#[cfg(test)]
mod tests;
