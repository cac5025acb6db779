//! One application: everything that reaches it goes through one task, so nothing of it happens twice at once.
//!
//! Level-triggered: a message or a change of a live object only wakes the task, which then looks at how things are.

mod advance;
mod annotation;
mod check;
mod command;
mod compare;
mod contents;
mod decide;
mod deletion;
mod deletion_hooks;
mod diff;
mod explain;
mod fail;
mod finish;
mod go_back;
mod hand_over;
mod heal;
mod ignore;
mod inherit;
mod namespace;
mod orphans;
mod pace;
mod pin;
mod predecessors;
mod presence;
mod prune;
mod release;
mod resolve;
mod restart;
mod rotation;
mod steps;
mod target;
mod tree;
mod trial;
mod unchanged;
mod view;
mod window;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bus::message::command::Command;
use bus::message::condition::Condition;
use bus::message::desired::{Desired, DesiredState, Present};
use bus::message::manifests::Manifests;
use bus::message::predecessors::Predecessors;
use bus::message::state::{AgentState, Operation};
use bus::{AppId, Generation, Outcome, clock};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::check::Inquired;
use crate::context::Context;
use crate::diff::Prepared;
use crate::direct::DirectOrder;
use crate::metrics::Share;
use crate::object::{Finding, Key};
use crate::store::{AppliedMap, Loaded, Record, Slot};
use crate::tree::Rooted;

use self::pace::Paces;
use self::release::{Request, Running};
pub(crate) use self::target::Target;

/// Changes that come together are shown together.
const SHOW_AFTER: Duration = Duration::from_millis(100);

/// What reaches an application from outside.
pub(crate) enum Note {
    Desired(Arc<Desired>),
    Manifests(Arc<Manifests>),
    Command(Box<Command>, oneshot::Sender<Outcome>),
    /// An order past the broker; the answer is why it isn't carried out.
    Direct(Box<DirectOrder>, oneshot::Sender<Result<(), String>>),
    /// What a release would change, of the application's own manifests or of these.
    Diff(Option<Arc<[u8]>>, oneshot::Sender<Prepared>),
    /// Which secrets are read, by the application's own manifests or by these.
    Check(Option<Arc<[u8]>>, oneshot::Sender<Inquired>),
    /// What it has in the cluster.
    Tree(oneshot::Sender<Rooted>),
    /// Which versions the application's secrets have, as its agent saw last.
    Versions(Box<AgentState>),
    /// How the applications are that its releases wait for.
    Predecessors(Predecessors),
    /// Projects changed.
    Projects,
    /// What argocd-cm says about objects changed.
    Settings,
    /// Everything that the broker holds has been delivered.
    Ready,
    /// A new connection to the broker, which may have lost what was said before.
    Reconnected,
    /// The desired state was purged, which the watcher does when a deletion is done.
    Purged,
}

pub(crate) struct App {
    ctx: Arc<Context>,
    id: AppId,
    /// Value of the label `towline.dev/application`.
    hash: String,
    mailbox: mpsc::UnboundedReceiver<Note>,
    waker: Arc<Notify>,

    slot: Slot,
    record: Option<Record>,
    applied: AppliedMap,
    /// The record is ahead of what the cluster holds.
    unsaved: bool,

    desired: Option<Arc<Desired>>,
    manifests: Option<Arc<Manifests>>,
    /// The application itself, of the newest desired state that says that it should be there.
    present: Option<Arc<Present>>,
    /// The generation whose manifests can't be had.
    unjoinable: Option<Generation>,
    /// Joined from the two, or recalled from the cluster while the broker has nothing.
    target: Option<Arc<Target>>,
    /// What the project and our bounds say against the target.
    forbidden: Vec<Finding>,
    /// The release that the application is held at, by a person or after a failure.
    held_target: Option<Arc<Target>>,
    /// Who ended the pin; the next release says so.
    unpinned_by: Option<String>,
    broker_ready: bool,
    refused: Option<Generation>,
    /// The generation whose list of what the application had was looked through.
    inherited: Option<Generation>,

