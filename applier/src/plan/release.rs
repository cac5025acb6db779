//! A release's steps: phase → wave → kind, then what left the manifests.

use std::collections::{BTreeMap, BTreeSet};

use super::guard::{self, Bounds, Limit, Pruning, Withheld};
use super::leaving::{self, Defaults, Leaving};
use super::restart::Restart;
use super::step::{Batch, Step, Why};
use super::{Facts, Item, Presence, Presences, Turn, hooks, prune, wave};
use crate::object::{Key, Manifest, Phase};

pub(crate) struct Input<'a> {
    pub(crate) manifests: &'a [Manifest],
    pub(crate) live: &'a Presences,
    /// By manifest: whether its resolved form is what was applied last.
    pub(crate) unchanged: &'a [bool],
    pub(crate) inventory: &'a BTreeMap<Key, Item>,
    pub(crate) restarts: &'a [Restart],
    pub(crate) policy: &'a Policy,
    /// Names this attempt in the annotations of its hooks.
    pub(crate) attempt: &'a str,
    /// Up to where its hooks are over.
    pub(crate) passed: Option<Turn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) pruning: Pruning,
    pub(crate) limit: Limit,
    pub(crate) defaults: Defaults,
    /// The destination's namespace, with `CreateNamespace=true`.
    pub(crate) create_namespace: Option<String>,
    /// Apply also what is in sync.
    pub(crate) force: bool,
    /// `ApplyOutOfSyncOnly=true`: what each release makes anew isn't, unless it changed.
    pub(crate) only_changed: bool,
    /// Only these objects: no hooks, no waits between waves for others.
    pub(crate) only: Option<Vec<String>>,
}

impl Policy {
    /// Whether the release is about this object.
    pub(crate) fn is_about(&self, key: &Key) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.iter().any(|name| key.is_named(name)))
    }
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
    let (goes, withheld) = deletions(input);
    plan.withheld = withheld;
    let (last, beside): (Vec<Leaving>, Vec<Leaving>) =
        goes.into_iter().partition(|leaving| leaving.last);
    let going = |leaving: Vec<Leaving>| leaving.into_iter().map(|leaving| leaving.object).collect();
    let (last, mut beside) = (going(last), prune::beside_waves(going(beside)));
    for phase in [Phase::PreSync, Phase::Sync, Phase::PostSync] {
        let mut leaving = if phase == Phase::Sync {
            std::mem::take(&mut beside)
        } else {
            BTreeMap::new()
        };
        let mut waves = waves(input, phase);
        let mut restarts = if phase == Phase::Sync {
            restarts(input)
        } else {
            BTreeMap::new()
        };
        let numbers: BTreeSet<i64> = waves
            .keys()
            .chain(leaving.keys())
            .chain(restarts.keys())
            .copied()
            .collect();
        for number in numbers {
            let mut batch = waves.remove(&number).unwrap_or_default();
            let gone = leaving.remove(&number).unwrap_or_default();
            // What is replaced may be in the way of what replaces it.
            plan.steps.extend(prune::deletes(&gone, Why::Pruned));
            let due = |at: usize| is_due(input, phase, at);
            plan.steps.extend(wave::applies(
                input.manifests,
                input.live,
                input.attempt,
                phase,
                &batch,
                due,
            ));
            if let Some(restarted) = restarts.remove(&number) {
                batch.extend(
                    restarted
                        .iter()
                        .filter(|at| !batch.contains(at))
                        .copied()
                        .collect::<Batch>(),
                );
                plan.steps.push(Step::Restart { batch: restarted });
            }
            let hooks = batch.iter().any(|&at| input.manifests[at].hook.is_some());
            if !batch.is_empty() {
                plan.steps.push(Step::Await { phase, batch });
            }
            if hooks {
                let wave = number;
                plan.steps.push(Step::Passed(Turn { phase, wave }));
            }
            if !gone.is_empty() {
                plan.steps.push(prune::gone(&gone));
            }
        }
        if phase == Phase::Sync {
            plan.steps
                .extend(prune::steps(Vec::clone(&last), Why::Pruned));
        }
    }
    // Nothing comes after it that could mind.
    if let Some(Step::AwaitGone(_)) = plan.steps.last() {
        plan.steps.pop();
    }
    let does = |step: &Step| {
        matches!(
            step,
            Step::CreateNamespace(_)
                | Step::Apply { .. }
                | Step::Restart { .. }
                | Step::Delete { .. }
        )
    };
    let done = plan.steps.iter().rposition(does);
    plan.steps
        .insert(done.map_or(0, |at| at + 1), Step::Applied);
    plan
}

/// What restarts, by wave.
fn restarts(input: &Input<'_>) -> BTreeMap<i64, Batch> {
    let mut restarts: BTreeMap<i64, Batch> = BTreeMap::new();
    for Restart { at, wave } in input.restarts {
        restarts.entry(*wave).or_default().push(*at);
    }
    restarts
}

/// Manifests of a phase by wave, in order.
fn waves(input: &Input<'_>, phase: Phase) -> BTreeMap<i64, Batch> {
    let mut waves: BTreeMap<i64, Batch> = BTreeMap::new();
    for (at, manifest) in input.manifests.iter().enumerate() {
        if matches!(input.live.get(&manifest.key), Some(Presence::Others(_))) {
            continue;
        }
        let partial = input.policy.only.is_some();
        if (partial && manifest.hook.is_some()) || !input.policy.is_about(&manifest.key) {
            continue;
        }
        if hooks::has_turn(manifest, phase, input.passed) {
            waves.entry(manifest.wave).or_default().push(at);
        }
    }
    for batch in waves.values_mut() {
        wave::sort(input.manifests, batch);
    }
    waves
}

fn is_due(input: &Input<'_>, phase: Phase, at: usize) -> bool {
    let manifest = &input.manifests[at];
    if manifest.hook.is_some() {
        return hooks::is_due(manifest, input.live, input.attempt, phase);
    }
    let facts = match input.live.get(&manifest.key) {
        Some(Presence::Present(facts)) => facts,
        Some(Presence::Others(_)) => return false,
        Some(Presence::Absent) | None => return true,
    };
    if manifest.recreates() && !input.policy.only_changed && !is_of_attempt(facts, input.attempt) {
        return true;
    }
    input.policy.force || facts.drifted || facts.deleting || !facts.proven || !input.unchanged[at]
}

fn is_of_attempt(facts: &Facts, attempt: &str) -> bool {
    facts.attempt.as_deref() == Some(attempt)
}

/// What goes, and why the rest of what left doesn't.
fn deletions(input: &Input<'_>) -> (Vec<Leaving>, Option<Withheld>) {
    let policy = input.policy;
    let mut leaving = leaving::leaving(
        input.inventory,
        input.manifests,
        input.live,
        policy.defaults,
    );
    leaving.retain(|leaving| policy.is_about(&leaving.object.key));
    let bounds = Bounds::of(
        policy.pruning,
        policy.limit,
        input.inventory,
        input.manifests,
    );
    guard::judge(leaving, bounds)
}
