//! Hooks of an application's deletion: `PreDelete` before its objects go, `PostDelete` when they are gone. They are those of what was
//! released last, from the manifests that the cluster keeps.

use std::sync::Arc;

use bus::message::condition::ConditionType;
use bus::message::desired::Deleted;
use bus::message::event::{Event, EventKind};

use super::App;
use super::deletion::{Run, Stepped};
use super::steps::uids;
use super::target::Target;
use crate::cluster::Cluster;
use crate::execute::{self, Job};
use crate::live::Chain;
use crate::object::{Hook, Key, Manifest, Phase};
use crate::plan::wait::{self, Wait, Waited};
use crate::plan::{HookProgress, Item, Presences, Step, Turn, hooks};

/// How long a hook that failed stays for people to look at before it runs again.
const AGAIN_MS: u64 = 30_000;

impl App {
    /// What was released last, if it has hooks for a deletion that somebody asked for.
    pub(super) async fn hooks_for_deletion(
        &self,
        deleted: &Deleted,
    ) -> Result<Option<Arc<Target>>, String> {
        let (Some(record), Some(present)) = (&self.record, self.present()) else {
            return Ok(None);
        };
        let Some((_, digest)) = record.live.as_ref().filter(|_| deleted.requested.is_some()) else {
            return Ok(None);
        };
        let mut history = record.history.iter().rev();
        let Some(entry) = history.find(|entry| entry.digest == *digest) else {
            return Ok(None);
        };
        let found = self.ctx.store.manifests(&self.hash, digest).await;
        let Some(bytes) = found.map_err(|error| error.describe())? else {
            tracing::warn!(app = %self.id, "the manifests of the last release are gone: no hook runs for the deletion");
            return Ok(None);
        };
        let target = self
            .recall(entry, &present, bytes)
            .map_err(|error| Chain(&error).to_string())?;
        let any = target.manifests.iter().any(is_of_deletion);
        Ok(any.then(|| Arc::new(target)))
    }

    /// The steps of a deletion, with its hooks around the objects.
    pub(super) fn with_hooks(
        &self,
        objects: Vec<Step>,
        manifests: &[Manifest],
        attempt: &str,
        live: &Presences,
    ) -> Vec<Step> {
        let progress = self
            .record
            .as_ref()
            .and_then(|record| record.progress.as_ref());
        let passed = progress
            .filter(|progress| progress.attempt == attempt)
            .and_then(|progress| progress.passed);
        let mut steps = hooks::phase(Phase::PreDelete, manifests, live, attempt, passed);
        steps.extend(objects);
        steps.extend(hooks::phase(
            Phase::PostDelete,
            manifests,
            live,
            attempt,
            passed,
        ));
        steps
    }

    /// Writes down what hooks will be there, before they are. Whether it is written.
    pub(super) async fn note_hooks_to_come(&mut self, manifests: &[Manifest]) -> bool {
        let Some(record) = &mut self.record else {
            return true;
        };
        let mut grown = false;
        for manifest in manifests.iter().filter(|manifest| is_of_deletion(manifest)) {
            let item = Item::of(manifest);
            grown |= record
                .inventory
                .insert(manifest.key.clone(), item)
                .is_none();
        }
        if grown {
            self.save(None).await;
        }
        if self.unsaved {
            self.deletion_failed("what the deletion is about to make couldn't be written down");
        }
        !self.unsaved
    }

