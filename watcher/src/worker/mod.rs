//! One worker per repository, however many applications use it: woken → fetch → candidates → compare → snapshot → publish.

mod compare;
mod hosts;
mod store;
mod stores;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::message::desired::Cause;
use bus::message::event::{Event, EventKind};
use bus::trace::{self, Trace};
use bus::{Bus, clock};
use futures::StreamExt;
use git2::Oid;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::decide::Decision;
use crate::index::{Candidate, Concerned, Handle, Held, Holder, Index, Wake};
use crate::intent::Problem;
use crate::links::LinkPolicy;
use crate::metrics::Metrics;
use crate::packs::Packs;
use crate::poll;
use crate::publish::{Publisher, Sent};
use crate::slot::RepoKey;
use crate::source::error::FetchError;
use crate::source::{Limits, Revisions};

use hosts::{Admission, Later, Turn, Turned};
use trouble::Verdict;

pub use hosts::Hosts;
pub use store::{Store, StoreLimits};
pub use stores::Stores;

/// Desired states of one repository that are published at the same time.
const PUBLISHING: usize = 32;
/// After a failure to publish, the applications are looked at again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// States that can't be written for so long are not waited for: the repository is looked at meanwhile.
const TOLD: Duration = Duration::from_secs(5);

/// What all workers share.
#[derive(Clone)]
pub struct Context {
    pub index: Arc<Index>,
    pub bus: Bus,
    pub publisher: Publisher,
    pub metrics: Arc<Metrics>,
    pub hosts: Arc<Hosts>,
    pub stores: Arc<Stores>,
    pub limits: Bounds,
}

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub poll_interval: Duration,
    pub fetch_timeout: Duration,
    /// Bytes received in one fetch.
    pub fetch_bytes: usize,
    pub store: StoreLimits,
    pub links: LinkPolicy,
}

/// Runs a worker for each new repository, until the token is cancelled; a worker that panics ends the process.
pub async fn supervise(
    context: Context,
    mut new: mpsc::UnboundedReceiver<Arc<Handle>>,
    token: CancellationToken,
) -> Result<(), tokio::task::JoinError> {
    let mut workers = JoinSet::new();
    loop {
        tokio::select! {
            () = token.cancelled() => break,
            handle = new.recv() => match handle {
                Some(handle) => {
                    let worker = Worker::new(context.clone(), handle);
                    workers.spawn(worker.run(token.clone()));
                }
                None => break,
            },
            Some(ended) = workers.join_next() => ended?,
        }
    }
    while let Some(ended) = workers.join_next().await {
        ended?;
    }
    Ok(())
}

/// Whether a failure may pass by itself.
struct Passing(bool);

/// Why a look was asked for, since when, and in which trace.
type Fetch = (Cause, u64, Trace);

/// The packs of trees, stored; or whether the failure may pass by itself, and what to tell people.
type Packed = BTreeMap<(RepoKey, Oid), Result<Packs, (bool, Problem)>>;

struct Worker {
    context: Context,
    handle: Arc<Handle>,
    store: Arc<Store>,
    failures: u32,
    /// When the host was looked at last, and a random number for the wait until the next time.
    looked: Option<(tokio::time::Instant, f64)>,
    /// A look that was asked for while the host is left alone.
    postponed: Option<(Fetch, Later)>,
    /// Applications that an earlier look left to a later one: they failed, or are on their way to the bus.
    owed: Concerned,
    /// Revisions that bucket `verified` holds, by its key.
    verified: BTreeMap<String, Arc<str>>,
}

impl Worker {
    fn new(context: Context, handle: Arc<Handle>) -> Self {
        let store = context.stores.of(&handle.key);
        Self {
            context,
            handle,
            store,
            failures: 0,
            looked: None,
            postponed: None,
            owed: Concerned::default(),
            verified: BTreeMap::new(),
        }
    }

    fn key(&self) -> &RepoKey {
        &self.handle.key
    }

