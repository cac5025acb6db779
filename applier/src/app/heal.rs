//! Self-heal: what others changed or deleted is applied again, and nothing else.

use std::collections::HashSet;
use std::sync::Arc;

use bus::message::condition::ConditionType;
use bus::message::event::{Event, EventKind};

use super::App;
use super::pace::Change;
use super::target::Target;
use super::unchanged;
use crate::execute::{self, Job};
use crate::live::Look;
use crate::object::{Key, Manifest};
use crate::plan::{self, Presence, Presences, Step};

impl App {
    /// Heals what is due. Whether anything was.
    pub(super) async fn heal(&mut self, target: &Arc<Target>, live: &Presences) -> bool {
        let now = Self::now();
        let mut later: Option<u64> = None;
        let batch: Vec<usize> = plan::heal::drifted(&target.manifests, live)
            .into_iter()
            .filter(|&at| self.is_of_target(&target.manifests[at]))
            .filter(|&at| {
                let due = self.paces.next_ms(&target.manifests[at].key);
                if due > now {
                    later = Some(later.map_or(due, |known| known.min(due)));
                }
                due <= now
            })
            .collect();
        if let Some(at) = later {
            self.look_again_at(at);
        }
        if batch.is_empty() {
            return false;
        }
        let given = match self
            .resolve_some(target, batch.iter().map(|&at| &target.manifests[at]))
            .await
        {
            Ok(given) => given,
            Err((message, kind)) => {
                self.fault(kind, &message);
                self.slow_down(batch.iter().map(|&at| target.manifests[at].key.clone()));
                return false;
            }
        };
        let writer = match self.writer(&target.present) {
            Ok(writer) => writer,
            Err(message) => {
                self.fault(ConditionType::SyncError, &format!("self-heal: {message}"));
                self.slow_down(batch.iter().map(|&at| target.manifests[at].key.clone()));
                return false;
            }
        };
        // Somebody may have deleted it with all that was in it.
        if let Some(namespace) = super::namespace::wanted(target).map(str::to_owned)
            && let Err(message) = self.create_namespace(target, &writer, &namespace).await
        {
            self.fault(ConditionType::SyncError, &format!("self-heal: {message}"));
        }
        let mut saved = true;
        for step in plan::heal::heal(&target.manifests, &batch) {
            let Step::Apply { batch, .. } = step else {
                continue;
            };
            let jobs = batch
                .iter()
                .map(|&at| Job {
                    manifest: &target.manifests[at],
                    mark: "",
                    adopt: None,
                })
                .collect();
            for (manifest, outcome) in
                execute::apply_all(&self.ctx, &writer, jobs, &given.values).await
            {
                self.paces.healed(&manifest.key, now);
                match outcome {
                    Ok(outcome) => {
                        self.ctx.metrics.healed.inc();
                        self.told_drift.remove(&manifest.key);
                        let message = format!("{} is as it was applied again", manifest.key);
                        let event =
                            Event::new(&self.id, &self.ctx.id, EventKind::DriftHealed, message);
                        self.ctx
                            .publisher
                            .event(event.detail("object", manifest.key.path()));
                        let healed = unchanged::made(
                            manifest,
                            &given,
                            &self.ctx.digest_key,
                            self.applied.get(&manifest.key),
                            outcome,
                        );
                        saved &= self.applied.get(&manifest.key) == Some(&healed);
                        self.applied.insert(manifest.key.clone(), healed);
                    }
                    Err(error) => self.fault(
                        ConditionType::SyncError,
                        &format!("self-heal: {}", error.describe()),
                    ),
                }
            }
        }
        if !saved {
            self.save(None).await;
        }
        true
    }

    fn is_of_target(&self, manifest: &Manifest) -> bool {
        self.applied
            .get(&manifest.key)
            .is_some_and(|applied| applied.manifest == manifest.digest)
    }

    fn slow_down(&mut self, keys: impl Iterator<Item = Key>) {
        let now = Self::now();
        for key in keys {
            let next = self.paces.failed(&key, now);
            self.look_again_at(next);
        }
    }

    /// Tells of drift once, when it begins, and by whom; and of who changes the same again and again.
    pub(super) fn tell_drift(&mut self, target: &Target, live: &Presences) {
        let now = Self::now();
        let mut drifted = HashSet::new();
        for at in plan::heal::drifted(&target.manifests, live) {
            let manifest = &target.manifests[at];
            if !self.is_of_target(manifest) {
                continue;
            }
            drifted.insert(manifest.key.clone());
            if !self.told_drift.insert(manifest.key.clone()) {
                continue;
            }
            let drift = match (live.get(&manifest.key), self.ctx.live.look(&manifest.key)) {
                (Some(Presence::Present(_)), Look::Present(entry)) => match &entry.drift {
                    Some(drift) => Some(drift.clone()),
                    None => continue,
                },
                _ => None,
            };
            let (what, managers) = match &drift {
                Some(drift) => (
                    format!("{} was changed: {}", manifest.key, drift.fields.join(", ")),
                    drift.managers.join(","),
                ),
                None => (format!("{} was deleted", manifest.key), String::new()),
            };
            let message = if managers.is_empty() {
                what
            } else {
                format!("{what} (by {managers})")
            };
            let mut event = Event::new(&self.id, &self.ctx.id, EventKind::DriftDetected, message)
                .detail("object", manifest.key.path());
            if !managers.is_empty() {
                event = event.detail("managers", managers);
            }
            self.ctx.publisher.event(event);
            let (managers, fields) =
                drift.map_or_else(Default::default, |drift| (drift.managers, drift.fields));
            if self.paces.changed(&manifest.key, &managers, &fields, now) == Change::Fight {
                self.tell_fight(&manifest.key);
            }
        }
        self.told_drift.retain(|key| drifted.contains(key));
        if let Some(at) = self.paces.settle(&drifted, now) {
            self.look_again_at(at);
        }
        self.fights.set(self.paces.fights().len());
    }

    fn tell_fight(&self, key: &Key) {
        let Some(rival) = self.paces.rival(key) else {
            return;
        };
        let message = format!("{key} {rival}");
        let mut event = Event::new(&self.id, &self.ctx.id, EventKind::DriftContested, message)
            .detail("object", key.path());
        let managers = rival.managers();
        if !managers.is_empty() {
            event = event.detail("managers", managers);
        }
        self.ctx.publisher.event(event);
    }
}
