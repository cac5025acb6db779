//! A release under way: started from a plan, carried out step by step, and left at once when something newer comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus::message::condition::ConditionType;
use bus::message::event::{Event, EventKind};
use bus::message::state::{
    Operation, OperationPhase, ReleaseCause, ResourceResult, ResultStatus, Timeline,
};
use bus::{Outcome, ReleaseId};
use tokio::sync::oneshot;

use super::App;
use super::target::Target;
use super::unchanged;
use crate::execute::{self, ApplyError, Job};
use crate::live::Owner;
use crate::metrics::ReleaseEnd;
use crate::object::{Key, Manifest, Phase};
use crate::plan::wait::{self, Waited};
use crate::plan::{self, Input, Item, Plan, Policy, Presence, Presences, Step, Why};
use crate::secrets::{Resolved, body};
use crate::store::{Applied, Record};

/// A release that a person asked for.
pub(crate) struct Request {
    pub(crate) cause: ReleaseCause,
    pub(crate) prune: bool,
    pub(crate) force: bool,
    pub(crate) resources: Vec<String>,
    /// Remembered when it was carried out.
    pub(crate) id: String,
    pub(crate) done: Option<oneshot::Sender<Outcome>>,
}

pub(crate) struct Running {
    pub(crate) id: ReleaseId,
    /// Marks the hooks of this attempt.
    pub(crate) attempt: String,
    pub(crate) retries: u32,
    pub(crate) target: Arc<Target>,
    pub(crate) cause: ReleaseCause,
    pub(crate) plan: Plan,
    /// Index of the step at hand.
    pub(crate) at: usize,
    pub(crate) started: u64,
    pub(crate) planned: u64,
    pub(crate) applied_at: Option<u64>,
    pub(crate) waits_for: String,
    pub(crate) results: BTreeMap<Key, ResourceResult>,
    pub(crate) request: Option<Request>,
    /// Values of the release's references; dropped with it.
    resolved: Resolved,
}

pub(crate) enum Progress {
    /// For a watch event.
    Waiting,
    Moved,
    Ended,
}

impl App {
    /// Whether something newer takes over from the release at hand.
    pub(super) fn overtaken(&self, target: &Target) -> bool {
        let Some(running) = &self.running else {
            return false;
        };
        if !self.requests.is_empty() {
            return true;
        }
        let spec = &target.present.spec;
        let newer = target.generation > running.target.generation || self.pin().is_some();
        let other = target.digest != running.target.digest || *spec != running.target.present.spec;
        let blocked = self.blocking(target).next().is_some();
        newer && other && !blocked && (spec.automated() || self.pin().is_some())
    }

