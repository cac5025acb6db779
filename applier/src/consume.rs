//! From the bus to the applications: state (desired, manifests, projects, settings) as it comes, each to its application's task.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bus::message::desired::Desired;
use bus::message::manifests::Manifests;
use bus::message::predecessors::Predecessors;
use bus::message::project::Project;
use bus::message::settings::Settings;
use bus::message::state::AgentState;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Update};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Note};
use crate::context::Context;
use crate::store::Loaded;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsumeError {
    #[error("the task of an application ended unexpectedly")]
    Application(#[source] tokio::task::JoinError),
    #[error("nobody is left to send commands")]
    Commands,
    #[error("the connection to the broker is gone")]
    Connection,
}

/// What the broker has delivered completely, at least once.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a source of its own")]
struct Delivered {
    desired: bool,
    manifests: bool,
    /// Without them an object could be taken for healthy that isn't.
    settings: bool,
    /// Without them an object could be taken for one that its application may not have.
    projects: bool,
}

struct Applications {
    ctx: Arc<Context>,
    token: CancellationToken,
    mailboxes: HashMap<AppId, mpsc::UnboundedSender<Note>>,
    tasks: JoinSet<AppId>,
    ready: bool,
}

pub(crate) async fn run(
    ctx: Arc<Context>,
    loaded: Vec<Loaded>,
    mut commands: mpsc::Receiver<(AppId, Note)>,
    token: CancellationToken,
) -> Result<(), ConsumeError> {
    let mut desired = ctx
        .bus
        .watch_stream::<Desired>(Stream::Desired, &subject::desired_of(&ctx.id));
    let mut manifests = ctx
        .bus
        .watch_stream::<Manifests>(Stream::Manifests, &subject::manifests_of(&ctx.id));
    let mut projects = ctx.bus.watch_bucket::<Project>(Bucket::Projects, ">");
    let mut settings = ctx
        .bus
        .watch_bucket::<Settings>(Bucket::Settings, Settings::KEY);
    let mut versions = ctx
        .bus
        .watch_bucket::<AgentState>(Bucket::State, &subject::versions_of(&ctx.id));
    let mut predecessors = ctx
        .bus
        .watch_bucket::<Predecessors>(Bucket::Predecessors, &format!("{}.>", ctx.id));
    let mut connections = ctx.bus.connections();
    let mut apps = Applications {
        ctx: ctx.clone(),
        token: token.clone(),
        mailboxes: HashMap::new(),
        tasks: JoinSet::new(),
        ready: false,
    };
    for loaded in loaded {
        let app = &loaded.record.app;
        ctx.wanted.begin(&hash_of(app), app, Instant::now());
        apps.begin(loaded.record.app.clone(), Some(loaded));
    }
    let mut delivered = Delivered::default();
    loop {
        tokio::select! {
            () = token.cancelled() => break,
            update = desired.next() => match update {
                Update::Put(stored) => apps.desired(stored.value),
                Update::Deleted { subject } => if let Some((_, app)) = subject::parse_application(&subject) {
                    apps.tell(&app, Note::Purged);
                },
                Update::Ready => { delivered.desired = true; apps.ready(&delivered); }
                Update::Unreadable { subject, error } => tracing::error!(subject, error, "unreadable desired state"),
            },
            update = manifests.next() => match update {
                Update::Put(stored) => apps.send(&stored.value.app.clone(), Note::Manifests(Arc::new(stored.value))),
                Update::Deleted { .. } => {}
                Update::Ready => { delivered.manifests = true; apps.ready(&delivered); }
                Update::Unreadable { subject, error } => tracing::error!(subject, error, "unreadable manifests"),
            },
            update = projects.next() => match update {
                Update::Put(stored) => if ctx.projects.put(stored.value) { apps.tell_all(|| Note::Projects) },
                Update::Deleted { subject } => if let Some(key) = Bucket::Projects.key(&subject) {
                    ctx.projects.remove(&subject::unescape(key));
                    apps.tell_all(|| Note::Projects);
                },
                Update::Ready => { delivered.projects = true; apps.ready(&delivered); }
                Update::Unreadable { subject, error } => tracing::error!(subject, error, "unreadable project"),
            },
            update = settings.next() => match update {
                Update::Put(stored) => if ctx.settings.put(stored.value) {
                    ctx.live.set_customizations(&ctx.settings.get().customizations);
                    apps.tell_all(|| Note::Settings);
                },
                // A broker that was wiped says nothing about the ConfigMap: what it said holds until it is published again.
                Update::Deleted { .. } => {}
                Update::Ready => { delivered.settings = true; apps.ready(&delivered); }
                Update::Unreadable { subject, error } => tracing::error!(subject, error, "unreadable settings"),
            },
            update = versions.next() => match update {
                Update::Put(stored) => apps.tell(&stored.value.app.clone(), Note::Versions(Box::new(stored.value))),
                // Told again with the next answer.
                Update::Deleted { .. } | Update::Ready => {}
                Update::Unreadable { subject, error } => tracing::error!(subject, error, "unreadable versions"),
            },
            update = predecessors.next() => match update {
                Update::Put(stored) => apps.send(&stored.value.app.clone(), Note::Predecessors(stored.value)),
                // Of an application that waits for nobody any more, or said again by the watcher.
                Update::Deleted { .. } | Update::Ready => {}
                Update::Unreadable { subject, error } => tracing::error!(subject, error, "unreadable predecessors"),
            },
            command = commands.recv() => match command {
                Some((app, note)) => apps.send(&app, note),
                // Commands end first when the process drains.
                None if token.is_cancelled() => break,
                None => return Err(ConsumeError::Commands),
            },
            changed = connections.changed() => match changed {
                Ok(()) => apps.tell_all(|| Note::Reconnected),
                Err(_) => return Err(ConsumeError::Connection),
            },
            Some(ended) = apps.tasks.join_next() => apps.ended(ended)?,
        }
    }
    loop {
        tokio::select! {
            ended = apps.tasks.join_next() => match ended {
                Some(ended) => { ended.map_err(ConsumeError::Application)?; }
                None => return Ok(()),
            },
            // Whatever still waits for the Lease must never be done.
            () = ctx.lead.pauses() => return Ok(()),
        }
    }
}

impl Applications {
    fn begin(&mut self, app: AppId, loaded: Option<Loaded>) {
        let (mailbox, received) = mpsc::unbounded_channel();
        if self.ready {
            // The receiver is held right here.
            let _ = mailbox.send(Note::Ready);
        }
        let task =
            App::new(self.ctx.clone(), app.clone(), received, loaded).run(self.token.clone());
        self.mailboxes.insert(app.clone(), mailbox);
        self.ctx
            .metrics
            .applications
            .set(i64::try_from(self.mailboxes.len()).unwrap_or(i64::MAX));
        self.tasks.spawn(async move {
            task.await;
            app
        });
    }

    fn desired(&mut self, desired: Desired) {
        let hash = hash_of(&desired.app);
        let stirred = self.ctx.wanted.desired(&hash, &desired, Instant::now());
        self.ctx.live.stir(&stirred, &hash);
        self.send(&desired.app.clone(), Note::Desired(Arc::new(desired)));
    }

    /// To the application, which begins if it isn't known.
    fn send(&mut self, app: &AppId, note: Note) {
        let Some(mailbox) = self.mailboxes.get(app) else {
            self.begin(app.clone(), None);
            self.tell(app, note);
            return;
        };
        if let Err(mpsc::error::SendError(note)) = mailbox.send(note) {
            // It ended a moment ago, and nobody has noticed yet.
            self.begin(app.clone(), None);
            self.tell(app, note);
        }
    }

    fn tell(&self, app: &AppId, note: Note) {
        if let Some(mailbox) = self.mailboxes.get(app) {
            // One that ended has nothing left to be told.
            let _ = mailbox.send(note);
        }
    }

    fn tell_all(&self, note: impl Fn() -> Note) {
        for mailbox in self.mailboxes.values() {
            let _ = mailbox.send(note());
        }
    }

    fn ready(&mut self, delivered: &Delivered) {
        let Delivered {
            desired,
            manifests,
            settings,
            projects,
        } = delivered;
        if *desired && *manifests && *settings && *projects && !self.ready {
            self.ready = true;
            self.ctx.live.stir(&self.ctx.wanted.delivered(), "");
            self.tell_all(|| Note::Ready);
        }
    }

    fn ended(&mut self, ended: Result<AppId, tokio::task::JoinError>) -> Result<(), ConsumeError> {
        let app = ended.map_err(ConsumeError::Application)?;
        // A newer task may have taken its place.
        if self
            .mailboxes
            .get(&app)
            .is_some_and(mpsc::UnboundedSender::is_closed)
        {
            self.mailboxes.remove(&app);
            let hash = hash_of(&app);
            self.ctx.live.stir(&self.ctx.wanted.forget(&hash), &hash);
        }
        self.ctx
            .metrics
            .applications
            .set(i64::try_from(self.mailboxes.len()).unwrap_or(i64::MAX));
        Ok(())
    }
}

fn hash_of(app: &AppId) -> String {
    api::tracking::application_label(app.namespace(), app.name())
}