    async fn run(mut self, token: CancellationToken) {
        // When to try again what failed.
        let mut retry = None;
        loop {
            let handle = Arc::clone(&self.handle);
            // Reckoned anew each time: the interval is a setting.
            let due = self.next_poll();
            let wake = tokio::select! {
                () = token.cancelled() => return,
                wake = handle.woken() => wake,
                () = until(due), if self.postponed.is_none() => Wake::fetch(Cause::Poll, Trace::new()),
                fetch = over(&mut self.postponed) => Wake { fetch: Some(fetch), ..Wake::default() },
                () = until(retry) => Wake::default(),
            };
            match self.context.index.holder(&self.handle) {
                Holder::This => {}
                Holder::Another => return,
                Holder::Nobody => {
                    self.store.remove().await;
                    let Self {
                        context,
                        handle,
                        store,
                        ..
                    } = self;
                    context.stores.release(&handle.key, store);
                    return;
                }
            }
            if wake.forget {
                self.store.forget();
                self.verified.clear();
            }
            let trace = wake.fetch.map_or_else(Trace::new, |(_, _, trace)| trace);
            // A round once begun is ended, also when the process drains: what it publishes is whole.
            let again = trace::within(trace, self.round(wake)).await;
            retry = again.then(|| tokio::time::Instant::now() + RETRY);
        }
    }

    fn next_poll(&self) -> Option<tokio::time::Instant> {
        let (looked, random) = self.looked?;
        let (interval, jitter) = self.interval();
        Some(looked + poll::next(interval, jitter, self.failures, random)?)
    }

    fn interval(&self) -> (Duration, Option<Duration>) {
        self.context.index.environment(|environment| {
            let settings = &environment.settings;
            (
                settings
                    .reconciliation_timeout
                    .unwrap_or(self.context.limits.poll_interval),
                settings.reconciliation_jitter,
            )
        })
    }

    /// One look at the host, if that is asked for, and at the applications. True if something should be tried again soon.
    async fn round(&mut self, wake: Wake) -> bool {
        let index = Arc::clone(&self.context.index);
        let mut round = None;
        if let Some(fetch) = wake.fetch {
            let Some(begun) = index.round(self.key()) else {
                return false;
            };
            if let Some(turn) = self.admitted(&begun, fetch).await {
                let (cause, noticed, _) = fetch;
                let start = clock::now_ms();
                self.context.metrics.waited(noticed, start);
                self.context.metrics.looked(cause);
                let result = self.fetch(&begun, turn, noticed).await;
                self.looked = Some((tokio::time::Instant::now(), rand::random()));
                match &result {
                    Ok(_) => self.failures = 0,
                    Err(error) => {
                        self.failures = self.failures.saturating_add(1);
                        tracing::warn!(repository = begun.remote.shown(), %error, "fetching failed");
                    }
                }
                let news = index.fetched(self.key(), (cause, noticed), start, result);
                self.tell(news).await;
                round = Some(begun);
            }
        }
        let concerned = match wake.fetch {
            Some(_) => Concerned::All,
            None => wake.evaluate,
        };
        let again = self.evaluate(concerned, round.is_some()).await;
        if let Some(round) = round {
            index.finish(self.key(), &round);
        }
        again
    }

    /// A turn at the host; none while that is left alone, and then the look is made up for.
    async fn admitted(&mut self, round: &crate::index::Round, fetch: Fetch) -> Option<Turn> {
        let hosts = &self.context.hosts;
        let (cause, noticed, _) = fetch;
        match hosts.admit(round.remote.host(), cause).await {
            Admission::Go(turn) => {
                self.postponed = None;
                Some(turn)
            }
            Admission::Later(later) => {
                self.context.metrics.postponed();
                let error = FetchError::Postponed {
                    url: round.remote.shown(),
                };
                // Since when somebody waits stays.
                let first = self.postponed.take().map_or(fetch, |(first, _)| first);
                self.postponed = Some((first, later));
                let news = self
                    .context
                    .index
                    .postponed(self.key(), (cause, noticed), &error);
                self.tell(news).await;
                None
            }
        }
    }

