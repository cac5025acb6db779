//! People's commands. Each is remembered by its id, so that one delivered twice is carried out once.

use bus::message::command::{Action, Command};
use bus::message::event::{Event, EventKind};
use bus::message::state::{PinUntil, ReleaseCause};
use bus::{Outcome, ReleaseId};
use tokio::sync::oneshot;

use super::release::Request;
use super::{App, trial};
use crate::direct::DirectOrder;
use crate::live::Owner;
use crate::plan::Presences;

impl App {
    pub(super) async fn command(&mut self, command: Command, done: oneshot::Sender<Outcome>) {
        let known = self
            .record
            .as_ref()
            .is_some_and(|record| record.knows_command(&command.id));
        if known {
            let _ = done.send(Outcome::Done);
            return;
        }
        let carried_out = match command.action.clone() {
            // The watcher's.
            Action::Refresh { .. } => Ok(()),
            Action::Sync {
                prune,
                dry_run,
                force,
                resources,
            } => {
                if let Some(why) = self.refuses_sync() {
                    Err(why)
                } else if dry_run {
                    self.try_out(trial::Asked { prune, resources }, command, done);
                    return;
                } else {
                    self.lift_refusal();
                    self.requests.push_back(Request {
                        cause: ReleaseCause::from_command(&command),
                        prune,
                        force,
                        resources,
                        id: command.id.clone(),
                        // Answered when the release ends; a crash before that delivers it again.
                        done: Some(done),
                    });
                    return;
                }
            }
            Action::Rollback { release, until } => self.roll_back(release, until, &command).await,
            Action::Pin => self.pin_here(PinUntil::Unpinned, &command).await,
            Action::PinUntil { until } => self.pin_here(until, &command).await,
            Action::Unpin => self.unpin(&command).await,
            Action::Terminate => self.terminate_by(&command).await,
        };
        if let Err(why) = carried_out {
            self.refuse_command(&command, &why);
        }
        let _ = done.send(Outcome::Done);
    }

    /// Without the broker: only the way back.
    pub(super) async fn direct(&mut self, order: DirectOrder) -> Result<(), String> {
        let known = self
            .record
            .as_ref()
            .is_some_and(|record| record.knows_command(&order.id));
        if known {
            return Ok(());
        }
        let (release, until) = (order.release, order.until);
        let command = Command {
            id: order.id,
            app: order.app,
            cluster: self.ctx.id.clone(),
            // Only the cluster's own rights stand behind that name.
            user: format!("{} (direct)", order.user),
            issued: order.issued,
            action: Action::Rollback { release, until },
        };
        let carried_out = self.roll_back(release, until, &command).await;
        if let Err(why) = &carried_out {
            self.refuse_command(&command, why);
        }
        carried_out
    }

    pub(super) fn refuse_command(&self, command: &Command, why: &str) {
        let verb = command.action.verb().token();
        let event = Event::new(
            &self.id,
            &self.ctx.id,
            EventKind::CommandRefused,
            format!("{verb} by {} was refused: {why}", command.user),
        );
        self.ctx.publisher.event(
            event
                .user(&command.user)
                .detail("command", command.id.clone()),
        );
    }

    fn refuses_sync(&self) -> Option<String> {
        if self.ctx.observe {
            return Some("this applier only observes".to_owned());
        }
        if let Some(pin) = self.pin() {
            return Some(format!(
                "the application is pinned at release {}: unpin it first",
                pin.release
            ));
        }
        let Some(target) = &self.target else {
            return Some("nothing is rendered for it yet".to_owned());
        };
        self.blocking(target)
            .next()
            .map(|finding| finding.message.clone())
    }

    async fn roll_back(
        &mut self,
        release: Option<ReleaseId>,
        until: PinUntil,
        command: &Command,
    ) -> Result<(), String> {
        if self.ctx.observe {
            return Err("this applier only observes".to_owned());
        }
        let record = self
            .record
            .as_ref()
            .ok_or("the application was never released here")?;
        let entry = record.way_back(release)?;
        let id = entry.release;
        let found = self
            .ctx
            .store
            .manifests(&self.hash, &entry.digest.clone())
            .await;
        match found {
            Ok(Some(_)) => {}
            Ok(None) => return Err(format!("the manifests of release {id} are no longer kept")),
            Err(error) => return Err(error.describe()),
        }
        self.hold_at(
            id,
            until,
            command,
            format!(
                "rolled back to release {id} and pinned there{} by {}",
                until.words(),
                command.user
            ),
        )
        .await
    }

    async fn terminate_by(&mut self, command: &Command) -> Result<(), String> {
        let live = match self.running.as_ref().map(|running| running.target.clone()) {
            None => Presences::new(),
            Some(target) => {
                let owner = Owner {
                    hash: &self.hash,
                    tracking: &target.present.tracking,
                };
                self.presences([Some(&target), None], owner)
                    .await
                    .map_err(|error| error.to_string())?
            }
        };
        self.terminate(&command.user, &live).await?;
        if let Some(record) = &mut self.record {
            record.remember_command(&command.id);
        }
        Ok(())
    }
}