    pub(super) async fn start_hooks(
        &mut self,
        run: &Run,
        writer: &Cluster,
        phase: Phase,
        batch: &[usize],
    ) -> Stepped {
        let Some(target) = &run.hooks else {
            return Stepped::Done;
        };
        let manifests = || batch.iter().map(|&at| &target.manifests[at]);
        let given = match self.resolve_some(target, manifests()).await {
            Ok(given) => given,
            Err((message, _)) => {
                self.deletion_failed(&format!("a {} hook: {message}", phase.as_str()));
                return Stepped::Failed;
            }
        };
        let mark = phase.mark(&run.attempt);
        let jobs = manifests()
            .map(|manifest| Job {
                manifest,
                mark: &mark,
                adopt: None,
            })
            .collect();
        let mut failures = Vec::new();
        for (manifest, outcome) in execute::apply_all(&self.ctx, writer, jobs, &given.values).await
        {
            match outcome {
                Ok(_) => {
                    let message = format!("{} {} started", phase.as_str(), manifest.key);
                    let event = Event::new(&self.id, &self.ctx.id, EventKind::HookStarted, message);
                    self.ctx
                        .publisher
                        .event(event.detail("object", manifest.key.path()));
                }
                Err(error) => failures.push(error.describe()),
            }
        }
        if failures.is_empty() {
            return Stepped::Done;
        }
        self.deletion_failed(&format!(
            "a {} hook: {}",
            phase.as_str(),
            failures.join("; ")
        ));
        Stepped::Failed
    }

    /// Whether hooks have ended. Those that failed hold the deletion; they are made anew after a while.
    pub(super) async fn hooks_ended(
        &mut self,
        run: &mut Run,
        writer: &Cluster,
        phase: Phase,
        batch: &[usize],
        live: &Presences,
    ) -> Stepped {
        let Some(target) = run.hooks.clone() else {
            return Stepped::Done;
        };
        let wait = Wait {
            attempt: &run.attempt,
            phase,
            applications: false,
        };
        let manifests = batch.iter().map(|&at| &target.manifests[at]);
        let why = match wait::healthy(manifests, live, wait) {
            Waited::Met => return Stepped::Done,
            Waited::Pending(_) => return Stepped::Waiting,
            Waited::Failed(why) => why,
        };
        let message = format!(
            "a {} hook failed, and nothing is done until it succeeds: {why}; it is run again every {} s",
            phase.as_str(),
            AGAIN_MS / 1_000
        );
        self.fault(ConditionType::DeletionError, &message);
        let again = *run.failed.get_or_insert_with(Self::now) + AGAIN_MS;
        if Self::now() < again {
            self.look_again_at(again);
            return Stepped::Waiting;
        }
        let failed = hooks::failed(&target.manifests, live, &run.attempt);
        self.delete_hook_objects(writer, &failed, live).await;
        self.look_again_at(Self::now());
        Stepped::Failed
    }

    /// Writes down that a wave of hooks is over.
    pub(super) async fn hooks_passed(&mut self, run: &Run, turn: Turn) -> Stepped {
        if let Some(record) = &mut self.record {
            record.progress = Some(HookProgress {
                attempt: run.attempt.clone(),
                passed: Some(turn),
                wrong: None,
            });
        }
        self.save(None).await;
        if self.unsaved {
            self.deletion_failed("which hooks have run couldn't be written down");
            return Stepped::Waiting;
        }
        Stepped::Done
    }

    /// Nobody is left to clear them away later. Whether that was done.
    pub(super) async fn clear_hooks_away(
        &mut self,
        run: &Run,
        writer: &Cluster,
        live: &Presences,
    ) -> bool {
        let Some(target) = run.hooks.clone() else {
            return true;
        };
        let doomed = hooks::after_deletion(&target.manifests, live, &run.attempt);
        self.delete_hook_objects(writer, &doomed, live).await
    }

    async fn delete_hook_objects(
        &mut self,
        writer: &Cluster,
        keys: &[Key],
        live: &Presences,
    ) -> bool {
        let outcomes = execute::delete_all(&self.ctx, writer, uids(keys, live), "Background").await;
        let mut failures = outcomes
            .into_iter()
            .filter_map(|(_, outcome)| outcome.err());
        match failures.next() {
            Some(error) => {
                self.deletion_failed(&error.describe());
                false
            }
            None => true,
        }
    }
}

fn is_of_deletion(manifest: &Manifest) -> bool {
    manifest.hook.as_ref().is_some_and(Hook::is_of_deletion)
}
