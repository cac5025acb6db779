//! A release's steps, carried out one after another until one has to wait.

use bus::message::event::{Event, EventKind};
use bus::message::state::{OperationPhase, ResourceResult, ResultStatus};

use super::fail::Fall;
use super::finish::operation;
use super::target::Target;
use super::{App, unchanged};
use crate::cluster::Cluster;
use crate::execute::{self, Adoption, ApplyError, Deleted, Job};
use crate::live::Owner;
use crate::object::{Key, Manifest, Phase};
use crate::plan::wait::{self, Wait, Waited};
use crate::plan::{self, HookProgress, Presence, Presences, Step, Turn, Why};

/// How soon the cluster's kinds are asked for again when one is missing.
const KINDS_AGAIN_MS: u64 = 1_000;

/// How soon the record is written again when it couldn't be.
const UNSAVED_AGAIN_MS: u64 = 2_000;

/// The record couldn't be written.
struct Unsaved;

pub(crate) enum Progress {
    /// For a watch event.
    Waiting,
    Moved,
    Ended,
}

impl App {
    /// Carries out steps until one has to wait.
    pub(super) async fn proceed(&mut self, live: &Presences) -> Progress {
        let Some(running) = &self.running else {
            return Progress::Ended;
        };
        let Some(step) = running.plan.steps.get(running.at).cloned() else {
            self.end(live).await;
            return Progress::Ended;
        };
        let target = running.target.clone();
        if let Step::Apply { batch, .. } = &step
            && let Some(missing) = self.missing_kind(&target, batch)
        {
            // A CustomResourceDefinition of this very release takes a moment to be served.
            self.ctx.kinds.refresh();
            self.look_again_at(Self::now() + KINDS_AGAIN_MS);
            let pending = Waited::Pending(format!("{missing}: its kind is not served yet"));
            return self.waited(pending, live).await;
        }
        let writer = match self.writer(&target.present) {
            Ok(writer) => writer,
            Err(message) => {
                self.give_up(Fall::Step, &message, live).await;
                return Progress::Ended;
            }
        };
        let result = match &step {
            Step::CreateNamespace(name) => self.create_namespace(&target, &writer, name).await,
            Step::Apply { phase, batch } => self.apply(&target, &writer, *phase, batch, live).await,
            Step::Delete { keys, why } => {
                if let Some(whom) = self.unsettled(*why) {
                    let pending =
                        Waited::Pending(format!("{whom}, which may want what is deleted"));
                    return self.waited(pending, live).await;
                }
                self.delete_objects(&target, &writer, keys, *why, live)
                    .await
            }
            Step::Restart { batch } => self.restart(&target, &writer, batch).await,
            Step::Applied => {
                self.applied_all(&target);
                Ok(())
            }
            Step::Await { phase, batch } => {
                let wait = Wait {
                    attempt: &running.attempt,
                    phase: *phase,
                    applications: target.present.assess_applications,
                };
                let manifests = batch.iter().map(|&at| &target.manifests[at]);
                let waited = wait::healthy(manifests, live, wait);
                self.note_hooks(*phase, batch, live);
                return self.waited(waited, live).await;
            }
            Step::Passed(turn) => {
                let passed = Some(*turn);
                if self.note_progress(passed).await.is_err() {
                    // Were it lost with this process, a hook could run again.
                    self.look_again_at(Self::now() + UNSAVED_AGAIN_MS);
                    return Progress::Waiting;
                }
                Ok(())
            }
            Step::AwaitEnd(batch) => {
                let manifests = batch.iter().map(|&at| &target.manifests[at]);
                let waited = wait::ended(manifests, live, &running.attempt);
                return self.waited(waited, live).await;
            }
            Step::AwaitGone(keys) => {
                let waited = wait::gone(&self.unwanted(keys), live);
                return self.waited(waited, live).await;
            }
        };
        match result {
            Ok(()) => {
                self.next_step();
                Progress::Moved
            }
            Err(message) => self.go_wrong(&message, live).await,
        }
    }

    /// Something failed: what a failure calls for is done before the release ends.
    async fn go_wrong(&mut self, why: &str, live: &Presences) -> Progress {
        let Some(running) = &mut self.running else {
            return Progress::Ended;
        };
        let steps = match running.wrong.take() {
            None => {
                running.wrong = Some(why.to_owned());
                let manifests = &running.target.manifests;
                if running.skips_hooks() {
                    Vec::new()
                } else {
                    // Hooks for failures come after all that can have passed.
                    plan::hooks::failure(manifests, live, &running.attempt, None)
                }
            }
            Some(first) => {
                running.wrong = Some(format!("{first}; after that {why}"));
                Vec::new()
            }
        };
        if steps.is_empty() {
            self.end(live).await;
            return Progress::Ended;
        }
        running.plan.steps = steps;
        running.at = 0;
        running.waits_for.clear();
        match self.note_progress(None).await {
            Ok(()) => Progress::Moved,
            // The record is written again and again until it is there; nothing runs twice but after a crash before that.
            Err(Unsaved) => Progress::Waiting,
        }
    }

