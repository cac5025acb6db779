//! A release's steps: phase → wave → kind, then what left the manifests.

use std::collections::BTreeMap;

use super::guard::{self, Withheld};
use super::step::{Batch, Step, Why};
use super::{Facts, Item, Presence, Presences, prune};
use crate::object::{DeletePolicy, Key, Manifest, Phase, rank};

pub(crate) struct Input<'a> {
    pub(crate) manifests: &'a [Manifest],
    pub(crate) live: &'a Presences,
    /// By manifest: whether its resolved form is what was applied last.
    pub(crate) unchanged: &'a [bool],
    pub(crate) inventory: &'a BTreeMap<Key, Item>,
    pub(crate) policy: &'a Policy,
    /// Names this attempt in the annotations of its hooks.
    pub(crate) attempt: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) pruning: Pruning,
    /// The destination's namespace, with `CreateNamespace=true`.
    pub(crate) create_namespace: Option<String>,
    /// Apply also what is in sync.
    pub(crate) force: bool,
    /// `ApplyOutOfSyncOnly=true`: what each release makes anew isn't, unless it changed.
    pub(crate) only_changed: bool,
    /// Only these objects: no hooks, no waits between waves for others.
    pub(crate) only: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pruning {
    No,
    Automated {
        allow_empty: bool,
    },
    /// A person asked for it.
    Confirmed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// What would be deleted and isn't.
    pub(crate) withheld: Option<Withheld>,
    /// Objects that another application holds, with its name.
    pub(crate) shared: Vec<(Key, Box<str>)>,
}

pub(crate) fn release(input: &Input<'_>) -> Plan {
    let mut plan = Plan::default();
    if let Some(namespace) = &input.policy.create_namespace {
        plan.steps.push(Step::CreateNamespace(namespace.clone()));
    }
    for manifest in input.manifests {
        if let Some(Presence::Others(owner)) = input.live.get(&manifest.key) {
            plan.shared.push((manifest.key.clone(), owner.clone()));
        }
    }
    let waves = waves(input);
    let last_sync = waves
        .iter()
        .rposition(|(phase, _, _)| *phase == Phase::Sync);
    let mut deletions = deletions(input, &mut plan.withheld);
    for (at, (phase, _, batch)) in waves.iter().enumerate() {
        plan.steps.extend(wave(input, *phase, batch));
        let is_last = at + 1 == waves.len();
        if Some(at) == last_sync {
            // What is replaced goes before anyone waits for what replaces it.
            plan.steps.append(&mut deletions);
        }
        if is_last {
            plan.steps.push(Step::Applied);
        }
        plan.steps.push(Step::Await {
            phase: *phase,
            batch: batch.clone(),
        });
    }
    plan.steps.append(&mut deletions);
    if waves.is_empty() {
        plan.steps.push(Step::Applied);
    }
    plan
}

/// (phase, wave, manifests) in order.
fn waves(input: &Input<'_>) -> Vec<(Phase, i64, Batch)> {
    let mut waves: BTreeMap<(Phase, i64), Batch> = BTreeMap::new();
    for (at, manifest) in input.manifests.iter().enumerate() {
        if matches!(input.live.get(&manifest.key), Some(Presence::Others(_))) {
            continue;
        }
        if let Some(only) = &input.policy.only
            && (manifest.hook.is_some() || !only.contains(&manifest.key.path()))
        {
            continue;
        }
        match &manifest.hook {
            None => waves
                .entry((Phase::Sync, manifest.wave))
                .or_default()
                .push(at),
            // An object has one name: a hook of several phases runs in the first of them.
            Some(hook) => {
                if let Some(&phase) = hook.phases.first() {
                    waves.entry((phase, manifest.wave)).or_default().push(at);
                }
            }
        }
    }
    waves
        .into_iter()
        .map(|((phase, wave), mut batch)| {
            batch.sort_by(|&a, &b| {
                let (a, b) = (&input.manifests[a].key, &input.manifests[b].key);
                (rank(&a.kind), &a.kind, a).cmp(&(rank(&b.kind), &b.kind, b))
            });
            (phase, wave, batch)
        })
        .collect()
}

/// The applies of one wave, one kind after another, each hook's remains deleted first.
fn wave(input: &Input<'_>, phase: Phase, batch: &[usize]) -> Vec<Step> {
    let mut steps = Vec::new();
    let remains: Vec<Key> = batch
        .iter()
        .filter(|&&at| leaves_remains(input, at))
        .map(|&at| input.manifests[at].key.clone())
        .collect();
    if !remains.is_empty() {
        steps.push(Step::Delete {
            keys: remains.clone(),
            why: Why::BeforeHook,
        });
        steps.push(Step::AwaitGone(remains));
    }
    let same_kind = |&a: &usize, &b: &usize| {
        let (a, b) = (&input.manifests[a].key, &input.manifests[b].key);
        a.kind == b.kind && a.group == b.group
    };
    for kind in batch.chunk_by(same_kind) {
        let due: Batch = kind
            .iter()
            .copied()
            .filter(|&at| is_due(input, at))
            .collect();
        if !due.is_empty() {
            steps.push(Step::Apply { phase, batch: due });
        }
    }
    steps
}

fn is_due(input: &Input<'_>, at: usize) -> bool {
    let manifest = &input.manifests[at];
    let facts = match input.live.get(&manifest.key) {
        Some(Presence::Present(facts)) => facts,
        Some(Presence::Others(_)) => return false,
        Some(Presence::Absent) | None => return true,
    };
    if manifest.hook.is_some() {
        return !is_of_attempt(facts, input.attempt);
    }
    if manifest.recreates() && !input.policy.only_changed && !is_of_attempt(facts, input.attempt) {
        return true;
    }
    input.policy.force || facts.drifted || facts.deleting || !facts.proven || !input.unchanged[at]
}

fn leaves_remains(input: &Input<'_>, at: usize) -> bool {
    let manifest = &input.manifests[at];
    let before = manifest
        .hook
        .as_ref()
        .is_some_and(|hook| hook.delete.contains(&DeletePolicy::BeforeHookCreation));
    matches!(input.live.get(&manifest.key), Some(Presence::Present(facts))
        if before && facts.proven && !is_of_attempt(facts, input.attempt))
}

fn is_of_attempt(facts: &Facts, attempt: &str) -> bool {
    facts.attempt.as_deref() == Some(attempt)
}

fn deletions(input: &Input<'_>, withheld: &mut Option<Withheld>) -> Vec<Step> {
    if input.policy.only.is_some() {
        return Vec::new();
    }
    let wanted: std::collections::HashSet<&Key> = input
        .manifests
        .iter()
        .map(|manifest| &manifest.key)
        .collect();
    let leaving: Vec<(Key, Item)> = input
        .inventory
        .iter()
        .filter(|(key, item)| !item.hook && !item.options.keep_on_prune && !wanted.contains(key))
        .filter(|(key, _)| matches!(input.live.get(*key), Some(Presence::Present(facts)) if facts.proven))
        .map(|(key, item)| (key.clone(), item.clone()))
        .collect();
    let members = input.inventory.values().filter(|item| !item.hook).count();
    let render_is_empty = input
        .manifests
        .iter()
        .all(|manifest| manifest.hook.is_some());
    match guard::withheld(
        leaving.len(),
        members,
        render_is_empty,
        input.policy.pruning,
    ) {
        None => prune::steps(prune::provable(&leaving, input.live), Why::Pruned, false),
        why => {
            *withheld = why;
            Vec::new()
        }
    }
}
