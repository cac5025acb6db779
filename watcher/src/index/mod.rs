//! All that the watcher knows, behind one lock that is only ever held for a moment: applications, configuration, what the bus
//! says, and the repositories with their revisions. Whoever changes something here wakes whom it concerns.

mod applications;
mod broker;
mod concerned;
mod handle;
mod order;
mod publishing;
mod queue;
mod repositories;
mod states;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::settings::WebhookSecrets;
use bus::message::condition::Condition;
use bus::message::desired::{Cause, Deleted};
use bus::message::state::Refreshed;
use bus::trace::Trace;
use bus::{AppId, ClusterId, Digest, Generation};
use git2::Oid;
use tokio::sync::mpsc;

use crate::affected::{Place, Record};
use crate::decide::Published;
use crate::had::Had;
use crate::intent::{Bounds, Intent, Problem};
use crate::order::{Order, Standing};
use crate::packs::Packs;
use crate::seen::Seen;
use crate::settings::Environment;
use crate::slot::{Needed, RepoKey, Slot, Source};
use crate::source::error::FetchError;
use crate::source::location::FilePolicy;
use crate::source::{Remote, Revision};

pub use applications::{Lost, Presence};
pub use concerned::Concerned;
pub use handle::{Handle, Wake};
pub use publishing::{Candidate, Candidates, Held, Prepared};
pub use queue::Queue;
pub use repositories::{Holder, Round};

/// What must be so before anything is concluded from what isn't there, and anything done: all was read once, and this watcher
/// leads. Until then the index only keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Applications,
    Projects,
    Secrets,
    Settings,
    KnownHosts,
    Authorities,
    Desired,
    Renders,
    Heads,
    /// Not read but held: of several watchers, this one leads.
    Lead,
}

impl Part {
    pub const ALL: [Self; 10] = [
        Self::Applications,
        Self::Projects,
        Self::Secrets,
        Self::Settings,
        Self::KnownHosts,
        Self::Authorities,
        Self::Desired,
        Self::Renders,
        Self::Heads,
        Self::Lead,
    ];
}

/// What never changes while the watcher runs.
#[derive(Clone, Debug)]
pub struct Fixed {
    pub control_namespace: String,
    pub file_repositories: bool,
    pub cache: PathBuf,
}

impl Fixed {
    fn bounds(&self) -> Bounds<'_> {
        Bounds {
            control_namespace: &self.control_namespace,
            files: FilePolicy {
                allowed: self.file_repositories,
                cache: &self.cache,
            },
        }
    }
}

pub struct Index {
    inner: Mutex<Inner>,
    fixed: Fixed,
    /// Applications of which something may have to be deleted.
    pub lifecycle: Queue,
    /// Applications whose state may have to be written.
    pub states: Queue,
    /// Projects, or settings that say something about them, may be others now.
    pub projects_changed: tokio::sync::Notify,
    /// What the releases of some applications wait for may be something else now.
    pub order_changed: tokio::sync::Notify,
    /// Repositories that need a worker.
    workers: mpsc::UnboundedSender<Arc<Handle>>,
}

#[derive(Default)]
struct Inner {
    started: BTreeSet<Part>,
    environment: Environment,
    /// None until argocd-secret was read.
    webhook_secrets: Option<Arc<WebhookSecrets>>,
    apps: HashMap<AppId, App>,
    /// Which of them are released after which others.
    order: Order,
    /// How those are that others wait for, says their applier.
    standings: BTreeMap<(AppId, ClusterId), Standing>,
    /// The newest desired state of each application in each cluster.
    published: HashMap<AppId, BTreeMap<ClusterId, Published>>,
    renders: HashMap<AppId, BTreeMap<ClusterId, Record>>,
    heads: HashMap<AppId, BTreeMap<ClusterId, Generation>>,
    /// The last generation that was given out, so that order of deciding is order of generations.
    reserved: HashMap<AppId, Generation>,
    /// Deletions that an applier reported: the object's uid, and the generation.
    carried_out: HashMap<(AppId, ClusterId), (String, Generation)>,
    /// Deletions that the broker lost before they were carried out.
    owed: HashMap<AppId, BTreeMap<ClusterId, Deleted>>,
    /// Applications without an object, says the API server: what is left of them on the bus can go.
    gone: BTreeSet<AppId>,
    /// Subjects that are being purged.
    purging: BTreeSet<(AppId, ClusterId)>,
    repos: HashMap<RepoKey, Repo>,
    /// What each cluster offers to renders.
    clusters: BTreeMap<ClusterId, Digest>,
    /// Snapshots that were on the bus when the watcher started, by tree.
    adopted: HashMap<Oid, Packs>,
    /// How many of them were still on the bus when that was last looked at.
    adopted_in_use: usize,
}

