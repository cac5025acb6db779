//! How a release ends: its outcome is written, then its hooks are cleaned up, then people are told.

use bus::message::condition::ConditionType;
use bus::message::event::EventKind;
use bus::message::state::{HistoryEntry, Operation, OperationPhase, Timeline};

use super::App;
use super::release::{Running, answer, revision_words};
use super::steps::uids;
use super::target::Target;
use crate::execute;
use crate::metrics::ReleaseEnd;
use crate::object::Key;
use crate::plan::hooks::{self, AttemptEnd, End};
use crate::plan::{Presence, Presences};
use crate::store::Asked;

impl App {
    /// Applied, and healthy as far as that was waited for.
    pub(super) async fn succeed(&mut self, live: &Presences) {
        let Some(running) = self.running.take() else {
            return;
        };
        let message = format!(
            "release {} of {} is applied and healthy",
            running.id,
            revision_words(&running.target)
        );
        self.landed(&running, live, true);
        self.end_operation(&running, OperationPhase::Succeeded, &message);
        self.write_outcome(&running, AttemptEnd::Succeeded, live)
            .await;
        self.ctx.metrics.release(ReleaseEnd::Succeeded);
        let (id, user) = (running.id, running.cause.user());
        self.say(
            EventKind::ReleaseSucceeded,
            message,
            &running.target,
            id,
            user,
        );
        answer(running.request);
    }

    /// A release that was live and unhealthy turned healthy by itself.
    pub(super) async fn recover(&mut self) {
        let Some(target) = self.effective() else {
            return;
        };
        let Some(record) = &mut self.record else {
            return;
        };
        record.failure = None;
        let Some(entry) = record.history.last_mut() else {
            return;
        };
        entry.healthy = true;
        let id = entry.release;
        if let Some(operation) = record
            .operation
            .as_mut()
            .filter(|operation| operation.release == id)
        {
            operation.phase = OperationPhase::Succeeded;
            operation.message = format!("release {id} became healthy");
            operation.timeline.healthy = Some(Self::now());
        }
        self.save(None).await;
        self.say(
            EventKind::ReleaseSucceeded,
            format!("release {id} became healthy"),
            &target,
            id,
            None,
        );
    }

    /// Every object is in the API server: what is live is this release.
    pub(super) fn landed(&mut self, running: &Running, live: &Presences, healthy: bool) {
        let now = Self::now();
        let Some(record) = &mut self.record else {
            return;
        };
        let target = &running.target;
        if running.is_partial() {
            return;
        }
        record.head = record.head.max(target.generation);
        record.live = Some((target.generation, target.digest.clone()));
        record.desired = Some(target.present.clone());
        record.failure = None;
        let withheld = running.plan.withheld.as_ref();
        record.asked = withheld
            .filter(|withheld| withheld.can_be_approved())
            .map(|_| Asked {
                manifests: target.digest.clone(),
                since: running.started,
            });
        let wanted: std::collections::HashSet<&Key> = target
            .manifests
            .iter()
            .map(|manifest| &manifest.key)
            .collect();
        // What left and is gone, or is another's, is forgotten; what is still there, on its way out or kept, stays in the inventory.
        record.inventory.retain(|key, _| {
            wanted.contains(key) || matches!(live.get(key), Some(Presence::Present(_)))
        });
        self.applied.retain(|key, _| wanted.contains(key));
        for (key, applied) in &mut self.applied {
            applied.began_with = running.pods.digests.get(key).cloned();
        }
        let same = record
            .history
            .last()
            .is_some_and(|last| last.release == running.id);
        if same {
            record.history.pop();
        }
        let entry = HistoryEntry {
            release: running.id,
            generation: target.generation,
            digest: target.digest.clone(),
            revisions: target.revisions.clone(),
            commits: target.commits.clone(),
            sources: target.sources.clone(),
            cause: running.cause.clone(),
            started: running.started,
            finished: now,
            healthy,
        };
        let limit = usize::try_from(target.present.spec.history_limit()).unwrap_or(10);
        record.add_history(entry, limit);
    }

    pub(super) fn end_operation(
        &mut self,
        running: &Running,
        phase: OperationPhase,
        message: &str,
    ) {
        let operation = operation(running, phase, message, Some(Self::now()));
        if let Some(record) = &mut self.record {
            record.operation = Some(operation);
            record.progress = None;
            if let Some(request) = &running.request {
                record.remember_command(&request.id);
            }
        }
    }

