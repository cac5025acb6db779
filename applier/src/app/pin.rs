//! Where a person holds an application, until when, and how that ends.

use bus::ReleaseId;
use bus::message::command::Command;
use bus::message::event::{Event, EventKind};
use bus::message::state::{Pin, PinUntil};

use super::App;
use super::annotation;
use super::release::words;
use super::target::Target;
use crate::store::Wanted;

impl App {
    pub(super) fn pin(&self) -> Option<&Pin> {
        self.record.as_ref()?.pin.as_ref()
    }

    /// The pin as it is shown: the application's own policy counts beside what was asked for with the command.
    pub(super) fn shown_pin(&self) -> Option<Pin> {
        let mut pin = self.pin()?.clone();
        if self
            .present()
            .is_some_and(|present| annotation::pins_end_by_newer(&present.annotations))
        {
            pin.until = PinUntil::NewerRevision;
        }
        Some(pin)
    }

    pub(super) async fn pin_here(
        &mut self,
        until: PinUntil,
        command: &Command,
    ) -> Result<(), String> {
        let last = self
            .record
            .as_ref()
            .and_then(|record| record.history.last())
            .map(|entry| entry.release);
        let id = last.ok_or("the application was never released here")?;
        let message = format!(
            "pinned at release {id}{} by {}",
            until.words(),
            command.user
        );
        self.hold_at(id, until, command, message).await
    }

    pub(super) async fn hold_at(
        &mut self,
        release: ReleaseId,
        until: PinUntil,
        command: &Command,
        message: String,
    ) -> Result<(), String> {
        let wanted = self.target.as_deref().map(wanted);
        let Some(record) = &mut self.record else {
            return Err("the application was never released here".to_owned());
        };
        let before = (record.pin.take(), record.pinned_over.take());
        record.pin = Some(Pin {
            release,
            user: command.user.clone(),
            since: Self::now(),
            until,
        });
        record.pinned_over = wanted;
        record.failure = None;
        record.remember_command(&command.id);
        // Written before anything is applied: a pin that is acknowledged holds.
        self.save(None).await;
        if self.unsaved {
            if let Some(record) = &mut self.record {
                (record.pin, record.pinned_over) = before;
            }
            return Err("the pin could not be written to the cluster".to_owned());
        }
        let event = Event::new(
            &self.id,
            &self.ctx.id,
            EventKind::ApplicationPinned,
            message,
        );
        self.ctx.publisher.event(
            event
                .user(&command.user)
                .release(release)
                .detail("command", command.id.clone()),
        );
        Ok(())
    }

    pub(super) async fn unpin(&mut self, command: &Command) -> Result<(), String> {
        let Some(record) = self.record.as_mut().filter(|record| record.pin.is_some()) else {
            return Err("the application is not pinned".to_owned());
        };
        let before = (record.pin.take(), record.pinned_over.take());
        record.failure = None;
        record.remember_command(&command.id);
        self.save(None).await;
        if self.unsaved {
            if let Some(record) = &mut self.record {
                (record.pin, record.pinned_over) = before;
            }
            return Err("the end of the pin could not be written to the cluster".to_owned());
        }
        self.unpinned_by = Some(command.user.clone());
        self.let_go();
        let event = Event::new(
            &self.id,
            &self.ctx.id,
            EventKind::ApplicationUnpinned,
            format!("unpinned by {}", command.user),
        );
        self.ctx.publisher.event(
            event
                .user(&command.user)
                .detail("command", command.id.clone()),
        );
        Ok(())
    }

    /// Ends a pin that lasts only until a newer revision, when one is there. What can't be written now ends again after a crash.
    pub(super) async fn end_pin_by_newer(&mut self) {
        let Some(pin) = self
            .shown_pin()
            .filter(|pin| pin.until == PinUntil::NewerRevision)
        else {
            return;
        };
        let (Some(target), Some(record)) = (self.target.clone(), &mut self.record) else {
            return;
        };
        let over = record.pinned_over.get_or_insert_with(|| wanted(&target));
        if !over.is_older_than(&wanted(&target)) {
            return;
        }
        record.pin = None;
        record.pinned_over = None;
        record.failure = None;
        self.save(None).await;
        self.let_go();
        let newer = words(&target.revisions, target.generation);
        let message = format!(
            "{newer} ended the pin at release {} by {}, as asked",
            pin.release, pin.user
        );
        let event = Event::new(
            &self.id,
            &self.ctx.id,
            EventKind::ApplicationUnpinned,
            message,
        );
        self.ctx
            .publisher
            .event(event.generation(target.generation).release(pin.release));
    }

    fn let_go(&mut self) {
        self.held_target = None;
        self.check_project();
    }
}

fn wanted(target: &Target) -> Wanted {
    Wanted {
        generation: target.generation,
        digest: target.digest.clone(),
        revisions: target.revisions.clone(),
    }
}
