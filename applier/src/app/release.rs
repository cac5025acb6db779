//! A release: begun from a plan, and left at once when something newer comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::message::condition::ConditionType;
use bus::message::event::{Event, EventKind};
use bus::message::state::{Operation, OperationPhase, ReleaseCause, ResourceResult, Timeline};
use bus::{Generation, Outcome, ReleaseId};
use tokio::sync::oneshot;

use super::App;
use super::restart::Pods;
use super::target::Target;
use crate::metrics::ReleaseEnd;
use crate::object::Key;
use crate::plan::{self, Defaults, Input, Item, Plan, Policy, Presence, Presences, restart};
use crate::secrets::Given;
use crate::store::Record;

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
    /// What failed; hooks for that run before the release ends.
    pub(crate) wrong: Option<String>,
    pub(crate) results: BTreeMap<Key, ResourceResult>,
    pub(crate) request: Option<Request>,
    /// Values of the release's references; dropped with it.
    pub(super) given: Given,
    pub(super) pods: Pods,
}

/// Why a release begins.
pub(super) enum Reason {
    Asked(Request),
    /// The target isn't what is live.
    Changed(ReleaseCause),
    /// Secrets at these paths changed, and with them these objects.
    Rotated {
        paths: Vec<String>,
        objects: Vec<String>,
    },
}

impl Reason {
    fn cause(&self) -> ReleaseCause {
        match self {
            Self::Asked(request) => request.cause.clone(),
            Self::Changed(cause) => cause.clone(),
            Self::Rotated { paths, .. } => ReleaseCause::SecretRotated {
                paths: paths.clone(),
            },
        }
    }

    /// Whether it is of its own, and goes on under its id only if it is the same.
    fn asked(&self) -> bool {
        match self {
            Self::Asked(_) | Self::Rotated { .. } => true,
            Self::Changed(_) => false,
        }
    }

    /// Whether it is of some objects, and what uses them isn't looked at.
    fn is_partial(&self) -> bool {
        match self {
            Self::Asked(request) => !request.resources.is_empty(),
            Self::Changed(_) | Self::Rotated { .. } => false,
        }
    }

    fn request(self) -> Option<Request> {
        match self {
            Self::Asked(request) => Some(request),
            Self::Changed(_) | Self::Rotated { .. } => None,
        }
    }
}

impl Running {
    /// Whether it is of some objects alone, without hooks.
    pub(super) fn skips_hooks(&self) -> bool {
        self.is_partial() || matches!(self.cause, ReleaseCause::SecretRotated { .. })
    }

