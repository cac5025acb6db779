//! What is shown of an application: its state for the bucket, written when it changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus::Generation;
use bus::message::condition::{Condition, ConditionType};
use bus::message::event::{Event, EventKind};
use bus::message::state::{
    ApplierState, Health, HealthStatus, OperationPhase, ResourceState, SyncStatus,
};

use super::finish::operation;
use super::target::Target;
use super::{App, release, unchanged};
use crate::health::Aggregate;
use crate::live::Look;
use crate::object::{Key, Manifest};
use crate::plan::{Facts, Presence, Presences};
use crate::secrets::{Placement, Words};

/// How many objects of an application may have a warning of their own.
const MAX_WARNINGS: usize = 20;

/// What was shown last.
#[derive(Default)]
pub(crate) struct Shown {
    state: Option<ApplierState>,
    health: Option<Health>,
    conditions: Vec<Condition>,
    /// Live state at the last look, with the target that it was looked at for.
    looked: Option<(Arc<Target>, Presences)>,
}

impl Shown {
    /// The target, and what was live when it was last looked.
    pub(super) fn looked(&self) -> Option<(&Arc<Target>, &Presences)> {
        self.looked.as_ref().map(|(target, live)| (target, live))
    }

    /// The broker may have lost it.
    pub(super) fn not_sent(&mut self) {
        self.state = None;
    }
}

impl App {
    /// Keeps what was just seen for the next time that the state is shown.
    pub(super) fn look(&mut self, target: &Arc<Target>, live: Presences) {
        self.shown.looked = Some((target.clone(), live));
    }

    /// Writes the state if it says something new.
    pub(super) fn show(&mut self) {
        let Some(state) = self.state() else { return };
        if self.shown.state.as_ref() == Some(&state) {
            return;
        }
        self.tell_health(&state);
        self.shown.health = Some(state.health.clone());
        self.shown.conditions.clone_from(&state.conditions);
        self.shown.state = Some(state.clone());
        self.ctx.publisher.state(state);
    }

    fn tell_health(&self, state: &ApplierState) {
        let Some(before) = self
            .shown
            .health
            .as_ref()
            .filter(|before| before.status != state.health.status)
        else {
            return;
        };
        let words = if state.health.message.is_empty() {
            String::new()
        } else {
            format!(": {}", state.health.message)
        };
        let message = format!(
            "{} → {}{words}",
            before.status.as_str(),
            state.health.status.as_str()
        );
        let mut event = Event::new(&self.id, &self.ctx.id, EventKind::HealthChanged, message)
            .generation(state.generation);
        if let Some(revision) = state.revisions.first() {
            event = event.revision(revision);
        }
        self.ctx.publisher.event(event);
    }

    fn state(&self) -> Option<ApplierState> {
        let now = Self::now();
        let newest = self.target.as_ref();
        let (looked, live) = match &self.shown.looked {
            Some((target, live)) => (Some(target), Some(live)),
            None => (None, None),
        };
        let uid = match (&self.present, &self.record, &self.deleted) {
            (Some(present), _, _) => present.uid.clone(),
            (None, Some(record), _) => record.uid.clone(),
            (None, None, Some(uid)) => uid.clone(),
            (None, None, None) => return None,
        };
        let shown = newest.or(looked);
        let mut state = ApplierState {
            app: self.id.clone(),
            cluster: self.ctx.id.clone(),
            uid,
            generation: shown.map_or_else(|| self.known_generation(), |target| target.generation),
            sync: SyncStatus::Unknown,
            revisions: shown
                .map(|target| target.revisions.clone())
                .unwrap_or_default(),
            health: Health {
                status: HealthStatus::Unknown,
                message: String::new(),
                since: now,
            },
            resources: Vec::new(),
            conditions: self.conditions(shown, live, now),
            operation: self
                .awaited_operation()
                .or_else(|| self.trial.clone())
                .or_else(|| {
                    let record = self.record.as_ref();
                    record.and_then(|record| record.operation.clone())
                }),
            history: self
                .record
                .as_ref()
                .map(|record| record.history.clone())
                .unwrap_or_default(),
            pin: self.shown_pin(),
            images: Vec::new(),
            observe: self.ctx.observe,
            deleted: self.deleted.clone(),
        };
        if let Some(running) = &self.running {
            let doing = if running.waits_for.is_empty() {
                "applying".to_owned()
            } else {
                format!("waiting: {}", running.waits_for)
            };
            let message = match &running.wrong {
                Some(why) => format!("{why}; {doing}"),
                None => doing,
            };
            state.operation = Some(operation(running, OperationPhase::Running, &message, None));
        }
        if let (Some(target), Some(live), None) = (shown, live, &self.deleted) {
            self.fill(&mut state, target, live);
        }
        if let Some(before) = self
            .shown
            .health
            .as_ref()
            .filter(|before| before.status == state.health.status)
        {
            state.health.since = before.since;
        }
        Some(state)
    }