    /// Plans a release and makes what must be safe before its first step. Whether it started.
    pub(super) async fn start(&mut self, target: Arc<Target>, live: &Presences) -> bool {
        let request = self.requests.pop_front();
        let now = Self::now();
        let resolved = match self.resolve(&target).await {
            Ok(resolved) => resolved,
            Err((message, kind)) => {
                self.not_started(&target, request, &message, kind).await;
                return false;
            }
        };
        let cause = match &request {
            Some(request) => request.cause.clone(),
            None => self.cause(),
        };
        let mut record = match self.record.take() {
            Some(record) => record,
            None => Record::new(self.id.clone(), target.present.uid.clone()),
        };
        let (id, retries) = attempt_of(
            &record,
            &target,
            request.as_ref().map(|request| &request.cause),
        );
        record.release = id;
        record.uid.clone_from(&target.present.uid);
        let attempt = format!("{id}.{retries}");
        let policy = Policy {
            pruning: self.pruning(
                &target,
                request.as_ref().is_some_and(|request| request.prune),
            ),
            create_namespace: (target.present.spec.option("CreateNamespace") == Some("true"))
                .then(|| target.present.spec.destination.namespace().to_owned())
                .filter(|namespace| !namespace.is_empty()),
            force: request.as_ref().is_some_and(|request| request.force),
            only: request
                .as_ref()
                .map(|request| request.resources.clone())
                .filter(|only| !only.is_empty()),
        };
        let unchanged = unchanged::with_secrets(
            &target.manifests,
            &self.applied,
            &resolved,
            &self.ctx.digest_key,
        );
        let plan = plan::release(&Input {
            manifests: &target.manifests,
            live,
            unchanged: &unchanged,
            inventory: &record.inventory,
            policy: &policy,
            attempt: &attempt,
        });
        let operation = Operation {
            release: id,
            generation: target.generation,
            phase: OperationPhase::Running,
            message: String::new(),
            revisions: target.revisions.clone(),
            digest: target.digest.clone(),
            cause: cause.clone(),
            started: now,
            finished: None,
            retries,
            timeline: Timeline::default(),
            results: Vec::new(),
        };
        // What a crash could orphan is written down before it exists.
        let grown = grow(&mut record, &target, live, policy.only.as_deref());
        if grown {
            record.operation = Some(operation);
            let saved = self
                .ctx
                .store
                .save(&self.hash, &mut self.slot, &record, None, None)
                .await;
            if let Err(error) = saved {
                self.record = Some(record);
                self.not_started(
                    &target,
                    request,
                    &error.describe(),
                    ConditionType::SyncError,
                )
                .await;
                return false;
            }
        }
        self.record = Some(record);
        self.trouble = None;
        let message = format!("release {id} of {} began", revision_words(&target));
        self.say(
            EventKind::ReleaseStarted,
            message,
            &target,
            id,
            cause.user(),
        );
        self.running = Some(Running {
            id,
            attempt,
            retries,
            target,
            cause,
            plan,
            at: 0,
            started: now,
            planned: now,
            applied_at: None,
            waits_for: String::new(),
            results: BTreeMap::new(),
            request,
            resolved,
        });
        true
    }

    /// Carries out steps until one has to wait.
    pub(super) async fn proceed(&mut self, live: &Presences) -> Progress {
        let Some(running) = &self.running else {
            return Progress::Ended;
        };
        let Some(step) = running.plan.steps.get(running.at).cloned() else {
            self.succeed(live).await;
            return Progress::Ended;
        };
        let target = running.target.clone();
        let result = match &step {
            Step::CreateNamespace(name) => self.create_namespace(&target, name).await,
            Step::Apply { phase, batch } => self.apply(&target, *phase, batch, live).await,
            Step::Delete { keys, why } => self.delete_objects(&target, keys, *why, live).await,
            Step::Applied => {
                self.applied_all(&target);
                Ok(())
            }
            Step::Await { batch, .. } => {
                let applications = target.present.assess_applications;
                let manifests = batch.iter().map(|&at| &target.manifests[at]);
                let waited = wait::healthy(manifests, live, &running.attempt, applications);
                self.note_hooks(batch, live);
                return self.waited(waited, live).await;
            }
            Step::AwaitGone(keys) => {
                let waited = wait::gone(keys, live);
                return self.waited(waited, live).await;
            }
        };
        match result {
            Ok(()) => {
                self.next_step();
                Progress::Moved
            }
            Err(message) => {
                self.fail(&message, live).await;
                Progress::Ended
            }
        }
    }

    async fn waited(&mut self, waited: Waited, live: &Presences) -> Progress {
        match waited {
            Waited::Met => {
                self.next_step();
                Progress::Moved
            }
            Waited::Pending(what) => {
                if let Some(running) = &mut self.running {
                    running.waits_for = what;
                }
                Progress::Waiting
            }
            Waited::Failed(message) => {
                if self
                    .running
                    .as_ref()
                    .is_some_and(|running| running.applied_at.is_some())
                {
                    self.end_unhealthy(&message, live).await;
                } else {
                    self.fail(&message, live).await;
                }
                Progress::Ended
            }
        }
    }