    /// Whether only some of the objects were asked for.
    pub(super) fn is_partial(&self) -> bool {
        self.request
            .as_ref()
            .is_some_and(|request| !request.resources.is_empty())
    }
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
        let held = self.held_at().is_some();
        let newer = target.generation > running.target.generation || held;
        let other = target.digest != running.target.digest || *spec != running.target.present.spec;
        let blocked = self.blocking(target).next().is_some();
        newer && other && !blocked && (spec.automated() || held)
    }

    /// Plans a release and makes what must be safe before its first step. Whether anything came of it, be it a failure.
    pub(super) async fn start(&mut self, target: Arc<Target>, live: &Presences) -> bool {
        let request = self.requests.pop_front();
        let given = match self.resolve(&target).await {
            Ok(given) => given,
            Err((message, kind)) => {
                self.not_started(&target, request, &message, kind);
                return true;
            }
        };
        let unchanged = self.unchanged(&target, &given);
        let reason = match request {
            Some(request) => Reason::Asked(request),
            None => Reason::Changed(self.cause()),
        };
        self.begin(target, live, given, &unchanged, reason).await
    }

    pub(super) async fn begin(
        &mut self,
        target: Arc<Target>,
        live: &Presences,
        given: Given,
        unchanged: &[bool],
        reason: Reason,
    ) -> bool {
        let now = Self::now();
        let cause = reason.cause();
        let policy = self.policy(&target, &reason);
        let mut record = match self.record.take() {
            Some(record) => record,
            None => Record::new(self.id.clone(), target.present.uid.clone()),
        };
        let Attempt {
            id,
            retries,
            started,
        } = attempt_of(&record, &target, reason.asked().then_some(&cause));
        let started = started.unwrap_or(now);
        record.release = id;
        record.uid.clone_from(&target.present.uid);
        // Should it be deleted before it ever landed, its objects must be told from others'.
        record.desired.get_or_insert_with(|| target.present.clone());
        let attempt = format!("{id}.{retries}");
        let pods = if reason.is_partial() {
            Pods::default()
        } else {
            self.pods(&target, &given)
        };
        let request = reason.request();
        let (plan, wrong) = Self::planned(
            &record,
            &mut Input {
                manifests: &target.manifests,
                live,
                unchanged,
                inventory: &record.inventory,
                restarts: &restart::restarts(&target.manifests, &pods.due),
                policy: &policy,
                attempt: &attempt,
                passed: None,
            },
        );
        if let Some(why) = shared(&plan, &target) {
            self.record = Some(record);
            self.not_started(&target, request, &why, ConditionType::SyncError);
            return true;
        }
        // What a crash could orphan is written down before it exists.
        let grown = grow(&mut record, &target, live, &policy);
        if grown {
            record.operation = Some(begun(&target, id, retries, cause.clone(), started));
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
                );
                return true;
            }
        }
        record.overcome(target.generation, &target.digest);
        self.record = Some(record);
        self.trouble = None;
        self.trial = None;
        let message = began(&target, id, &cause);
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
            started,
            planned: now,
            applied_at: None,
            waits_for: String::new(),
            wrong,
            results: BTreeMap::new(),
            request,
            given,
            pods,
        });
        true
    }

    /// The plan of an attempt, and what failed in it before this process began.
    fn planned(record: &Record, input: &mut Input<'_>) -> (Plan, Option<String>) {
        let progress = record
            .progress
            .clone()
            .filter(|progress| progress.attempt == input.attempt);
        let passed = progress.as_ref().and_then(|progress| progress.passed);
        let wrong = progress.and_then(|progress| progress.wrong);
        input.passed = passed;
        let mut plan = plan::release(input);
        if wrong.is_some() {
            plan.steps = plan::hooks::failure(input.manifests, input.live, input.attempt, passed);
        }
        (plan, wrong)
    }

    fn policy(&self, target: &Target, reason: &Reason) -> Policy {
        let spec = &target.present.spec;
        let (request, only) = match reason {
            Reason::Asked(request) => {
                let only = Some(request.resources.clone()).filter(|only| !only.is_empty());
                (Some(request), only)
            }
            Reason::Changed(_) => (None, None),
            Reason::Rotated { objects, .. } => (None, Some(objects.clone())),
        };
        Policy {
            pruning: self.pruning(target, request),
            limit: self.limit(),
            defaults: Defaults::of(spec),
            create_namespace: super::namespace::wanted(target).map(str::to_owned),
            force: request.is_some_and(|request| request.force),
            only_changed: spec.option("ApplyOutOfSyncOnly") == Some("true"),
            only,
        }
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
        if let Some(pin) = self.pin() {
            return ReleaseCause::Rollback {
                user: pin.user.clone(),
                to: pin.release,
            };
        }
        if let Some(refused) = self.refused() {
            return ReleaseCause::OnFailure { to: refused.to };
        }
        match self.unpinned_by.take() {
            Some(user) => ReleaseCause::Unpin { user },
            None => ReleaseCause::Automated,
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
}

/// The command was carried out, as far as it ever will be.
pub(super) fn answer(request: Option<Request>) {
    if let Some(done) = request.and_then(|request| request.done) {
        // Nobody may wait for it any more, when the process drains.
        let _ = done.send(Outcome::Done);
    }
}

/// One try of a release.
pub(super) struct Attempt {
    id: ReleaseId,
    retries: u32,
    /// When its first try began, unless that is this one.
    pub(super) started: Option<u64>,
}

/// What is said of a release that began.
fn began(target: &Target, id: ReleaseId, cause: &ReleaseCause) -> String {
    let why = match cause {
        ReleaseCause::SecretRotated { paths } => format!(": secret rotated: {}", paths.join(", ")),
        _ => String::new(),
    };
    format!("release {id} of {} began{why}", revision_words(target))
}

/// A release that a crash cut off, or that failed and is tried again, goes on under its own id.
pub(super) fn attempt_of(
    record: &Record,
    target: &Target,
    asked: Option<&ReleaseCause>,
) -> Attempt {
    let next = Attempt {
        id: ReleaseId(record.release.0 + 1),
        retries: 0,
        started: None,
    };
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
    let again = |retries| Attempt {
        id: last.release,
        retries,
        started: Some(last.started),
    };
    let cut_off = last.phase == OperationPhase::Running;
    let failed = record
        .failure
        .as_ref()
        .filter(|failure| failure.generation == target.generation);
    match (asked, failed) {
        // A command that is delivered again after a crash names itself.
        (Some(cause), _) if cut_off && *cause == last.cause => again(last.retries),
        (None, _) if cut_off => again(last.retries),
        (None, Some(failure)) if !failure.early => again(failure.attempts),
        _ => next,
    }
}

/// Why nothing may be applied beside what others hold.
fn shared(plan: &Plan, target: &Target) -> Option<String> {
    let fails = target.present.spec.option("FailOnSharedResource") == Some("true");
    let (key, owner) = plan.shared.first().filter(|_| fails)?;
    Some(format!(
        "{key} belongs to application {owner}, and FailOnSharedResource=true lets nothing be applied beside that"
    ))
}

/// The operation as it is written down before the first step.
pub(super) fn begun(
    target: &Target,
    release: ReleaseId,
    retries: u32,
    cause: ReleaseCause,
    started: u64,
) -> Operation {
    Operation {
        release,
        generation: target.generation,
        phase: OperationPhase::Running,
        message: String::new(),
        revisions: target.revisions.clone(),
        digest: target.digest.clone(),
        cause,
        started,
        finished: None,
        retries,
        timeline: Timeline::default(),
        results: Vec::new(),
        dry_run: false,
    }
}

/// Adds what the release will bring to the inventory. Whether anything is new.
fn grow(record: &mut Record, target: &Target, live: &Presences, policy: &Policy) -> bool {
    let mut grown = false;
    for manifest in &target.manifests {
        let hook = manifest.hook.as_ref();
        let left_out =
            !policy.is_about(&manifest.key) || hook.is_some_and(|hook| !hook.is_of_release());
        if left_out || matches!(live.get(&manifest.key), Some(Presence::Others(_))) {
            continue;
        }
        let item = Item::of(manifest);
        grown |= record
            .inventory
            .insert(manifest.key.clone(), item)
            .is_none();
    }
    grown
}

pub(super) fn revision_words(target: &Target) -> String {
    words(&target.revisions, target.generation)
}

/// Revisions for a person, or the generation where there are none.
pub(super) fn words(revisions: &[String], generation: Generation) -> String {
    let words: Vec<&str> = revisions
        .iter()
        .map(|revision| revision.get(..12).unwrap_or(revision))
        .collect();
    if words.is_empty() {
        format!("generation {generation}")
    } else {
        words.join(", ")
    }
}