    pub(super) fn known_generation(&self) -> Generation {
        self.desired
            .as_ref()
            .map(|desired| desired.generation)
            .or_else(|| self.record.as_ref().map(|record| record.head))
            .unwrap_or_default()
    }

    fn fill(&self, state: &mut ApplierState, target: &Target, live: &Presences) {
        let same = unchanged::by_manifest(&target.manifests, &self.applied);
        let mut images: BTreeSet<String> = BTreeSet::new();
        let mut health = Aggregate::default();
        let mut out_of_sync = false;
        let rotated = self.rotated(target);
        for (manifest, same) in target.manifests.iter().zip(same) {
            let same = same && !self.is_outdated(manifest, &rotated);
            let seen = self.resource(manifest, live, same);
            if manifest.hook.is_some() && seen.is_none() {
                continue;
            }
            let Some((resource, counts)) = seen else {
                continue;
            };
            out_of_sync |= resource.sync == Some(SyncStatus::OutOfSync);
            if counts {
                let told = || told(&manifest.key, &resource.message);
                match live.get(&manifest.key) {
                    None | Some(Presence::Absent) => health.absent(),
                    Some(_) if !is_application(manifest) => health.live(resource.health, told),
                    Some(_) if self.asks_child(target, manifest) => {
                        health.child(resource.health, told);
                    }
                    Some(_) => health.unasked(),
                }
            }
            // A secret amid an image's name is shown to nobody.
            if let Look::Present(entry) = self.ctx.live.look(&manifest.key)
                && manifest.placeholders != Placement::Elsewhere
                && words(live, &manifest.key) == Words::Shown
            {
                images.extend(entry.images.iter().map(ToString::to_string));
            }
            state.resources.push(resource);
        }
        for (resource, counts) in self.extras(target, live) {
            out_of_sync |= counts && resource.sync == Some(SyncStatus::OutOfSync);
            state.resources.push(resource);
        }
        state.images = images.into_iter().collect();
        state.sync = if out_of_sync {
            SyncStatus::OutOfSync
        } else {
            SyncStatus::Synced
        };
        (state.health.status, state.health.message) = health.result();
    }

    /// Whether the health of a child `Application` counts for this one; its own never does.
    fn asks_child(&self, target: &Target, manifest: &Manifest) -> bool {
        let itself = *manifest.key.namespace == *self.id.namespace()
            && *manifest.key.name == *self.id.name();
        target.present.assess_applications && !itself
    }