    async fn fetch(
        &self,
        round: &crate::index::Round,
        turn: Turn,
        noticed: u64,
    ) -> Result<Revisions, FetchError> {
        if round.targets.is_empty() {
            self.context.hosts.report(turn, Verdict::Unknown);
            return Ok(Revisions::new());
        }
        let Bounds {
            fetch_timeout,
            fetch_bytes,
            ..
        } = self.context.limits;
        let started = Instant::now();
        let limits = Limits {
            deadline: started + fetch_timeout,
            bytes: fetch_bytes,
        };
        let crate::index::Round {
            remote,
            access,
            targets,
            look,
            ..
        } = round;
        let result = self
            .store
            .fetch(remote, access, targets, *look, limits)
            .await;
        // What was had before says nothing about the host.
        let outage = match &result {
            Ok(looked) => looked.outage.as_ref(),
            Err(error) => Some(error),
        };
        let outcome = outage.map_or("ok", FetchError::label);
        self.context.metrics.fetched(outcome, started.elapsed());
        let verdict = outage.map_or(Verdict::Well, Verdict::of);
        self.report(remote.host(), turn, verdict);
        tracing::debug!(
            repository = remote.shown(),
            outcome,
            elapsed = ?started.elapsed(),
            noticed,
            "fetched"
        );
        result.map(|looked| looked.revisions)
    }

    fn report(&self, host: &str, turn: Turn, verdict: Verdict) {
        let hosts = &self.context.hosts;
        match hosts.report(turn, verdict) {
            Turned::Closed { failures, wait } => {
                tracing::warn!(
                    host,
                    failures,
                    wait_seconds = wait.as_secs(),
                    "a host fails, or asks for it: its repositories are looked at later"
                );
            }
            Turned::Recovered => tracing::info!(host, "a host answers again"),
            Turned::Same => return,
        }
        self.context.metrics.hosts_in_trouble(hosts.in_trouble());
    }

    /// Bad news, for people.
    async fn tell(&self, news: Vec<(bus::AppId, Option<bus::ClusterId>, FetchError)>) {
        for (app, cluster, error) in news {
            if let Some(cluster) = cluster {
                let event = Event::new(&app, &cluster, EventKind::SourceFailed, error.told());
                self.context.bus.event(&event).await;
            }
        }
    }

    /// Looks at those of the repository's applications, and at those that are owed a look, and publishes what needs to be.
    async fn evaluate(&mut self, mut concerned: Concerned, polled: bool) -> bool {
        concerned.add(std::mem::take(&mut self.owed));
        let interval = u64::try_from(self.interval().0.as_millis()).unwrap_or(u64::MAX);
        // Only a poll asks for outcomes: in between there is nothing that would be different.
        let overdue_before = if polled && interval > 0 {
            clock::now_ms().saturating_sub(interval)
        } else {
            0
        };
        let candidates = self
            .context
            .index
            .candidates(self.key(), &concerned, overdue_before);
        let examined = candidates.found.len();
        let affected = match self.compare(candidates.found).await {
            Ok(affected) => affected,
            Err(error) => {
                tracing::error!(repository = ?self.key(), %error, "comparing failed; trying again");
                self.owed = concerned;
                return true;
            }
        };
        if examined > 0 {
            self.context.metrics.affected(affected.len());
        }
        let mut failed = false;
        let mut owed = Concerned::Some(candidates.busy);
        let mut snapshots = Packed::new();
        let mut ready = Vec::new();
        for (candidate, cause) in affected {
            match self.packs(&mut snapshots, &candidate).await {
                Ok(packs) => ready.push((candidate, cause, packs)),
                Err(Passing(passing)) if passing => {
                    failed = true;
                    owed.insert(candidate.id);
                }
                Err(_) => {}
            }
        }
        let key = self.key().clone();
        let publisher = &self.context.publisher;
        // What a commit changes of an application is on the bus before what it changes of those that wait for it.
        for turn in self
            .context
            .index
            .turns(ready, |(candidate, ..)| &candidate.id)
        {
            let mut publishing = futures::stream::iter(turn)
                .map(|(candidate, cause, packs)| {
                    let key = &key;
                    async move {
                        let sent = publisher.present(key, &candidate, cause, &packs).await;
                        (candidate.id, sent)
                    }
                })
                .buffer_unordered(PUBLISHING);
            while let Some((id, sent)) = publishing.next().await {
                match sent {
                    Sent::Done => {}
                    // Those for which it is to be done later wake us then.
                    Sent::Later => owed.insert(id),
                    Sent::Failed => {
                        failed = true;
                        owed.insert(id);
                    }
                }
            }
        }
        self.owed = owed;
        if !failed && self.owed.is_empty() {
            // Whoever reads that a commit was looked at must have read before which applications it changes.
            let told = self.context.index.states.settled();
            failed = tokio::time::timeout(TOLD, told).await.is_err() || !self.verify().await;
        }
        failed
    }

