//! People's commands. Each is remembered by its id, so that one delivered twice is carried out once.

use bus::message::command::{Action, Command};
use bus::message::event::{Event, EventKind};
use bus::message::state::{HistoryEntry, Pin, ReleaseCause};
use bus::{Outcome, ReleaseId};
use tokio::sync::oneshot;

use super::App;
use super::release::Request;
use crate::live::Owner;

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
                if let Some(why) = self.refuses_sync(dry_run) {
                    Err(why)
                } else {
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
            Action::Rollback { release } => self.roll_back(release, &command).await,
            Action::Pin => self.pin_here(&command).await,
            Action::Unpin => self.unpin(&command).await,
            Action::Terminate => self.terminate_by(&command).await,
        };
        if let Err(why) = carried_out {
            self.refuse_command(&command, &why);
        }
        let _ = done.send(Outcome::Done);
    }

    fn refuse_command(&self, command: &Command, why: &str) {
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

    fn refuses_sync(&self, dry_run: bool) -> Option<String> {
        if self.ctx.observe {
            return Some("this applier only observes".to_owned());
        }
        if dry_run {
            return Some("a dry run isn't supported yet".to_owned());
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
        command: &Command,
    ) -> Result<(), String> {
        if self.ctx.observe {
            return Err("this applier only observes".to_owned());
        }
        let record = self
            .record
            .as_ref()
            .ok_or("the application was never released here")?;
        let entry = match release {
            Some(id) => record
                .history
                .iter()
                .find(|entry| entry.release == id)
                .ok_or_else(|| {
                    format!(
                        "release {id} is not in the history ({})",
                        known_releases(&record.history)
                    )
                })?,
            None => last_good(
                &record.history,
                record.live.as_ref().map(|(_, digest)| digest),
            )
            .ok_or("no healthy release before the current one is in the history")?,
        };
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
            command,
            format!(
                "rolled back to release {id} and pinned there by {}",
                command.user
            ),
        )
        .await
    }

    async fn pin_here(&mut self, command: &Command) -> Result<(), String> {
        let last = self
            .record
            .as_ref()
            .and_then(|record| record.history.last())
            .map(|entry| entry.release);
        let id = last.ok_or("the application was never released here")?;
        self.hold_at(
            id,
            command,
            format!("pinned at release {id} by {}", command.user),
        )
        .await
    }

    async fn hold_at(
        &mut self,
        release: ReleaseId,
        command: &Command,
        message: String,
    ) -> Result<(), String> {
        let Some(record) = &mut self.record else {
            return Err("the application was never released here".to_owned());
        };
        let before = record.pin.replace(Pin {
            release,
            user: command.user.clone(),
            since: Self::now(),
        });
        record.failure = None;
        record.remember_command(&command.id);
        // Written before anything is applied: a pin that is acknowledged holds.
        self.save(None).await;
        if self.unsaved {
            if let Some(record) = &mut self.record {
                record.pin = before;
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

    async fn unpin(&mut self, command: &Command) -> Result<(), String> {
        let Some(record) = self.record.as_mut().filter(|record| record.pin.is_some()) else {
            return Err("the application is not pinned".to_owned());
        };
        let before = record.pin.take();
        record.failure = None;
        record.remember_command(&command.id);
        self.save(None).await;
        if self.unsaved {
            if let Some(record) = &mut self.record {
                record.pin = before;
            }
            return Err("the end of the pin could not be written to the cluster".to_owned());
        }
        self.pinned = None;
        self.unpinned_by = Some(command.user.clone());
        self.check_project();
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

    async fn terminate_by(&mut self, command: &Command) -> Result<(), String> {
        let Some(running) = &self.running else {
            return Err("no release is running".to_owned());
        };
        let target = running.target.clone();
        let owner = Owner {
            hash: &self.hash,
            tracking: &target.present.tracking,
        };
        let live = self
            .presences([Some(&target), None], owner)
            .await
            .map_err(|error| error.to_string())?;
        if let Some(record) = &mut self.record {
            record.remember_command(&command.id);
        }
        self.terminate(&command.user, &live).await;
        Ok(())
    }
}

/// The newest healthy release that isn't what is live.
fn last_good<'a>(
    history: &'a [HistoryEntry],
    live: Option<&bus::Digest>,
) -> Option<&'a HistoryEntry> {
    history
        .iter()
        .rev()
        .find(|entry| entry.healthy && Some(&entry.digest) != live)
}

fn known_releases(history: &[HistoryEntry]) -> String {
    let ids: Vec<String> = history
        .iter()
        .map(|entry| entry.release.to_string())
        .collect();
    if ids.is_empty() {
        "which is empty".to_owned()
    } else {
        format!("which has {}", ids.join(", "))
    }
}