struct App {
    seen: Seen,
    /// What its status lists as its objects; nobody is woken by it.
    had: Had,
    /// The cluster that lost its record of it, until it is told again.
    bereft: Option<ClusterId>,
    /// Of the newest version of the object that was seen, whatever changed in it.
    resource_version: String,
    /// None until everything was read once.
    intent: Option<Intent>,
    /// What its render asked for beside the sources.
    needs: Vec<Needed>,
    /// Those of its sources and needs.
    repos: BTreeSet<RepoKey>,
    /// When what counts last changed, Unix milliseconds.
    noticed: u64,
    trace: Trace,
    /// A refresh that was asked for and not yet carried out.
    refreshing: Option<Refreshing>,
    refreshed: Option<Refreshed>,
    /// Publish though nothing changed.
    forced: Option<Cause>,
    /// The generation, and where the sources were for which it was proven to need nothing new.
    verified: Option<(Generation, Vec<Place>)>,
    /// How often in a row its render asked for more after it was given what it had asked for.
    rounds: usize,
    /// A generation that is on its way to the bus: until it is there, nothing else is published.
    publishing: Option<Generation>,
    /// Why the last attempt to publish failed.
    problem: Option<Problem>,
    /// Clusters whose applier carried out the object's deletion.
    farewells: BTreeSet<ClusterId>,
    conditions: Vec<Condition>,
}

/// A refresh that is being carried out.
struct Refreshing {
    /// When it was asked for, Unix milliseconds.
    since: u64,
    /// The repositories of its sources that weren't looked at since.
    waits_for: BTreeSet<RepoKey>,
}

struct Repo {
    handle: Arc<Handle>,
    remote: Remote,
    access: Arc<crate::source::access::Access>,
    apps: BTreeSet<AppId>,
    targets: BTreeMap<Arc<str>, Target>,
    /// When the last fetch that succeeded began, Unix milliseconds.
    fetched: Option<u64>,
}

/// A target revision.
#[derive(Clone, Debug)]
struct Target {
    /// The last one that was had.
    revision: Option<Revision>,
    error: Option<FetchError>,
    /// Whether its files are in the repository's copy.
    had: bool,
    /// Why and when it was looked at when the revision last changed.
    cause: Cause,
    noticed: u64,
    fetched: u64,
}

impl Index {
    pub fn new(fixed: Fixed) -> (Arc<Self>, mpsc::UnboundedReceiver<Arc<Handle>>) {
        let (workers, new) = mpsc::unbounded_channel();
        let index = Self {
            inner: Mutex::default(),
            fixed,
            lifecycle: Queue::default(),
            states: Queue::default(),
            projects_changed: tokio::sync::Notify::new(),
            order_changed: tokio::sync::Notify::new(),
            workers,
        };
        (Arc::new(index), new)
    }

    pub fn fixed(&self) -> &Fixed {
        &self.fixed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Something was read completely. When all is, work begins.
    pub fn started(&self, part: Part) {
        let mut inner = self.lock();
        let news = inner.started.insert(part);
        self.projects_changed.notify_one();
        let missing = inner.missing();
        if news && missing.is_empty() {
            tracing::info!(
                applications = inner.apps.len(),
                published = inner.published.len(),
                "everything was read, and this watcher leads: work begins"
            );
            self.judge_all(&mut inner);
            // What was published for an application that isn't there: is it really gone?
            for id in inner.published.keys() {
                self.lifecycle.push(id);
            }
        }
    }

    /// What must still be read.
    pub fn missing(&self) -> Vec<Part> {
        self.lock().missing()
    }

    /// Whether this watcher leads, or led.
    pub fn leads(&self) -> bool {
        self.lock().started.contains(&Part::Lead)
    }

    pub fn is_started(&self) -> bool {
        self.lock().missing().is_empty()
    }

    /// Numbers for the metrics: applications, repositories.
    pub fn sizes(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.apps.len(), inner.repos.len())
    }
}

impl App {
    /// The sources of a valid application.
    fn sources(&self) -> impl Iterator<Item = &Source> {
        let wanted = match &self.intent {
            Some(Intent::Wanted(wanted)) => Some(wanted),
            _ => None,
        };
        wanted.into_iter().flat_map(|wanted| &wanted.sources)
    }

    /// Where what its render asked for is had from.
    fn needed(&self) -> impl Iterator<Item = &Slot> {
        self.needs
            .iter()
            .filter_map(|needed| needed.slot.as_ref().ok())
    }

    /// Everything that it is made from.
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.sources()
            .map(|source| &source.slot)
            .chain(self.needed())
    }
}

impl Inner {
    fn missing(&self) -> Vec<Part> {
        Part::ALL
            .into_iter()
            .filter(|part| !self.started.contains(part))
            .collect()
    }
}

/// A panic while holding a lock ends the process by its supervisor; until then the others may go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
