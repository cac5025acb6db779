//! `towline.dev/rollback: on-failure`: from a release that failed, back to the last healthy one; and where an application is held.

use bus::ReleaseId;
use bus::message::event::{Event, EventKind};

use super::App;
use super::annotation;
use super::decide::Retry;
use super::fail::Fall;
use super::release::{Running, revision_words};
use crate::store::{Record, Refused};

impl App {
    /// The release that the application is held at: by a person, or since what is wanted failed.
    pub(super) fn held_at(&self) -> Option<ReleaseId> {
        match (self.pin(), self.refused()) {
            (Some(pin), _) => Some(pin.release),
            (None, Some(refused)) => Some(refused.to),
            (None, None) => None,
        }
    }

    /// The failed release that isn't released again, as long as it is what is wanted.
    pub(super) fn refused(&self) -> Option<&Refused> {
        let refused = self.record.as_ref()?.refused.as_ref()?;
        let overcome = self
            .target
            .as_ref()
            .is_some_and(|target| refused.is_overcome_by(target.generation, &target.digest));
        // Where nothing is released without a person, only a person's sync brings the newer one.
        let follows = self
            .present()
            .is_some_and(|present| present.spec.automated());
        (!(overcome && follows)).then_some(refused)
    }

    /// A person wants what is wanted to be released, whatever became of it before.
    pub(super) fn lift_refusal(&mut self) {
        if self
            .record
            .as_mut()
            .and_then(|record| record.refused.take())
            .is_some()
        {
            self.check_project();
        }
    }

    /// Refuses what just failed if the application is to go back then, and to where. Written with the outcome.
    pub(super) async fn turn_back(&mut self, running: &Running, fall: Fall<'_>) {
        let wanted = self
            .present()
            .is_some_and(|present| annotation::goes_back(&present.annotations));
        if !wanted
            || self.pin().is_some()
            || !running.may_turn_back()
            || !self.is_over(running, fall)
        {
            return;
        }
        let Some(to) = self.last_healthy_but(running).await else {
            return;
        };
        let message = format!(
            "{} failed and is refused until a newer revision comes; going back to release {to}",
            revision_words(&running.target)
        );
        let target = &running.target;
        let Some(record) = &mut self.record else {
            return;
        };
        record.refused = Some(Refused {
            generation: target.generation,
            digest: target.digest.clone(),
            revisions: target.revisions.clone(),
            to,
            began: running.started,
            why: record
                .failure
                .as_ref()
                .map(|failure| failure.message.clone())
                .unwrap_or_default(),
        });
        let mut event = Event::new(&self.id, &self.ctx.id, EventKind::RevisionRefused, message)
            .generation(target.generation)
            .release(running.id)
            .detail("to", to.to_string());
        if let Some(revision) = target.revisions.first() {
            event = event.revision(revision);
        }
        self.ctx.publisher.event(event);
        self.check_project();
    }

    /// Whether nothing more is tried.
    fn is_over(&self, running: &Running, fall: Fall<'_>) -> bool {
        match fall {
            Fall::Unhealthy | Fall::TimedOut => true,
            // Whoever ended it knows what should follow.
            Fall::Terminated(_) => false,
            Fall::Step => {
                let spec = &running.target.present.spec;
                let retry = Retry::of(spec.sync_policy.as_ref());
                let failure = self
                    .record
                    .as_ref()
                    .and_then(|record| record.failure.as_ref());
                !spec.automated() || failure.is_none_or(|failure| retry.is_used_up(failure))
            }
        }
    }

    /// The last healthy release, if it isn't what just failed and the cluster still keeps its manifests.
    async fn last_healthy_but(&self, running: &Running) -> Option<ReleaseId> {
        let entry = self
            .record
            .as_ref()
            .and_then(Record::last_healthy)
            .filter(|entry| entry.digest != running.target.digest)?;
        match self.ctx.store.manifests(&self.hash, &entry.digest).await {
            Ok(None) => None,
            // What can't be read now is read again when it is needed.
            Ok(Some(_)) | Err(_) => Some(entry.release),
        }
    }
}