    rotation: rotation::Rotation,

    /// As its watcher said last.
    predecessors: Option<Predecessors>,
    /// A release that waits for other applications.
    awaiting: Option<predecessors::Awaiting>,
    running: Option<Running>,
    /// Dry runs under way, and what came of the last one.
    trials: JoinSet<trial::Tried>,
    trial: Option<Operation>,
    requests: VecDeque<Request>,
    deletion: Option<deletion::Run>,
    /// UID of the deletion that was carried out.
    deleted: Option<String>,
    paces: Paces,
    /// Its part of what the metric counts.
    fights: Share,
    /// Which fields don't count.
    ignores: ignore::Known,
    /// Drifted objects that an event told of.
    told_drift: HashSet<Key>,
    explained: HashMap<Key, u64>,
    /// What objects hold that may go.
    contents: HashMap<Key, contents::Seen>,
    /// By object: manifest digest and resource version of a dry run, and whether it differed.
    compared: HashMap<Key, (Box<str>, u64, bool)>,
    /// What is wrong beside what the target, the record and the pin say.
    trouble: Option<Condition>,
    /// The sync window that holds back what would be done.
    held: Option<Condition>,
    /// What nobody has in the namespace, as the project wants to hear.
    orphaned: Option<Condition>,
    /// The namespace that is looked at for that.
    orphans_of: Option<Box<str>>,
    shown: view::Shown,
    look_again: Option<u64>,
    show_at: Option<tokio::time::Instant>,
    over: bool,
}

impl App {
    pub(crate) fn new(
        ctx: Arc<Context>,
        id: AppId,
        mailbox: mpsc::UnboundedReceiver<Note>,
        loaded: Option<Loaded>,
    ) -> Self {
        let hash = api::tracking::application_label(id.namespace(), id.name());
        let waker = Arc::new(Notify::new());
        ctx.live.subscribe(&hash, waker.clone());
        let (slot, record, applied) = match loaded {
            Some(loaded) => (loaded.slot, Some(loaded.record), loaded.applied),
            None => (Slot::default(), None, AppliedMap::new()),
        };
        for (key, applied) in &applied {
            ctx.live.set_reference(key, applied.reference.clone());
        }
        let fights = ctx.metrics.contested();
        Self {
            ctx,
            id,
            hash,
            mailbox,
            waker,
            slot,
            record,
            applied,
            unsaved: false,
            desired: None,
            manifests: None,
            present: None,
            unjoinable: None,
            target: None,
            forbidden: Vec::new(),
            held_target: None,
            unpinned_by: None,
            broker_ready: false,
            refused: None,
            inherited: None,
            rotation: rotation::Rotation::default(),
            predecessors: None,
            awaiting: None,
            trials: JoinSet::new(),
            trial: None,
            running: None,
            requests: VecDeque::new(),
            deletion: None,
            deleted: None,
            paces: Paces::default(),
            fights,
            ignores: ignore::Known::default(),
            told_drift: HashSet::new(),
            explained: HashMap::new(),
            contents: HashMap::new(),
            compared: HashMap::new(),
            trouble: None,
            held: None,
            orphaned: None,
            orphans_of: None,
            shown: view::Shown::default(),
            look_again: None,
            show_at: None,
            over: false,
        }
    }

    /// Until the application is gone or the process drains.
    pub(crate) async fn run(mut self, token: CancellationToken) {
        if let Some(record) = &self.record {
            self.ctx.publisher.head(&self.id, &self.ctx.id, record.head);
        }
        // What a step needs is kept while it lasts, not for as long as the application.
        Box::pin(self.advance()).await;
        while !self.over {
            tokio::select! {
                () = token.cancelled() => break,
                note = self.mailbox.recv() => match note {
                    Some(note) => Box::pin(self.take(note)).await,
                    None => break,
                },
                () = self.waker.notified() => {}
                Some(tried) = self.trials.join_next() => self.tried(tried),
                () = until(self.look_again) => self.look_again = None,
                () = sleep_until(self.show_at) => {
                    self.show_at = None;
                    self.show();
                    continue;
                }
            }
            // Everything that waits counts before anything is decided.
            while let Ok(note) = self.mailbox.try_recv() {
                Box::pin(self.take(note)).await;
            }
            Box::pin(self.advance()).await;
        }
        self.ctx.live.unsubscribe(&self.hash);
        self.forget_orphans();
    }