    /// Writes down which hooks of a batch have finished, and how.
    fn note_hooks(&mut self, batch: &[usize], live: &Presences) {
        let Some(running) = &mut self.running else {
            return;
        };
        let manifests = batch.iter().map(|&at| &running.target.manifests[at]);
        for manifest in manifests.filter(|manifest| manifest.hook.is_some()) {
            let Some(result) = running.results.get_mut(&manifest.key) else {
                continue;
            };
            result.hook_phase = Some(
                match wait::healthy([manifest], live, &running.attempt, false) {
                    Waited::Met => OperationPhase::Succeeded,
                    Waited::Pending(_) => OperationPhase::Running,
                    Waited::Failed(_) => OperationPhase::Failed,
                },
            );
        }
    }

    fn next_step(&mut self) {
        if let Some(running) = &mut self.running {
            running.at += 1;
            running.waits_for.clear();
        }
    }

    async fn create_namespace(&mut self, target: &Target, name: &str) -> Result<(), String> {
        let metadata = target
            .present
            .spec
            .sync_policy
            .as_ref()
            .and_then(|policy| policy.managed_namespace_metadata.as_ref());
        execute::create_namespace(&self.ctx.cluster, name, metadata)
            .await
            .map_err(|error| format!("making namespace {name}: {}", error.describe(false)))
    }

