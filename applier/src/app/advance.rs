//! The one place where an application looks at how things are and does what follows.

use std::sync::Arc;

use bus::message::condition::{Condition, ConditionType};
use bus::message::desired::{Desired, DesiredState, Present};
use bus::message::event::{Event, EventKind};
use bus::message::state::{HealthStatus, OperationPhase, ReleaseCause};
use bus::{Digest, Generation};

use super::App;
use super::annotation;
use super::contents::Ending;
use super::decide::{Decision, Retry, Situation, decide};
use super::presence::LookError;
use super::steps::Progress;
use super::target::{Target, TargetError};
use super::unchanged;
use crate::live::{Chain, Owner};
use crate::object::Finding;
use crate::plan::{Defaults, Presence, Presences};

/// How soon something that failed for reasons of the moment is looked at again.
const AGAIN_MS: u64 = 2_000;
/// Rounds of one wake-up.
const ROUNDS: usize = 16;

impl App {
    pub(super) async fn advance(&mut self) {
        for _ in 0..ROUNDS {
            if !self.step().await {
                self.changed();
                return;
            }
        }
        // Others have their turn first.
        self.waker.notify_one();
        self.changed();
    }

    /// Whether something was done, after which the next look may find more to do.
    async fn step(&mut self) -> bool {
        if let Some(Desired {
            state: DesiredState::Deleted(deleted),
            ..
        }) = self.desired.as_deref()
        {
            let deleted = deleted.clone();
            return self.delete(&deleted).await;
        }
        if self.unsaved {
            let target = self.target.clone();
            self.save(target.as_deref()).await;
            if self.unsaved {
                self.look_again_at(Self::now() + AGAIN_MS);
            } else {
                self.trouble = None;
            }
        }
        self.rejoin().await;
        let Some(target) = self.effective() else {
            return false;
        };
        if let Err(error) = self.inherit(&target).await {
            self.not_looked(&error);
            return false;
        }
        if !self.watched(Some(&target)) {
            // The watch wakes us when it has seen everything.
            return false;
        }
        self.mask(&target);
        let owner = Owner {
            hash: &self.hash,
            tracking: &target.present.tracking,
        };
        let running = self.running.as_ref().map(|running| running.target.clone());
        let mut live = match self
            .presences([Some(&*target), running.as_deref()], owner)
            .await
        {
            Ok(live) => live,
            Err(error) => {
                self.not_looked(&error);
                return false;
            }
        };
        if self
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.kind == ConditionType::ComparisonError)
        {
            self.trouble = None;
        }
        if self.running.is_none() {
            let defaults = Defaults::of(&target.present.spec);
            let (manifests, tracking) = (&target.manifests, &target.present.tracking);
            self.note_contents(manifests, defaults, Ending::Prune, tracking, &mut live)
                .await;
        }
        self.clean_up_after_crash(&live).await;
        if self.explain(&live).await {
            // With the reasons in it.
            return true;
        }
        self.compare(&target, &live).await;
        self.tell_drift(&target, &live);
        self.look_for_orphans(&target);
        let did = self.act(&target, &live).await;
        if !did {
            self.watch_strangers(&live);
        }
        self.look(&target, live);
        did
    }

    fn not_looked(&mut self, error: &LookError) {
        let message = format!("{error}: {}", error.source.describe(error.key.is_secret()));
        self.trouble = Some(Condition::new(
            ConditionType::ComparisonError,
            &message,
            Self::now(),
        ));
        self.look_again_at(Self::now() + AGAIN_MS);
    }

    async fn act(&mut self, target: &Arc<Target>, live: &Presences) -> bool {
        if self.overtaken(target) {
            self.supersede(live).await;
            return true;
        }
        if self.end_in_time(live).await {
            return true;
        }
        if self.held_by_window() {
            return false;
        }
        if self.running.is_some() {
            return match self.proceed(live).await {
                Progress::Waiting => self.heal_while_waiting(target, live).await,
                Progress::Moved | Progress::Ended => true,
            };
        }
        let unchanged = unchanged::by_manifest(&target.manifests, &self.applied);
        self.ask_about_deletions(target, live).await;
        let situation = self.situation(target, live, &unchanged);
        let decision = decide(&situation, Self::now());
        let decision = self.through_window(target, decision);
        if decision == Decision::Release && self.waits_for_others(target) {
            return self.heal_meanwhile(target, live).await;
        }
        if decision != Decision::Release {
            self.awaiting = None;
        }
        match decision {
            Decision::Rest => {
                // An unpin that found nothing to change is over.
                self.unpinned_by = None;
                false
            }
            Decision::Wait(at) => {
                self.look_again_at(at);
                false
            }
            Decision::Release => self.start(target.clone(), live).await,
            Decision::Rotate => self.rotate(target.clone(), live).await,
            Decision::Heal => self.heal(target, live).await,
            Decision::Recover => {
                self.recover().await;
                true
            }
        }
    }

    /// Whether a crash cut the target's release off: it is concluded, though nothing of it may be left to apply. Of a rotation what
    /// was applied tells what is left.
    fn is_cut_off(&self, target: &Target) -> bool {
        let last = self
            .record
            .as_ref()
            .and_then(|record| record.operation.as_ref());
        self.running.is_none()
            && last.is_some_and(|last| {
                last.phase == OperationPhase::Running
                    && !matches!(last.cause, ReleaseCause::SecretRotated { .. })
                    && last.generation == target.generation
                    && last.digest == target.digest
            })
    }

    async fn heal_while_waiting(&mut self, target: &Arc<Target>, live: &Presences) -> bool {
        let past = self
            .running
            .as_ref()
            .is_some_and(|running| running.applied_at.is_some());
        past && self.heal_meanwhile(target, live).await
    }

    /// What others change of objects that are as they were released is healed while a release waits.
    async fn heal_meanwhile(&mut self, target: &Arc<Target>, live: &Presences) -> bool {
        if !target.present.spec.self_heal() || self.ctx.observe {
            return false;
        }
        match self.heal_at(target, live) {
            None => false,
            Some(at) if at > Self::now() => {
                self.look_again_at(at);
                false
            }
            Some(_) if self.through_window(target, Decision::Heal) != Decision::Heal => false,
            Some(_) => self.heal(target, live).await,
        }
    }

    fn situation<'a>(
        &'a self,
        target: &Target,
        live: &Presences,
        unchanged: &[bool],
    ) -> Situation<'a> {
        let spec = &target.present.spec;
        let record = self.record.as_ref();
        let leaving = self.leaving(target, live).0.len();
        let mut difference =
            unchanged::difference(&target.manifests, unchanged, live, leaving, &self.applied);
        difference.changed |= self.namespace_is_due(target) || self.is_cut_off(target);
        difference.rotated =
            !self.rotated(target).is_empty() || !self.restarts_due(target).is_empty();
        Situation {
            observe: self.ctx.observe,
            blocked: self.blocking(target).next().is_some(),
            held: self.held_at().is_some(),
            automated: spec.automated(),
            self_heal: spec.self_heal(),
            asked: !self.requests.is_empty(),
            approved: self.approves_deletions(target),
            target: target.generation,
            difference,
            failure: record.and_then(|record| record.failure.as_ref()),
            retry: Retry::of(spec.sync_policy.as_ref()),
            heal_at: self.heal_at(target, live),
            healthy: worst(target, live) == HealthStatus::Healthy,
        }
    }

    /// When the first drifted object may be healed.
    pub(super) fn heal_at(&self, target: &Target, live: &Presences) -> Option<u64> {
        crate::plan::heal::drifted(&target.manifests, live)
            .into_iter()
            .map(|at| &target.manifests[at])
            .filter(|manifest| {
                self.applied
                    .get(&manifest.key)
                    .is_some_and(|applied| applied.manifest == manifest.digest)
            })
            .map(|manifest| self.paces.next_ms(&manifest.key))
            .min()
    }

    pub(super) fn blocking<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Finding> {
        target
            .findings
            .iter()
            .chain(&self.forbidden)
            .filter(|finding| finding.blocks)
    }

    /// What the newest desired state says of the application itself, or what was last released.
    pub(super) fn present(&self) -> Option<Arc<Present>> {
        self.present
            .clone()
            .or_else(|| self.record.as_ref()?.desired.clone())
    }

    /// How long a release may take, by the newest word of the application.
    pub(super) fn sync_timeout(&self) -> Option<annotation::Timeout> {
        annotation::sync_timeout(&self.present()?.annotations)
    }

    /// What the project and our bounds say of what would be applied.
    pub(super) fn check_project(&mut self) {
        self.forbidden = self
            .effective()
            .map(|target| self.forbidden(&target))
            .unwrap_or_default();
        self.tell_wanted();
    }

    /// The release that we are held at, else the newest target.
    pub(super) fn effective(&self) -> Option<Arc<Target>> {
        if self.held_at().is_some() {
            self.held_target.clone()
        } else {
            self.target.clone()
        }
    }

    /// Brings the targets up to date with what came from the broker, or with what the cluster keeps where nothing came.
    async fn rejoin(&mut self) {
        self.rejoin_newest().await;
        self.end_pin_by_newer().await;
        self.rejoin_held().await;
    }

    async fn rejoin_newest(&mut self) {
        let kinds = self.ctx.kinds.get();
        let misses_kinds = self.target.as_ref().is_some_and(|target| {
            !Arc::ptr_eq(&target.kinds, &kinds)
                && target.findings.iter().any(|finding| finding.unknown_kind)
        });
        if let Some((present, manifests)) = self.pair()
            && (misses_kinds
                || self.is_otherwise_prepared(self.target.as_deref())
                || self
                    .target
                    .as_ref()
                    .is_none_or(|target| target.generation < manifests.generation))
        {
            if self.unjoinable == Some(manifests.generation) {
                return;
            }
            match self.join(&present, &manifests).await {
                Ok(target) => self.adopt_target(target),
                Err(error) => self.not_joined(&error, manifests.generation),
            }
            return;
        }
        // A restart, and nothing that fits came from the broker: keep watch over what was released last.
        let Some(record) = self
            .record
            .as_ref()
            .filter(|_| self.broker_ready)
            .filter(|_| {
                let target = self.target.as_deref();
                target.is_none() || self.is_otherwise_prepared(target)
            })
        else {
            return;
        };
        let Some((generation, digest)) = record.live.clone() else {
            return;
        };
        if let Some(target) = self.kept(generation, &digest).await {
            self.adopt_target(target);
        }
    }

    /// Whether the project says something else of its manifests than when they were prepared.
    fn is_otherwise_prepared(&self, target: Option<&Target>) -> bool {
        let present = self.present();
        target
            .zip(present)
            .is_some_and(|(target, present)| target.vault_secrets != self.vault_secrets(&present))
    }

    async fn rejoin_held(&mut self) {
        let Some(release) = self.held_at() else {
            self.held_target = None;
            return;
        };
        let Some(entry) = self
            .record
            .as_ref()
            .and_then(|record| record.history.iter().find(|entry| entry.release == release))
            .cloned()
        else {
            return;
        };
        let stale = self.held_target.as_ref().is_none_or(|target| {
            target.digest != entry.digest
                || self.is_otherwise_prepared(Some(target))
                || self
                    .present()
                    .is_some_and(|present| present.spec != target.present.spec)
        });
        if stale && let Some(target) = self.kept(entry.generation, &entry.digest).await {
            self.held_target = Some(Arc::new(target));
            self.check_project();
        }
    }

    /// A release's target, from the manifests kept in the cluster.
    async fn kept(&mut self, generation: Generation, digest: &Digest) -> Option<Target> {
        let present = self.present()?;
        let record = self.record.as_ref()?;
        let entry = record
            .history
            .iter()
            .rev()
            .find(|entry| entry.digest == *digest)
            .map(|entry| bus::message::state::HistoryEntry {
                generation,
                ..entry.clone()
            })?;
        match self.ctx.store.manifests(&self.hash, digest).await {
            Ok(Some(bytes)) => match self.recall(&entry, &present, bytes) {
                Ok(target) => return Some(target),
                Err(error) => {
                    self.fault(ConditionType::ComparisonError, &Chain(&error).to_string());
                }
            },
            Ok(None) => self.fault(
                ConditionType::ComparisonError,
                &format!(
                    "the manifests of release {} are no longer kept in the cluster",
                    entry.release
                ),
            ),
            Err(error) => {
                self.fault(ConditionType::ComparisonError, &error.describe());
                self.look_again_at(Self::now() + AGAIN_MS);
            }
        }
        None
    }

    /// Desired state and manifests, if they are of one generation.
    fn pair(&self) -> Option<(Arc<Present>, Arc<bus::message::manifests::Manifests>)> {
        let desired = self.desired.as_ref()?;
        let manifests = self
            .manifests
            .as_ref()
            .filter(|manifests| manifests.generation == desired.generation)?;
        Some((self.present.clone()?, manifests.clone()))
    }

    fn adopt_target(&mut self, target: Target) {
        self.trouble = None;
        self.compared.clear();
        self.target = Some(Arc::new(target));
        self.check_project();
    }

    fn not_joined(&mut self, error: &TargetError, generation: Generation) {
        match error {
            TargetError::Missing(_) => {
                if self.trouble.is_none() {
                    let event = Event::new(
                        &self.id,
                        &self.ctx.id,
                        EventKind::ManifestsMissing,
                        error.to_string(),
                    );
                    self.ctx.publisher.event(event.generation(generation));
                }
                self.fault(ConditionType::ComparisonError, &error.to_string());
                self.unjoinable = Some(generation);
            }
            TargetError::Read(_) => {
                self.fault(ConditionType::ComparisonError, &Chain(error).to_string());
                self.look_again_at(Self::now() + AGAIN_MS);
            }
            TargetError::Corrupt | TargetError::Unreadable(_) => {
                self.fault(ConditionType::ComparisonError, &Chain(error).to_string());
                self.unjoinable = Some(generation);
            }
        }
    }

    pub(super) fn fault(&mut self, kind: ConditionType, message: &str) {
        let fresh = Condition::new(kind, message, Self::now());
        if self
            .trouble
            .as_ref()
            .is_none_or(|known| !known.says(&fresh))
        {
            self.trouble = Some(fresh);
        }
    }

    pub(super) fn refuse(&self, desired: &Desired, head: Generation) {
        let message = format!(
            "generation {} is older than {head}, which the cluster holds",
            desired.generation
        );
        let event = Event::new(&self.id, &self.ctx.id, EventKind::DesiredRefused, message)
            .generation(desired.generation)
            .detail("head", head.to_string());
        self.ctx.publisher.event(event);
        self.ctx.publisher.head(&self.id, &self.ctx.id, head);
    }
}

/// The worst health of a target's members; objects that aren't there are missing.
pub(super) fn worst(target: &Target, live: &Presences) -> HealthStatus {
    target
        .manifests
        .iter()
        .filter(|manifest| manifest.hook.is_none())
        .filter(|manifest| {
            target.present.assess_applications
                || !(&*manifest.key.kind == "Application" && &*manifest.key.group == api::GROUP)
        })
        .filter_map(|manifest| match live.get(&manifest.key) {
            Some(Presence::Present(facts)) => facts.health.as_ref().map(|health| health.status),
            Some(Presence::Others(_)) => None,
            Some(Presence::Absent) | None => Some(HealthStatus::Missing),
        })
        .fold(HealthStatus::Healthy, HealthStatus::worse)
}
