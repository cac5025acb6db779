//! The end of an application: its objects go as asked, then what is remembered of it.

use std::sync::Arc;

use bus::message::condition::ConditionType;
use bus::message::desired::{Cascade, Deleted, Tracking};
use bus::message::event::{Event, EventKind};

use super::App;
use super::contents::Ending;
use super::steps::uids;
use super::target::Target;
use crate::cluster::Cluster;
use crate::execute;
use crate::live::Owner;
use crate::object::Key;
use crate::plan::deletion::{Approval, Deletion, deletion};
use crate::plan::wait::{self, Waited};
use crate::plan::{self, Defaults, Presences, Step, Word};

/// How soon a deletion that failed is tried again.
const AGAIN_MS: u64 = 5_000;
/// How long an object may take to go before people are told which one is waited for.
const LATE_MS: u64 = 10_000;

/// A deletion under way.
pub(crate) struct Run {
    pub(super) uid: String,
    /// Marks its hooks.
    pub(super) attempt: String,
    /// What was released last, where that has hooks for a deletion.
    pub(super) hooks: Option<Arc<Target>>,
    steps: Vec<Step>,
    at: usize,
    /// When this step began, Unix milliseconds.
    since: u64,
    /// When a hook of this step was first seen to have failed.
    pub(super) failed: Option<u64>,
}