    async fn apply(
        &mut self,
        target: &Target,
        phase: Phase,
        batch: &[usize],
        live: &Presences,
    ) -> Result<(), String> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let jobs = batch
            .iter()
            .map(|&at| &target.manifests[at])
            .map(|manifest| Job {
                manifest,
                attempt: &running.attempt,
                adopt: manifest.hook.is_none()
                    && !self.applied.contains_key(&manifest.key)
                    && matches!(live.get(&manifest.key), Some(Presence::Present(_))),
            })
            .collect();
        let outcomes = execute::apply_all(&self.ctx, jobs, &running.resolved).await;
        let mut failures = Vec::new();
        for (manifest, outcome) in outcomes {
            running.results.insert(
                manifest.key.clone(),
                result(manifest, phase, outcome.as_ref()),
            );
            match outcome {
                Ok(outcome) => {
                    if let Some(managers) = outcome.overridden {
                        let owners = if managers.is_empty() {
                            "nobody".to_owned()
                        } else {
                            managers.join(", ")
                        };
                        let message = format!(
                            "{} was there already and is managed from now on; it was applied by {owners}",
                            manifest.key
                        );
                        let event =
                            Event::new(&self.id, &self.ctx.id, EventKind::ObjectAdopted, message)
                                .release(running.id)
                                .detail("object", manifest.key.path())
                                .detail("managers", managers.join(","));
                        self.ctx.publisher.event(event);
                    }
                    if manifest.hook.is_some() {
                        let event = Event::new(
                            &self.id,
                            &self.ctx.id,
                            EventKind::HookStarted,
                            format!("{} {} started", phase.as_str(), manifest.key),
                        );
                        self.ctx.publisher.event(
                            event
                                .release(running.id)
                                .detail("object", manifest.key.path()),
                        );
                    }
                    let applied = Applied {
                        manifest: manifest.digest.clone(),
                        resolved: unchanged::resolved_digest(
                            manifest,
                            &running.resolved,
                            &self.ctx.digest_key,
                        ),
                        reference: outcome.reference,
                        client_side: outcome.client_side,
                    };
                    self.applied.insert(manifest.key.clone(), applied);
                }
                Err(error) => failures.push(error.describe()),
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures.join("; "))
        }
    }

    async fn delete_objects(
        &mut self,
        target: &Target,
        keys: &[Key],
        why: Why,
        live: &Presences,
    ) -> Result<(), String> {
        let objects = uids(keys, live);
        let propagation = match target.present.spec.option("PrunePropagationPolicy") {
            Some("background") => "Background",
            // Foreground is Argo CD's default.
            _ => "Foreground",
        };
        let outcomes = execute::delete_all(&self.ctx, objects, propagation).await;
        let mut failures = Vec::new();
        for (key, outcome) in outcomes {
            match outcome {
                Ok(_) => {
                    if why == Why::Pruned {
                        self.pruned(&key);
                    }
                }
                Err(error) => failures.push(error.describe()),
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures.join("; "))
        }
    }

    fn pruned(&mut self, key: &Key) {
        let Some(running) = &mut self.running else {
            return;
        };
        let event = Event::new(
            &self.id,
            &self.ctx.id,
            EventKind::ObjectPruned,
            format!("{key} is no longer in the manifests and was deleted"),
        );
        self.ctx
            .publisher
            .event(event.release(running.id).detail("object", key.path()));
        running.results.insert(
            key.clone(),
            ResourceResult {
                group: key.group.to_string(),
                version: String::new(),
                kind: key.kind.to_string(),
                namespace: key.namespace.to_string(),
                name: key.name.to_string(),
                status: ResultStatus::Pruned,
                message: "pruned".to_owned(),
                phase: Phase::Sync.as_str().to_owned(),
                hook_phase: None,
            },
        );
    }

    fn applied_all(&mut self, target: &Target) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.applied_at = Some(Self::now());
        let (id, message) = (
            running.id,
            format!(
                "every object of release {} is in the API server",
                running.id
            ),
        );
        let user = running.cause.user().map(str::to_owned);
        self.say(
            EventKind::ReleaseApplied,
            message,
            target,
            id,
            user.as_deref(),
        );
    }

    /// Values of all references of the target, in one request; what went wrong in words, with its condition.
    pub(super) async fn resolve(
        &self,
        target: &Target,
    ) -> Result<Resolved, (String, ConditionType)> {
        self.resolve_some(target, target.manifests.iter()).await
    }

    pub(super) async fn resolve_some<'a>(
        &self,
        target: &Target,
        manifests: impl Iterator<Item = &'a Manifest>,
    ) -> Result<Resolved, (String, ConditionType)> {
        let mut wanted = BTreeSet::new();
        for manifest in manifests.filter(|manifest| manifest.has_references) {
            body::references(&manifest.body, &mut wanted).map_err(|error| {
                (
                    format!("{}: {error}", manifest.key),
                    ConditionType::SecretError,
                )
            })?;
        }
        if wanted.is_empty() {
            return Ok(Resolved::new());
        }
        let resolved = self
            .ctx
            .secrets
            .resolve(&self.id, self.asking_as(target), &wanted)
            .await;
        resolved.map_err(|error| {
            (
                crate::live::Chain(&error).to_string(),
                ConditionType::SecretError,
            )
        })
    }

    /// The agent answers for the generation that it knows, which under a pin is the newest and not the release's own.
    fn asking_as(&self, target: &Target) -> bus::Generation {
        self.desired
            .as_ref()
            .map_or(target.generation, |desired| desired.generation)
    }

    pub(super) async fn supersede(&mut self, live: &Presences) {
        let Some(running) = self.running.take() else {
            return;
        };
        let message = format!("release {} was overtaken by a newer one", running.id);
        self.say(
            EventKind::ReleaseSuperseded,
            message.clone(),
            &running.target,
            running.id,
            None,
        );
        self.ctx.metrics.release(ReleaseEnd::Superseded);
        self.clean_hooks(&running, live).await;
        self.end_operation(&running, OperationPhase::Failed, &message);
        answer(running.request);
    }

    fn cause(&mut self) -> ReleaseCause {
        match (self.pin(), self.unpinned_by.clone()) {
            (Some(pin), _) => ReleaseCause::Rollback {
                user: pin.user.clone(),
                to: pin.release,
            },
            (None, Some(user)) => {
                self.unpinned_by = None;
                ReleaseCause::Unpin { user }
            }
            (None, None) => ReleaseCause::Automated,
        }
    }

    pub(super) fn say(
        &self,
        kind: EventKind,
        message: String,
        target: &Target,
        release: ReleaseId,
        user: Option<&str>,
    ) {
        let mut event = Event::new(&self.id, &self.ctx.id, kind, message)
            .generation(target.generation)
            .release(release);
        if let Some(revision) = target.revisions.first() {
            event = event.revision(revision);
        }
        if let Some(user) = user {
            event = event.user(user);
        }
        self.ctx.publisher.event(event);
    }

    pub(super) fn owner<'a>(&'a self, target: &'a Target) -> Owner<'a> {
        Owner {
            hash: &self.hash,
            tracking: &target.present.tracking,
        }
    }
}