    /// The candidates that need a new desired state, and why. The others are noted as proven.
    async fn compare(
        &self,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<(Candidate, Cause)>, store::StoreError> {
        let judged = compare::judge(&self.context.stores, candidates).await?;
        for (candidate, generation) in judged.unchanged {
            let places = candidate.places();
            self.context
                .index
                .verified(&candidate.id, generation, places);
        }
        let affected = judged.affected.into_iter().map(|candidate| {
            let cause = match candidate.decision {
                Decision::Publish(cause) => cause,
                Decision::Compare(_) | Decision::Current => candidate.cause,
            };
            (candidate, cause)
        });
        Ok(affected.collect())
    }

    /// The packs of everything that a candidate is made from, stored.
    async fn packs(
        &self,
        snapshots: &mut Packed,
        candidate: &Candidate,
    ) -> Result<Vec<Packs>, Passing> {
        self.inside(candidate).await?;
        let mut packs = Vec::new();
        for held in candidate.held() {
            let at = (held.slot.key.clone(), held.revision.tree);
            if !snapshots.contains_key(&at) {
                let stored = self.snapshot(held).await;
                snapshots.insert(at.clone(), stored);
            }
            match snapshots.get(&at) {
                Some(Ok(stored)) => packs.push(Arc::clone(stored)),
                Some(Err((passing, problem))) => {
                    let problem = Some(problem.clone());
                    self.context.index.problem(&candidate.id, problem);
                    return Err(Passing(*passing));
                }
                None => {}
            }
        }
        Ok(packs)
    }

    /// Refuses a source with a link out of its repository in the folder that is rendered.
    async fn inside(&self, candidate: &Candidate) -> Result<(), Passing> {
        if self.context.limits.links == LinkPolicy::Anywhere {
            return Ok(());
        }
        for (held, folder) in candidate.sources.iter().zip(&candidate.folders) {
            let (Held { slot, revision }, Some(folder)) = (held, folder) else {
                continue;
            };
            let store = self.context.stores.of(&slot.key);
            if let Err(error) = store.inside(revision.tree, folder).await {
                tracing::warn!(repository = ?slot.key, error = &error as &dyn std::error::Error, "links can't be followed");
                let problem = error.problem(&slot.remote);
                self.context.index.problem(&candidate.id, Some(problem));
                return Err(Passing(error.is_passing()));
            }
        }
        Ok(())
    }

    async fn snapshot(&self, held: &Held) -> Result<Packs, (bool, Problem)> {
        let (bus, slot) = (&self.context.bus, &held.slot);
        let store = self.context.stores.of(&slot.key);
        match store.snapshot(bus, &slot.target, held.revision.tree).await {
            Ok((packs, bytes)) => {
                self.context.metrics.packed(bytes);
                Ok(packs)
            }
            Err(error) => {
                tracing::warn!(repository = ?slot.key, error = &error as &dyn std::error::Error, "no snapshot");
                Err((error.is_passing(), error.problem(&slot.remote)))
            }
        }
    }

    /// Says up to which commit each branch was looked at. False if that couldn't be said.
    async fn verify(&mut self) -> bool {
        let mut all = true;
        for (repo_url, target, revision) in self.context.index.branches(self.key()) {
            let branch = bus::subject::branch(&repo_url, &target);
            if self.verified.get(&branch) == Some(&revision) {
                continue;
            }
            let said = self
                .context
                .publisher
                .verified(&repo_url, &target, &revision)
                .await;
            if said {
                self.verified.insert(branch, revision);
            }
            all &= said;
        }
        all
    }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// When a postponed look may be tried again.
async fn over(postponed: &mut Option<(Fetch, Later)>) -> Fetch {
    match postponed {
        Some((fetch, later)) => {
            later.over().await;
            *fetch
        }
        None => std::future::pending().await,
    }
}