    /// Writes down how far the attempt is: the turn that is over, or the last one that was, and whether it failed.
    async fn note_progress(&mut self, passed: Option<Turn>) -> Result<(), Unsaved> {
        let (Some(running), Some(record)) = (&self.running, &mut self.record) else {
            return Ok(());
        };
        let before = record
            .progress
            .take()
            .filter(|progress| progress.attempt == running.attempt);
        record.progress = Some(HookProgress {
            attempt: running.attempt.clone(),
            passed: passed.or(before.and_then(|progress| progress.passed)),
            wrong: running.wrong.clone(),
        });
        // By it the attempt is known again.
        record.operation = Some(operation(running, OperationPhase::Running, "", None));
        self.save(None).await;
        if self.unsaved { Err(Unsaved) } else { Ok(()) }
    }

    /// Nothing is left to do.
    async fn end(&mut self, live: &Presences) {
        let Some(running) = &self.running else {
            return;
        };
        // A hook may do better next time, unlike what is only not well.
        let fall = if running.applied_at.is_some() && !running.hook_failed() {
            Fall::Unhealthy
        } else {
            Fall::Step
        };
        match running.wrong.clone() {
            None => self.succeed(live).await,
            Some(why) => self.give_up(fall, &why, live).await,
        }
    }

    /// The first object of a kind that the cluster doesn't serve.
    fn missing_kind(&self, target: &Target, batch: &[usize]) -> Option<Key> {
        batch
            .iter()
            .map(|&at| &target.manifests[at])
            .find(|manifest| {
                execute::resolve_kind(&self.ctx, &manifest.key, Some(&manifest.version)).is_none()
            })
            .map(|manifest| manifest.key.clone())
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
            Waited::Failed(message) => self.go_wrong(&message, live).await,
        }
    }

    /// Writes down which hooks of a batch have finished, and how.
    fn note_hooks(&mut self, phase: Phase, batch: &[usize], live: &Presences) {
        let Some(running) = &mut self.running else {
            return;
        };
        let wait = Wait {
            attempt: &running.attempt,
            phase,
            applications: false,
        };
        let manifests = batch.iter().map(|&at| &running.target.manifests[at]);
        for manifest in manifests.filter(|manifest| manifest.hook.is_some()) {
            let Some(result) = running.results.get_mut(&manifest.key) else {
                continue;
            };
            result.hook_phase = Some(match wait::healthy([manifest], live, wait) {
                Waited::Met => OperationPhase::Succeeded,
                Waited::Pending(_) => OperationPhase::Running,
                Waited::Failed(_) => OperationPhase::Failed,
            });
        }
    }

    fn next_step(&mut self) {
        if let Some(running) = &mut self.running {
            running.at += 1;
            running.waits_for.clear();
        }
    }

    async fn apply(
        &mut self,
        target: &Target,
        writer: &Cluster,
        phase: Phase,
        batch: &[usize],
        live: &Presences,
    ) -> Result<(), String> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let adoption = Adoption::of(&target.present);
        let mark = phase.mark(&running.attempt);
        let jobs = batch
            .iter()
            .map(|&at| &target.manifests[at])
            .map(|manifest| Job {
                manifest,
                mark: if manifest.hook.is_some() {
                    &mark
                } else {
                    &running.attempt
                },
                adopt: (manifest.hook.is_none()
                    && !self.applied.contains_key(&manifest.key)
                    && matches!(live.get(&manifest.key), Some(Presence::Present(_))))
                .then_some(&adoption),
            })
            .collect();
        let outcomes = execute::apply_all(&self.ctx, writer, jobs, &running.given.values).await;
        let mut failures = Vec::new();
        for (manifest, outcome) in outcomes {
            running.results.insert(
                manifest.key.clone(),
                result(manifest, phase, outcome.as_ref()),
            );
            match outcome {
                Ok(outcome) => {
                    if let Some(managers) = &outcome.overridden {
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
                    let applied = unchanged::made(
                        manifest,
                        &running.given,
                        &self.ctx.digest_key,
                        self.applied.get(&manifest.key),
                        outcome,
                    );
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
        writer: &Cluster,
        keys: &[Key],
        why: Why,
        live: &Presences,
    ) -> Result<(), String> {
        let keys = match why {
            Why::Pruned | Why::Deleted => self.unwanted(keys),
            Why::BeforeHook => keys.to_vec(),
        };
        let propagation = match target.present.spec.option("PrunePropagationPolicy") {
            Some("background") => "Background",
            Some("orphan") => "Orphan",
            // Foreground is Argo CD's default.
            _ => "Foreground",
        };
        let owner = Owner {
            hash: &self.hash,
            tracking: &target.present.tracking,
        };
        let objects = uids(&keys, live);
        let outcomes = execute::delete_ours(&self.ctx, writer, objects, owner, propagation).await;
        let mut failures = Vec::new();
        for (key, outcome) in outcomes {
            match outcome {
                Ok(Deleted::Others) => {}
                Ok(Deleted::Accepted | Deleted::NotThere) => {
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