/// The command was carried out, as far as it ever will be.
pub(super) fn answer(request: Option<Request>) {
    if let Some(done) = request.and_then(|request| request.done) {
        // Nobody may wait for it any more, when the process drains.
        let _ = done.send(Outcome::Done);
    }
}

pub(super) fn uids(keys: &[Key], live: &Presences) -> Vec<(Key, Box<str>)> {
    keys.iter()
        .filter_map(|key| match live.get(key) {
            Some(Presence::Present(facts)) if facts.proven => {
                Some((key.clone(), facts.uid.clone()))
            }
            _ => None,
        })
        .collect()
}

/// A release that a crash cut off, or that failed and is tried again, goes on under its own id.
fn attempt_of(record: &Record, target: &Target, asked: Option<&ReleaseCause>) -> (ReleaseId, u32) {
    let next = (ReleaseId(record.release.0 + 1), 0);
    let Some(last) = record
        .operation
        .as_ref()
        .filter(|last| last.release == record.release)
    else {
        return next;
    };
    if last.generation != target.generation || last.digest != target.digest {
        return next;
    }
    let cut_off = last.phase == OperationPhase::Running;
    let failed = record
        .failure
        .as_ref()
        .filter(|failure| failure.generation == target.generation);
    match (asked, failed) {
        // A command that is delivered again after a crash names itself.
        (Some(cause), _) if cut_off && *cause == last.cause => (last.release, last.retries),
        (Some(_), _) => next,
        (None, _) if cut_off => (last.release, last.retries),
        (None, Some(failure)) if !failure.early => (last.release, failure.attempts),
        (None, _) => next,
    }
}

/// Adds what the release will bring to the inventory. Whether anything is new.
fn grow(record: &mut Record, target: &Target, live: &Presences, only: Option<&[String]>) -> bool {
    let mut grown = false;
    for manifest in &target.manifests {
        let left_out = only.is_some_and(|only| !only.contains(&manifest.key.path()));
        if left_out || matches!(live.get(&manifest.key), Some(Presence::Others(_))) {
            continue;
        }
        let item = Item {
            version: manifest.version.clone(),
            wave: manifest.wave,
            hook: manifest.hook.is_some(),
            options: manifest.options,
        };
        grown |= record
            .inventory
            .insert(manifest.key.clone(), item)
            .is_none();
    }
    grown
}

fn result(
    manifest: &Manifest,
    phase: Phase,
    outcome: Result<&execute::Outcome, &ApplyError>,
) -> ResourceResult {
    let key = &manifest.key;
    let (status, message) = match outcome {
        Ok(outcome) if outcome.client_side.is_some() => {
            (ResultStatus::Synced, "applied client-side".to_owned())
        }
        Ok(outcome) if outcome.created => (ResultStatus::Synced, "created".to_owned()),
        Ok(_) => (ResultStatus::Synced, "applied".to_owned()),
        Err(error) => (ResultStatus::SyncFailed, error.describe()),
    };
    ResourceResult {
        group: key.group.to_string(),
        version: manifest.version.to_string(),
        kind: key.kind.to_string(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        status,
        message,
        phase: phase.as_str().to_owned(),
        hook_phase: manifest.hook.is_some().then_some(OperationPhase::Running),
    }
}

pub(super) fn revision_words(target: &Target) -> String {
    let words: Vec<&str> = target
        .revisions
        .iter()
        .map(|revision| revision.get(..12).unwrap_or(revision))
        .collect();
    if words.is_empty() {
        format!("generation {}", target.generation)
    } else {
        words.join(", ")
    }
}