    /// The object as it is shown, and whether its health counts; none for hooks that aren't there.
    fn resource(
        &self,
        manifest: &Manifest,
        live: &Presences,
        same: bool,
    ) -> Option<(ResourceState, bool)> {
        let hook = manifest.hook.is_some();
        let key = &manifest.key;
        let presence = live.get(key);
        let (sync, health, message) = match presence {
            Some(Presence::Present(facts)) => {
                let synced = self.is_synced(manifest, facts, same);
                let (health, message) = health(facts);
                (
                    if synced {
                        SyncStatus::Synced
                    } else {
                        SyncStatus::OutOfSync
                    },
                    health,
                    message,
                )
            }
            Some(Presence::Others(owner)) => (
                SyncStatus::OutOfSync,
                None,
                format!("belongs to application {owner}"),
            ),
            Some(Presence::Absent) | None if hook => return None,
            Some(Presence::Absent) | None => (
                SyncStatus::OutOfSync,
                Some(HealthStatus::Missing),
                "is not in the cluster".to_owned(),
            ),
        };
        let state = ResourceState {
            group: key.group.to_string(),
            version: manifest.version.to_string(),
            kind: key.kind.to_string(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            sync: (!hook).then_some(sync),
            health,
            message,
            wave: manifest.wave,
            hook,
            prune: false,
        };
        Some((state, !hook))
    }

    fn is_synced(&self, manifest: &Manifest, facts: &Facts, same: bool) -> bool {
        if facts.drifted {
            return false;
        }
        // Where we haven't applied it, the server's dry run has said whether that would change anything.
        same || self
            .compared
            .get(&manifest.key)
            .is_some_and(|(digest, _, differs)| *digest == manifest.digest && !differs)
    }

    /// What left the manifests and is still there, and whether that counts.
    fn extras(&self, target: &Target, live: &Presences) -> Vec<(ResourceState, bool)> {
        let Some(record) = &self.record else {
            return Vec::new();
        };
        let wanted: std::collections::HashSet<&Key> = target
            .manifests
            .iter()
            .map(|manifest| &manifest.key)
            .collect();
        record
            .inventory
            .iter()
            .filter(|(key, item)| !item.hook && !wanted.contains(key))
            .filter_map(|(key, item)| {
                let Some(Presence::Present(facts)) = live.get(key) else {
                    return None;
                };
                if !facts.proven {
                    return None;
                }
                let (health, mut message) = health(facts);
                if let Some(successor) = &facts.successor {
                    message = format!(
                        "application {successor} wants it, and takes it over with its next release"
                    );
                }
                let resource = ResourceState {
                    group: key.group.to_string(),
                    version: item.version.to_string(),
                    kind: key.kind.to_string(),
                    namespace: key.namespace.to_string(),
                    name: key.name.to_string(),
                    // Argo CD counts what is kept on purpose as out of sync, too.
                    sync: Some(SyncStatus::OutOfSync),
                    health,
                    message,
                    wave: item.wave,
                    hook: false,
                    prune: true,
                };
                Some((resource, !item.options.ignore_extraneous))
            })
            .collect()
    }

    fn conditions(
        &self,
        target: Option<&Arc<Target>>,
        live: Option<&Presences>,
        now: u64,
    ) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let mut add = |kind, message: &str| conditions.push(Condition::new(kind, message, now));
        if let Some(pin) = self.shown_pin() {
            add(
                ConditionType::Pinned,
                &format!(
                    "held at release {}{} by {}",
                    pin.release,
                    pin.until.words(),
                    pin.user
                ),
            );
        }
        if let Some(refused) = self.refused() {
            add(
                ConditionType::RefusedRevisionError,
                &format!(
                    "{} failed ({}): back at release {} until a newer revision comes; `towline sync` tries it again",
                    release::words(&refused.revisions, refused.generation),
                    refused.why,
                    refused.to
                ),
            );
        }
        if let Some(target) = target {
            for finding in target.findings.iter().chain(&self.forbidden) {
                add(finding.kind, &finding.message);
            }
            for key in target.manifests.iter().map(|manifest| &manifest.key) {
                if let Some(why) = self
                    .applied
                    .get(key)
                    .and_then(|applied| applied.client_side.as_ref())
                {
                    add(
                        ConditionType::ClientSideApplyWarning,
                        &format!(
                            "{key} was applied client-side, since server-side apply refuses it: {why}"
                        ),
                    );
                }
            }
            let settings = self.ctx.settings.get();
            let problems = self.ignores.problems.iter().chain(&settings.problems);
            for problem in problems {
                add(ConditionType::CustomizationWarning, problem);
            }
            if let Some(live) = live {
                self.about_live(target, live, &mut add);
            }
        }
        if let Some(failure) = self
            .record
            .as_ref()
            .and_then(|record| record.failure.as_ref())
            && !failure.early
            && target.is_some_and(|target| target.generation == failure.generation)
        {
            add(ConditionType::SyncError, &failure.message);
        }
        conditions.extend(
            target
                .into_iter()
                .flat_map(|target| target.warnings.clone()),
        );
        conditions.extend(self.trouble.clone());
        conditions.extend(self.held.clone());
        conditions.extend(self.orphaned.clone());
        for condition in &mut conditions {
            if let Some(known) = self
                .shown
                .conditions
                .iter()
                .find(|known| known.says(condition))
            {
                condition.since = known.since;
            }
        }
        conditions
    }