/// What became of a step.
pub(super) enum Stepped {
    Done,
    /// For a watch event, or a time that is set.
    Waiting,
    /// Told; all is planned anew, from what is there by then.
    Failed,
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
        if deleted.cascade == Cascade::None && deleted.requested.is_none() {
            self.gone(deleted, "its objects stay, as asked").await;
            return false;
        }
        self.delete_step(deleted).await
    }

    async fn delete_step(&mut self, deleted: &Deleted) -> bool {
        let known = self.deletion.take().filter(|run| run.uid == deleted.uid);
        let hooks = match &known {
            Some(run) => run.hooks.clone(),
            None => match self.hooks_for_deletion(deleted).await {
                Ok(hooks) => hooks,
                Err(message) => {
                    self.deletion_failed(&message);
                    return false;
                }
            },
        };
        if !self.watched(hooks.as_deref()) {
            self.deletion = known;
            return false;
        }
        let Some(tracking) = self.tracking() else {
            self.gone(deleted, "nothing of it was applied").await;
            return false;
        };
        let owner = Owner {
            hash: &self.hash,
            tracking: &tracking,
        };
        let mut live = match self.presences([hooks.as_deref(), None], owner).await {
            Ok(live) => live,
            Err(error) => {
                let message = format!("{error}: {}", error.source.describe(error.key.is_secret()));
                self.deletion_failed(&message);
                self.deletion = known;
                return false;
            }
        };
        if known.is_none() {
            let defaults = self.deletion_defaults();
            self.note_contents(&[], defaults, Ending::Deletion, &tracking, &mut live)
                .await;
        }
        let run = match known {
            Some(run) => run,
            None => match self.plan_deletion(deleted, hooks, &live).await {
                Some(run) => run,
                None => return false,
            },
        };
        self.carry_out(deleted, run, &live).await
    }

    /// One step. Whether there may be another at once.
    async fn carry_out(&mut self, deleted: &Deleted, mut run: Run, live: &Presences) -> bool {
        let writer = match self.deletion_writer() {
            Ok(writer) => writer,
            Err(message) => {
                self.deletion_failed(&message);
                return false;
            }
        };
        let Some(step) = run.steps.get(run.at).cloned() else {
            if self.clear_hooks_away(&run, &writer, live).await {
                let how = match deleted.cascade {
                    Cascade::None => "its objects stay, as asked",
                    Cascade::Foreground | Cascade::Background => "its objects are gone",
                };
                self.gone(deleted, how).await;
            }
            return false;
        };
        let stepped = match &step {
            Step::Delete { keys, why } => {
                if let Some(whom) = self.unsettled(*why) {
                    tracing::debug!(app = %self.id, whom, "the deletion waits");
                    self.deletion = Some(run);
                    return false;
                }
                let Some(tracking) = self.tracking() else {
                    return false;
                };
                let propagation = match deleted.cascade {
                    Cascade::Foreground => "Foreground",
                    Cascade::Background | Cascade::None => "Background",
                };
                let owner = Owner {
                    hash: &self.hash,
                    tracking: &tracking,
                };
                let objects = uids(&self.unwanted(keys), live);
                let outcomes =
                    execute::delete_ours(&self.ctx, &writer, objects, owner, propagation).await;
                let failures: Vec<String> = outcomes
                    .into_iter()
                    .filter_map(|(_, outcome)| outcome.err())
                    .map(|error| error.describe())
                    .collect();
                if failures.is_empty() {
                    Stepped::Done
                } else {
                    self.deletion_failed(&failures.join("; "));
                    Stepped::Failed
                }
            }
            Step::AwaitGone(keys) => self.gone_yet(&self.unwanted(keys), run.since, live),
            Step::Apply { phase, batch } => self.start_hooks(&run, &writer, *phase, batch).await,
            Step::Await { phase, batch } => {
                self.hooks_ended(&mut run, &writer, *phase, batch, live)
                    .await
            }
            Step::Passed(turn) => self.hooks_passed(&run, *turn).await,
            // Of releases.
            Step::CreateNamespace(_) | Step::Restart { .. } | Step::AwaitEnd(_) | Step::Applied => {
                Stepped::Done
            }
        };
        match stepped {
            Stepped::Done => {
                self.deletion = Some(Run {
                    at: run.at + 1,
                    since: Self::now(),
                    failed: None,
                    ..run
                });
                true
            }
            Stepped::Waiting => {
                self.deletion = Some(run);
                false
            }
            Stepped::Failed => false,
        }
    }

    fn gone_yet(&mut self, keys: &[Key], since: u64, live: &Presences) -> Stepped {
        let Waited::Pending(what) = wait::gone(keys, live) else {
            return Stepped::Done;
        };
        self.watch_strangers(live);
        let late = since + LATE_MS;
        if Self::now() >= late {
            let message = format!("{what} for long: see its finalizers");
            self.fault(ConditionType::DeletionError, &message);
        } else {
            self.look_again_at(late);
        }
        Stepped::Waiting
    }

    /// None where somebody has to agree first, or what must be safe couldn't be written down.
    async fn plan_deletion(
        &mut self,
        deleted: &Deleted,
        hooks: Option<Arc<Target>>,
        live: &Presences,
    ) -> Option<Run> {
        let attempt = format!("delete-{}", deleted.requested.unwrap_or_default());
        let manifests = hooks
            .as_ref()
            .map_or(&[][..], |target| &target.manifests[..]);
        let objects = match deleted.cascade {
            Cascade::None => Vec::new(),
            Cascade::Foreground | Cascade::Background => {
                match self.objects_to_delete(deleted, manifests, live) {
                    Deletion::Steps(steps) => steps,
                    Deletion::NeedsWord(keys) => {
                        self.ask_for_word(&keys);
                        return None;
                    }
                }
            }
        };
        let steps = self.with_hooks(objects, manifests, &attempt, live);
        if !self.note_hooks_to_come(manifests).await {
            return None;
        }
        self.trouble = None;
        Some(Run {
            uid: deleted.uid.clone(),
            attempt,
            hooks,
            steps,
            at: 0,
            since: Self::now(),
            failed: None,
        })
    }

    fn objects_to_delete(
        &self,
        deleted: &Deleted,
        manifests: &[crate::object::Manifest],
        live: &Presences,
    ) -> Deletion {
        let (namespace, name) = (self.id.namespace(), self.id.name());
        let own = Key::new(api::GROUP, "Application", namespace, name);
        let approval = match deleted.requested {
            None => Approval::Nobody,
            Some(since) if plan::approval::approves(deleted.approved.as_deref(), since) => {
                Approval::Given
            }
            Some(_) => Approval::Missing,
        };
        let Some(record) = &self.record else {
            return Deletion::Steps(Vec::new());
        };
        let defaults = self.deletion_defaults();
        deletion(&record.inventory, manifests, live, &own, defaults, approval)
    }

    fn deletion_defaults(&self) -> Defaults {
        let present = self.present();
        present.map_or_else(Defaults::default, |present| Defaults::of(&present.spec))
    }

    fn ask_for_word(&mut self, keys: &[(Key, Word)]) {
        let Some((first, word)) = keys.first() else {
            return;
        };
        let why = match word {
            Word::Asked => "(Delete=confirm)".to_owned(),
            Word::Holds(what) => format!("since {first} would take along {what}"),
        };
        let more = match keys.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let message = format!(
            "{first}{more} would be deleted, which needs a confirmation {why}; nothing is deleted until the Application is annotated with {}: <now, as in 2006-01-02T15:04:05Z>",
            api::annotations::DELETION_APPROVED
        );
        self.fault(ConditionType::ConfirmationNeeded, &message);
    }

    /// The cluster, to be written to in the name that the application's objects were.
    fn deletion_writer(&self) -> Result<Cluster, String> {
        let released = self
            .record
            .as_ref()
            .and_then(|record| record.desired.clone());
        match released.or(self.present()) {
            Some(present) => self.writer(&present),
            None => Ok(self.ctx.cluster.clone()),
        }
    }

    pub(super) fn deletion_failed(&mut self, message: &str) {
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
            let had: Vec<Key> = self
                .record
                .iter()
                .flat_map(|record| record.inventory.keys().cloned())
                .collect();
            for key in self.unwanted(&had) {
                self.ctx.live.forget(&key);
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