    async fn take(&mut self, note: Note) {
        match note {
            Note::Desired(desired) => self.take_desired(desired),
            Note::Manifests(manifests) => {
                let newer = self
                    .manifests
                    .as_ref()
                    .is_none_or(|known| known.generation <= manifests.generation);
                if newer {
                    self.manifests = Some(manifests);
                }
            }
            Note::Command(command, done) => self.command(*command, done).await,
            Note::Direct(order, done) => {
                let carried_out = self.direct(*order).await;
                // Whoever watches for orders may be gone.
                let _ = done.send(carried_out);
            }
            Note::Diff(manifests, done) => {
                // Whoever asked may have given up.
                let _ = done.send(self.prepare_diff(manifests));
            }
            Note::Tree(done) => {
                let _ = done.send(self.roots());
            }
            Note::Check(manifests, done) => {
                let _ = done.send(self.prepare_check(manifests));
            }
            Note::Versions(state) => self.take_versions(*state),
            Note::Predecessors(said) => self.predecessors = Some(said),
            Note::Projects => self.check_project(),
            // Looked at with the next step.
            Note::Settings => {}
            Note::Ready => self.broker_ready = true,
            Note::Reconnected => {
                self.shown.not_sent();
                if let Some(record) = &self.record {
                    self.ctx.publisher.head(&self.id, &self.ctx.id, record.head);
                }
            }
            Note::Purged => self.purged(),
        }
        self.changed();
    }

    fn take_desired(&mut self, desired: Arc<Desired>) {
        let head = self.record.as_ref().map(|record| record.head);
        if let Some(head) = head.filter(|head| desired.generation < *head) {
            if self.refused != Some(desired.generation) {
                self.refused = Some(desired.generation);
                self.refuse(&desired, head);
            }
            return;
        }
        if self
            .desired
            .as_ref()
            .is_some_and(|known| known.generation > desired.generation)
        {
            return;
        }
        if let DesiredState::Present(present) = &desired.state {
            self.ctx.live.set_label_key(&present.tracking.label_key);
            self.present = Some(Arc::clone(present));
            // It was desired before we began, and the cluster holds nothing of it: its record was lost, and with it what it had.
            if !self.broker_ready && self.record.is_none() && present.had.is_empty() {
                self.ctx.publisher.forget_head(&self.id);
            }
            if self
                .deleted
                .as_deref()
                .is_some_and(|uid| uid != present.uid)
            {
                self.deleted = None;
            }
        }
        self.desired = Some(desired);
    }

    /// The desired state was purged. Only what is known to be deleted is forgotten.
    fn purged(&mut self) {
        let deleted = matches!(
            self.desired.as_deref(),
            Some(Desired {
                state: DesiredState::Deleted(_),
                ..
            })
        );
        if deleted && self.deleted.is_some() && self.record.is_none() {
            self.ctx.publisher.forget_state(&self.id);
            self.over = true;
        }
    }

    /// Something may look different now.
    fn changed(&mut self) {
        if self.show_at.is_none() {
            self.show_at = Some(tokio::time::Instant::now() + SHOW_AFTER);
        }
    }

    fn now() -> u64 {
        clock::now_ms()
    }

    fn look_again_at(&mut self, at: u64) {
        self.look_again = Some(self.look_again.map_or(at, |known| known.min(at)));
    }
}

async fn until(at: Option<u64>) {
    match at {
        Some(at) => {
            tokio::time::sleep(Duration::from_millis(at.saturating_sub(clock::now_ms()))).await;
        }
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