    /// What went wrong in scripts about its objects, the same once.
    fn script_warnings(&self, target: &Target, live: &Presences) -> BTreeSet<String> {
        let looks = target.manifests.iter();
        // A script's error may hold what the script read.
        let looks = looks.filter(|manifest| words(live, &manifest.key) == Words::Shown);
        let looks = looks.map(|manifest| self.ctx.live.look(&manifest.key));
        let warnings = looks.filter_map(|look| match look {
            Look::Present(entry) => entry.warning.as_deref().map(str::to_owned),
            Look::Unknown | Look::Absent => None,
        });
        warnings.take(MAX_WARNINGS).collect()
    }

    fn about_live(
        &self,
        target: &Target,
        live: &Presences,
        add: &mut impl FnMut(ConditionType, &str),
    ) {
        for manifest in &target.manifests {
            if let Some(Presence::Others(owner)) = live.get(&manifest.key) {
                add(
                    ConditionType::SharedResourceWarning,
                    &format!(
                        "{} belongs to application {owner} and is not taken over",
                        manifest.key
                    ),
                );
            }
        }
        for (key, rival) in self.paces.fights() {
            add(
                ConditionType::ContestedResourceWarning,
                &format!(
                    "{key} {rival}. It is healed at ever longer intervals; take what is fought over out of Git, or into \
                     spec.ignoreDifferences, or stop the other one"
                ),
            );
        }
        for warning in self.script_warnings(target, live) {
            add(ConditionType::CustomizationWarning, &warning);
        }
        let mut troubled: BTreeSet<(&str, &str)> = BTreeSet::new();
        for key in target.manifests.iter().map(|manifest| &manifest.key) {
            if troubled.insert((&key.group, &key.kind))
                && let Some(why) = self.ctx.watches.trouble(&key.group, &key.kind)
            {
                add(
                    ConditionType::UnknownError,
                    &format!(
                        "objects of kind {} can't be watched ({why}): changes of them are not seen",
                        key.kind
                    ),
                );
            }
        }
        let (_, withheld) = self.leaving(target, live);
        if let Some(message) = withheld.and_then(|withheld| withheld.confirmation()) {
            add(ConditionType::ConfirmationNeeded, &message);
        }
    }
}

fn health(facts: &Facts) -> (Option<HealthStatus>, String) {
    match &facts.health {
        Some(health) => (Some(health.status), health.message.clone()),
        None => (None, String::new()),
    }
}

fn words(live: &Presences, key: &Key) -> Words {
    match live.get(key) {
        Some(Presence::Present(facts)) => facts.words,
        Some(Presence::Others(_) | Presence::Absent) | None => Words::Shown,
    }
}

fn told(key: &Key, message: &str) -> String {
    if message.is_empty() {
        key.to_string()
    } else {
        format!("{key}: {message}")
    }
}

fn is_application(manifest: &Manifest) -> bool {
    &*manifest.key.kind == "Application" && &*manifest.key.group == api::GROUP
}
