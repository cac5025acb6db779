//! The end of an application: its objects go as asked, then what is remembered of it.

use bus::message::condition::ConditionType;
use bus::message::desired::{Cascade, Deleted, Tracking};
use bus::message::event::{Event, EventKind};

use super::App;
use super::steps::uids;
use crate::execute;
use crate::live::Owner;
use crate::object::Key;
use crate::plan::wait::{self, Waited};
use crate::plan::{self, Defaults, Presences, Step};

/// How soon a deletion that failed is tried again.
const AGAIN_MS: u64 = 5_000;
/// How long an object may take to go before people are told which one is waited for.
const LATE_MS: u64 = 10_000;

/// A deletion under way.
pub(crate) struct Run {
    uid: String,
    steps: Vec<Step>,
    at: usize,
    /// When this step began, Unix milliseconds.
    since: u64,
}

impl App {
    /// One step further. Whether there may be another at once.
    pub(super) async fn delete(&mut self, deleted: &Deleted) -> bool {
        if self.deleted.as_deref() == Some(&*deleted.uid) {
            return false;
        }
        if self.ctx.observe {
            self.fault(
                ConditionType::DeletionError,
                "this applier only observes: nothing is deleted",
            );
            return false;
        }
        let Some(record) = &self.record else {
            // Nothing of it was ever put into this cluster, or it is done already.
            self.gone(deleted, "nothing of it is in the cluster").await;
            return false;
        };
        if record.uid != deleted.uid {
            // Another Application object's inventory: a new one of the same name took it over.
            self.gone(
                deleted,
                "its objects belong to a newer Application of the same name",
            )
            .await;
            return false;
        }
        if let Some(running) = self.running.take() {
            let tracking = running.target.present.tracking.clone();
            if let Ok(live) = self
                .presences(
                    [None, None],
                    Owner {
                        hash: &self.hash,
                        tracking: &tracking,
                    },
                )
                .await
            {
                self.clean_hooks(&running, &live).await;
            }
            super::release::answer(running.request);
        }
        match deleted.cascade {
            Cascade::None => {
                self.gone(deleted, "its objects stay, as asked").await;
                false
            }
            Cascade::Foreground => self.delete_step(deleted, "Foreground").await,
            Cascade::Background => self.delete_step(deleted, "Background").await,
        }
    }

    async fn delete_step(&mut self, deleted: &Deleted, propagation: &'static str) -> bool {
        if !self.watched(None) {
            return false;
        }
        let Some(tracking) = self.tracking() else {
            self.gone(deleted, "nothing of it was applied").await;
            return false;
        };
        let live = match self
            .presences(
                [None, None],
                Owner {
                    hash: &self.hash,
                    tracking: &tracking,
                },
            )
            .await
        {
            Ok(live) => live,
            Err(error) => {
                let message = format!("{error}: {}", error.source.describe(error.key.is_secret()));
                self.deletion_failed(&message);
                return false;
            }
        };
        let run = if let Some(run) = self.deletion.take().filter(|run| run.uid == deleted.uid) {
            run
        } else {
            Run {
                uid: deleted.uid.clone(),
                steps: self.deletion_steps(&live),
                at: 0,
                since: Self::now(),
            }
        };
        let Some(step) = run.steps.get(run.at) else {
            self.gone(deleted, "its objects are gone").await;
            return false;
        };
        match step {
            Step::Delete { keys, .. } => {
                let released = self
                    .record
                    .as_ref()
                    .and_then(|record| record.desired.clone());
                let writer = match released.or(self.present()) {
                    Some(present) => self.writer(&present),
                    None => Ok(self.ctx.cluster.clone()),
                };
                let writer = match writer {
                    Ok(writer) => writer,
                    Err(message) => {
                        self.deletion_failed(&message);
                        return false;
                    }
                };
                let outcomes =
                    execute::delete_all(&self.ctx, &writer, uids(keys, &live), propagation).await;
                let failures: Vec<String> = outcomes
                    .into_iter()
                    .filter_map(|(_, outcome)| outcome.err())
                    .map(|error| error.describe())
                    .collect();
                if !failures.is_empty() {
                    // Planned anew next time, from what is still there.
                    self.deletion_failed(&failures.join("; "));
                    return false;
                }
            }
            Step::AwaitGone(keys) => {
                if let Waited::Pending(what) = wait::gone(keys, &live) {
                    self.watch_strangers(&live);
                    let late = run.since + LATE_MS;
                    if Self::now() >= late {
                        self.fault(
                            ConditionType::DeletionError,
                            &format!("{what} for long: see its finalizers"),
                        );
                    } else {
                        self.look_again_at(late);
                    }
                    self.deletion = Some(run);
                    return false;
                }
            }
            Step::CreateNamespace(_)
            | Step::Apply { .. }
            | Step::Await { .. }
            | Step::AwaitEnd(_)
            | Step::Passed(_)
            | Step::Applied => {}
        }
        self.deletion = Some(Run {
            at: run.at + 1,
            since: Self::now(),
            ..run
        });
        true
    }

    fn deletion_steps(&self, live: &Presences) -> Vec<Step> {
        let (namespace, name) = (self.id.namespace(), self.id.name());
        let own = Key::new(api::GROUP, "Application", namespace, name);
        let present = self.present();
        let defaults = present.map(|present| Defaults::of(&present.spec));
        let Some(record) = &self.record else {
            return Vec::new();
        };
        plan::deletion::deletion(&record.inventory, live, &own, defaults.unwrap_or_default())
    }

    fn deletion_failed(&mut self, message: &str) {
        self.fault(ConditionType::DeletionError, message);
        self.look_again_at(Self::now() + AGAIN_MS);
    }

    fn tracking(&self) -> Option<Tracking> {
        let released = self
            .record
            .as_ref()
            .and_then(|record| record.desired.as_ref());
        released
            .or(self.present.as_ref())
            .map(|present| present.tracking.clone())
    }

    /// Nothing is left to do: forget it, and say so.
    async fn gone(&mut self, deleted: &Deleted, how: &str) {
        let ours = self
            .record
            .as_ref()
            .is_some_and(|record| record.uid == deleted.uid);
        if ours {
            if let Err(error) = self.ctx.store.remove(&self.hash).await {
                self.deletion_failed(&error.describe());
                return;
            }
            for key in self
                .record
                .iter()
                .flat_map(|record| record.inventory.keys())
            {
                self.ctx.live.forget(key);
            }
            self.record = None;
            self.slot = crate::store::Slot::default();
            self.applied.clear();
            self.ctx.publisher.forget_head(&self.id);
        }
        self.deletion = None;
        self.target = None;
        self.held_target = None;
        self.trouble = None;
        self.deleted = Some(deleted.uid.clone());
        let event = Event::new(
            &self.id,
            &self.ctx.id,
            EventKind::ApplicationDeleted,
            format!("the application is deleted: {how}"),
        )
        .generation(self.known_generation());
        self.ctx
            .publisher
            .event(event.detail("uid", deleted.uid.clone()));
    }
}