    /// Outcome first, then the hooks: a crash in between is caught up by [`App::clean_up_after_crash`].
    pub(super) async fn write_outcome(
        &mut self,
        running: &Running,
        ended: AttemptEnd,
        live: &Presences,
    ) {
        let manifests = &running.target.manifests;
        let mut doomed = hooks::cleanup(manifests, live, &running.attempt, ended);
        if let Some(record) = self.record.as_ref().filter(|_| !running.skips_hooks()) {
            doomed.extend(hooks::succeeded_by_others(
                &record.inventory,
                manifests,
                live,
            ));
        }
        if let Some(record) = &mut self.record {
            record.hooks_to_delete.clone_from(&doomed);
        }
        self.save(Some(&running.target)).await;
        if let Some(record) = &self.record {
            self.ctx.publisher.head(&self.id, &self.ctx.id, record.head);
        }
        self.tell_hooks(running, live);
        self.delete_hooks(&doomed, live).await;
    }

    pub(super) async fn clean_hooks(&mut self, running: &Running, live: &Presences) {
        let left = AttemptEnd::Left;
        let doomed = hooks::cleanup(&running.target.manifests, live, &running.attempt, left);
        self.delete_hooks(&doomed, live).await;
    }

    async fn delete_hooks(&mut self, doomed: &[Key], live: &Presences) {
        if doomed.is_empty() {
            return;
        }
        // What we made is cleared away also when the project no longer names an account for it.
        let writer = self
            .present()
            .and_then(|present| self.writer(&present).ok())
            .unwrap_or_else(|| self.ctx.cluster.clone());
        let outcomes =
            execute::delete_all(&self.ctx, &writer, uids(doomed, live), "Background").await;
        for (key, outcome) in outcomes {
            match outcome {
                Ok(_) => {
                    if let Some(record) = &mut self.record {
                        record.hooks_to_delete.retain(|known| *known != key);
                        record.inventory.remove(&key);
                    }
                    self.applied.remove(&key);
                }
                Err(error) => {
                    tracing::warn!(app = %self.id, error = error.describe(), "a hook was not deleted");
                }
            }
        }
    }

    /// Hooks whose deletion a crash cut off.
    pub(super) async fn clean_up_after_crash(&mut self, live: &Presences) {
        if self.running.is_some() || self.ctx.observe {
            return;
        }
        let doomed = self
            .record
            .as_ref()
            .map(|record| record.hooks_to_delete.clone())
            .unwrap_or_default();
        if doomed.is_empty() {
            return;
        }
        self.delete_hooks(&doomed, live).await;
        if let Some(record) = &mut self.record {
            record
                .hooks_to_delete
                .retain(|key| matches!(live.get(key), Some(Presence::Present(_))));
        }
    }

    fn tell_hooks(&self, running: &Running, live: &Presences) {
        for manifest in running
            .target
            .manifests
            .iter()
            .filter(|manifest| manifest.hook.is_some())
        {
            let Some(Presence::Present(facts)) = live.get(&manifest.key) else {
                continue;
            };
            if !hooks::is_of_attempt(facts, &running.attempt) {
                continue;
            }
            let how = match hooks::end(facts) {
                End::Succeeded => "succeeded",
                End::Failed => "failed",
                End::Running => "was stopped",
            };
            let event = bus::message::event::Event::new(
                &self.id,
                &self.ctx.id,
                EventKind::HookFinished,
                format!("{} {how}", manifest.key),
            );
            self.ctx.publisher.event(
                event
                    .release(running.id)
                    .detail("object", manifest.key.path()),
            );
        }
    }

    /// Writes the record; what can't be written now is tried again until it is.
    pub(super) async fn save(&mut self, target: Option<&Target>) {
        let Some(record) = &self.record else { return };
        let manifests = target.map(|target| (&target.digest, &*target.payload));
        let saved = self
            .ctx
            .store
            .save(
                &self.hash,
                &mut self.slot,
                record,
                Some(&self.applied),
                manifests,
            )
            .await;
        self.unsaved = saved.is_err();
        if let Err(error) = saved {
            self.fault(ConditionType::SyncError, &error.describe());
        }
    }
}

pub(super) fn operation(
    running: &Running,
    phase: OperationPhase,
    message: &str,
    finished: Option<u64>,
) -> Operation {
    let target = &running.target;
    let healthy = if phase == OperationPhase::Succeeded {
        finished
    } else {
        None
    };
    Operation {
        release: running.id,
        generation: target.generation,
        phase,
        message: message.to_owned(),
        revisions: target.revisions.clone(),
        digest: target.digest.clone(),
        cause: running.cause.clone(),
        started: running.started,
        finished,
        retries: running.retries,
        timeline: Timeline {
            trigger: target.trigger.clone(),
            render_started: target.render_started,
            rendered: target.rendered,
            planned: Some(running.planned),
            applied: running.applied_at,
            healthy,
        },
        results: running.results.values().cloned().collect(),
        dry_run: false,
    }
}
