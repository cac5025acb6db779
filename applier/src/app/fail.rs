//! How a release ends that doesn't reach its goal, and what is remembered of that.

use bus::message::condition::ConditionType;
use bus::message::event::EventKind;
use bus::message::state::{OperationPhase, ReleaseCause};

use super::App;
use super::release::{Request, Running, answer};
use super::target::Target;
use crate::metrics::ReleaseEnd;
use crate::object::Phase;
use crate::plan::Presences;
use crate::plan::hooks::AttemptEnd;
use crate::store::{Ended, Failure, Record};

/// What keeps a release from its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fall<'a> {
    /// A step can't be carried out, or a hook failed. What was applied stays; the retry policy says what follows.
    Step,
    /// Every object is live, and one of them is not well. Applying the same again would change nothing.
    Unhealthy,
    TimedOut,
    /// By this user.
    Terminated(&'a str),
}

impl Fall<'_> {
    const fn ended(self) -> Option<Ended> {
        match self {
            Self::Step | Self::Unhealthy => None,
            Self::TimedOut => Some(Ended::TimedOut),
            Self::Terminated(_) => Some(Ended::Terminated),
        }
    }

    const fn counts_as(self) -> ReleaseEnd {
        match self {
            Self::Step | Self::Unhealthy => ReleaseEnd::Failed,
            Self::TimedOut => ReleaseEnd::TimedOut,
            Self::Terminated(_) => ReleaseEnd::Terminated,
        }
    }
}

impl App {
    /// Ends the release at hand, if there is one.
    pub(super) async fn give_up(&mut self, fall: Fall<'_>, why: &str, live: &Presences) {
        let Some(running) = self.running.take() else {
            return;
        };
        let all_live = running.applied_at.is_some();
        if all_live {
            self.landed(&running, live, false);
        }
        if let Some(record) = &mut self.record {
            record.failure = Some(Failure {
                generation: running.target.generation,
                attempts: running.retries.saturating_add(1),
                message: why.to_owned(),
                time: Self::now(),
                unhealthy: all_live && running.hooks_succeeded() && fall != Fall::Step,
                early: false,
                rotated: matches!(running.cause, ReleaseCause::SecretRotated { .. }),
                ended: fall.ended(),
            });
        }
        self.turn_back(&running, fall).await;
        self.end_operation(&running, OperationPhase::Failed, why);
        self.write_outcome(&running, AttemptEnd::Failed, live).await;
        self.ctx.metrics.release(fall.counts_as());
        let user = match fall {
            Fall::Terminated(user) => Some(user),
            Fall::Step | Fall::Unhealthy | Fall::TimedOut => running.cause.user(),
        };
        self.say(
            EventKind::ReleaseFailed,
            format!("release {} failed: {why}", running.id),
            &running.target,
            running.id,
            user,
        );
        answer(running.request);
    }

    /// Ends the release at hand if its time is over; else looks again when it is.
    pub(super) async fn end_in_time(&mut self, live: &Presences) -> bool {
        let Some(running) = &self.running else {
            return false;
        };
        let Some(timeout) = self.sync_timeout() else {
            return false;
        };
        let due = running.started.saturating_add(timeout.millis);
        if due > Self::now() {
            self.look_again_at(due);
            return false;
        }
        let mut why = format!("timed out after {}", timeout.text);
        if !running.waits_for.is_empty() {
            why = format!("{why}, waiting: {}", running.waits_for);
        }
        if let Some(wrong) = &running.wrong {
            why = format!("{wrong}; after that {why}");
        }
        self.give_up(Fall::TimedOut, &why, live).await;
        true
    }

    /// A person ends whatever is under way: a release, one that was asked for and hasn't begun, or the tries after a failure.
    pub(super) async fn terminate(&mut self, user: &str, live: &Presences) -> Result<(), String> {
        let why = format!("terminated by {user}");
        let asked: Vec<Request> = self.requests.drain(..).collect();
        let mut ended = !asked.is_empty();
        for request in asked {
            if let Some(record) = &mut self.record {
                record.remember_command(&request.id);
            }
            answer(Some(request));
        }
        if self.running.is_some() {
            self.give_up(Fall::Terminated(user), &why, live).await;
            return Ok(());
        }
        if self.end_waiting(&why, user).await {
            ended = true;
        } else if self.stop_trying(&why) {
            ended = true;
            self.save(None).await;
        }
        if ended {
            Ok(())
        } else {
            Err("no release is running".to_owned())
        }
    }

    /// Whether a failed release of what is wanted now would have been tried again.
    fn stop_trying(&mut self, why: &str) -> bool {
        let Some(wanted) = self.effective().map(|target| target.generation) else {
            return false;
        };
        let Some(record) = &mut self.record else {
            return false;
        };
        let Some(failure) = record
            .failure
            .as_mut()
            .filter(|failure| failure.generation == wanted && failure.ended.is_none())
        else {
            return false;
        };
        failure.ended = Some(Ended::Terminated);
        failure.message = format!("{why}; before that: {}", failure.message);
        if let Some(operation) = record
            .operation
            .as_mut()
            .filter(|operation| operation.generation == wanted)
        {
            operation.message.clone_from(&failure.message);
        }
        true
    }

    /// Before its first step: secrets or the store failed.
    pub(super) fn not_started(
        &mut self,
        target: &Target,
        request: Option<Request>,
        why: &str,
        kind: ConditionType,
    ) {
        self.fault(kind, why);
        let now = Self::now();
        let mut record = match self.record.take() {
            Some(record) => record,
            None => Record::new(self.id.clone(), target.present.uid.clone()),
        };
        let known = record
            .failure
            .take()
            .filter(|failure| failure.generation == target.generation);
        let attempts = known
            .as_ref()
            .map_or(0, |failure| failure.attempts)
            .saturating_add(1);
        let first = known.is_none_or(|failure| failure.message != why);
        record.failure = Some(Failure {
            generation: target.generation,
            attempts,
            early: true,
            rotated: false,
            message: why.to_owned(),
            time: now,
            unhealthy: false,
            ended: None,
        });
        let id = record.release;
        self.record = Some(record);
        if first {
            self.say(
                EventKind::ReleaseFailed,
                format!("a release could not begin: {why}"),
                target,
                id,
                None,
            );
        }
        answer(request);
    }
}

impl Running {
    /// Whether a release like this may be gone back from: not one that goes back itself, and not of some objects only.
    pub(super) fn may_turn_back(&self) -> bool {
        let back = matches!(self.cause, ReleaseCause::OnFailure { .. });
        !self.is_partial() && !back
    }

    /// Whether every hook that was started has succeeded.
    fn hooks_succeeded(&self) -> bool {
        self.hooks().all(|phase| phase == OperationPhase::Succeeded)
    }

    /// Whether a hook is among what failed.
    pub(super) fn hook_failed(&self) -> bool {
        self.hooks().any(|phase| phase == OperationPhase::Failed)
    }

    /// How far the hooks are that the release depends on.
    fn hooks(&self) -> impl Iterator<Item = OperationPhase> {
        self.results
            .values()
            .filter(|result| result.phase != Phase::SyncFail.as_str())
            .filter_map(|result| result.hook_phase)
    }
}
