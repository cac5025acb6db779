//! When hooks run, and which of them are deleted when their attempt has ended.

use std::collections::BTreeMap;

use bus::message::state::HealthStatus;

use super::step::{Batch, Step};
use super::{Facts, Item, Presence, Presences, Turn, wave};
use crate::object::{DeletePolicy, Hook, Key, Manifest, Phase, reached};

/// The steps of a phase that consists of hooks alone, wave after wave. What is `passed` isn't done again.
pub(crate) fn phase(
    phase: Phase,
    manifests: &[Manifest],
    live: &Presences,
    attempt: &str,
    passed: Option<Turn>,
) -> Vec<Step> {
    let mut waves: BTreeMap<i64, Batch> = BTreeMap::new();
    for (at, manifest) in manifests.iter().enumerate() {
        let others = matches!(live.get(&manifest.key), Some(Presence::Others(_)));
        if manifest.hook.is_some() && has_turn(manifest, phase, passed) && !others {
            waves.entry(manifest.wave).or_default().push(at);
        }
    }
    let mut steps = Vec::new();
    for (wave, mut batch) in waves {
        wave::sort(manifests, &mut batch);
        let due = |at: usize| is_due(&manifests[at], live, attempt, phase);
        steps.extend(wave::applies(manifests, live, attempt, phase, &batch, due));
        steps.push(Step::Await { phase, batch });
        steps.push(Step::Passed(Turn { phase, wave }));
    }
    steps
}

/// What follows when a release failed: hooks that run are let finish, then those for failures run.
pub(crate) fn failure(
    manifests: &[Manifest],
    live: &Presences,
    attempt: &str,
    passed: Option<Turn>,
) -> Vec<Step> {
    let hooks: Batch = (0..manifests.len())
        .filter(|&at| manifests[at].hook.is_some())
        .collect();
    if hooks.is_empty() {
        return Vec::new();
    }
    let mut steps = vec![Step::AwaitEnd(hooks)];
    steps.extend(phase(Phase::SyncFail, manifests, live, attempt, passed));
    steps
}

/// Whether an object is made in this phase: what stays in `Sync`, a hook in each of its own, unless that is over.
pub(super) fn has_turn(manifest: &Manifest, phase: Phase, passed: Option<Turn>) -> bool {
    let wave = manifest.wave;
    match &manifest.hook {
        None => phase == Phase::Sync,
        Some(hook) => hook.phases.contains(&phase) && passed < Some(Turn { phase, wave }),
    }
}

/// Whether the hook is still to be made for this phase of the attempt.
pub(super) fn is_due(manifest: &Manifest, live: &Presences, attempt: &str, phase: Phase) -> bool {
    match live.get(&manifest.key) {
        Some(Presence::Present(facts)) => !has_begun(facts, attempt, phase),
        Some(Presence::Others(_)) => false,
        Some(Presence::Absent) | None => true,
    }
}

/// Whether this phase's run of a hook began, or a later one's, before which it ended.
pub(super) fn has_begun(facts: &Facts, attempt: &str, phase: Phase) -> bool {
    last_run(facts, attempt).is_some_and(|reached| reached >= phase)
}

/// Whether this attempt made the hook, in whatever phase.
pub(crate) fn is_of_attempt(facts: &Facts, attempt: &str) -> bool {
    last_run(facts, attempt).is_some()
}

/// Whether a later phase's run of a hook began.
pub(super) fn has_begun_later(facts: &Facts, attempt: &str, phase: Phase) -> bool {
    last_run(facts, attempt).is_some_and(|reached| reached > phase)
}

fn last_run(facts: &Facts, attempt: &str) -> Option<Phase> {
    reached(facts.attempt.as_deref()?, attempt)
}

/// Whether something of an earlier run has to go before the hook is made: where its policy says so, and where it couldn't run
/// again otherwise. What an earlier phase of this very plan will leave counts, too.
pub(super) fn leaves_remains(
    manifest: &Manifest,
    live: &Presences,
    attempt: &str,
    phase: Phase,
) -> bool {
    let Some(hook) = &manifest.hook else {
        return false;
    };
    let goes = hook.delete.contains(&DeletePolicy::BeforeHookCreation) || runs_once(&manifest.key);
    if !goes || !is_due(manifest, live, attempt, phase) {
        return false;
    }
    let there = matches!(live.get(&manifest.key), Some(Presence::Present(facts)) if facts.proven);
    there || hook.phases.iter().any(|earlier| *earlier < phase)
}

/// Kinds that, once they have ended, don't start again.
fn runs_once(key: &Key) -> bool {
    matches!(
        (&*key.group, &*key.kind),
        ("batch", "Job") | ("", "Pod") | ("argoproj.io", "Workflow")
    )
}

/// How an attempt ended, as far as its hooks are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    Succeeded,
    Failed,
    /// It was left before it ended: each hook is judged by itself.
    Left,
}

/// Hooks of `attempt` to delete: those whose policy says so, and those that still run though nobody waits for them any more.
pub(crate) fn cleanup(
    manifests: &[Manifest],
    live: &Presences,
    attempt: &str,
    ended: AttemptEnd,
) -> Vec<Key> {
    manifests
        .iter()
        .filter_map(|manifest| {
            let hook = manifest.hook.as_ref()?;
            let Some(Presence::Present(facts)) = live.get(&manifest.key) else {
                return None;
            };
            let run = last_run(facts, attempt)?;
            (facts.proven && goes(hook, run, end(facts), ended)).then(|| manifest.key.clone())
        })
        .collect()
}

/// What earlier generations left of hooks that are made under another name each time.
pub(crate) fn succeeded_by_others(
    inventory: &BTreeMap<Key, Item>,
    manifests: &[Manifest],
    live: &Presences,
) -> Vec<Key> {
    let there = |key: &Key| matches!(live.get(key), Some(Presence::Present(facts)) if facts.proven);
    inventory
        .iter()
        .filter(|(key, item)| item.renamed && there(key))
        .filter(|(key, _)| manifests.iter().all(|manifest| manifest.key != **key))
        .map(|(key, _)| key.clone())
        .collect()
}

/// Hooks of a deletion that is over, to be cleared away: nobody is left to do it later. Where only a failure was to clear it
/// away, it stays.
pub(crate) fn after_deletion(manifests: &[Manifest], live: &Presences, attempt: &str) -> Vec<Key> {
    of_attempt(manifests, live, attempt)
        .filter(|(hook, _, _)| hook.delete != [DeletePolicy::HookFailed])
        .map(|(_, key, _)| key.clone())
        .collect()
}

/// Hooks of an attempt that failed, to be made anew.
pub(crate) fn failed(manifests: &[Manifest], live: &Presences, attempt: &str) -> Vec<Key> {
    of_attempt(manifests, live, attempt)
        .filter(|(_, _, facts)| end(facts) == End::Failed)
        .map(|(_, key, _)| key.clone())
        .collect()
}

fn of_attempt<'a>(
    manifests: &'a [Manifest],
    live: &'a Presences,
    attempt: &'a str,
) -> impl Iterator<Item = (&'a Hook, &'a Key, &'a Facts)> {
    manifests.iter().filter_map(move |manifest| {
        let hook = manifest.hook.as_ref()?;
        match live.get(&manifest.key) {
            Some(Presence::Present(facts)) if is_of_attempt(facts, attempt) && facts.proven => {
                Some((hook, &manifest.key, facts))
            }
            _ => None,
        }
    })
}

/// As in Argo CD, the release's outcome decides, not the hook's; but a hook for failures has only its own.
fn goes(hook: &Hook, run: Phase, own: End, ended: AttemptEnd) -> bool {
    let succeeded = match (own, ended) {
        (End::Running, _) => return true,
        (End::Succeeded, AttemptEnd::Failed) => run == Phase::SyncFail,
        (End::Succeeded, AttemptEnd::Succeeded | AttemptEnd::Left) => true,
        (End::Failed, _) => false,
    };
    hook.delete.contains(if succeeded {
        &DeletePolicy::HookSucceeded
    } else {
        &DeletePolicy::HookFailed
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Running,
    Succeeded,
    Failed,
}

/// How a hook's object stands. What has no health has nothing to run.
pub(crate) fn end(facts: &Facts) -> End {
    match facts.health.as_ref().map(|health| health.status) {
        None | Some(HealthStatus::Healthy | HealthStatus::Suspended) => End::Succeeded,
        Some(HealthStatus::Degraded) => End::Failed,
        Some(HealthStatus::Progressing | HealthStatus::Missing | HealthStatus::Unknown) => {
            End::Running
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(delete: &[DeletePolicy], own: End, ended: AttemptEnd) -> bool {
        let hook = Hook {
            phases: vec![Phase::PreSync],
            delete: delete.to_vec(),
            renamed: false,
        };
        !goes(&hook, Phase::PreSync, own, ended)
    }

    #[test]
    fn a_hook_goes_by_how_the_release_ended() {
        use DeletePolicy::{HookFailed, HookSucceeded};
        assert!(!kept(
            &[HookSucceeded],
            End::Succeeded,
            AttemptEnd::Succeeded
        ));
        assert!(kept(&[HookSucceeded], End::Succeeded, AttemptEnd::Failed));
        assert!(!kept(&[HookFailed], End::Succeeded, AttemptEnd::Failed));
        assert!(!kept(&[HookFailed], End::Failed, AttemptEnd::Failed));
        assert!(kept(&[HookFailed], End::Succeeded, AttemptEnd::Left));
    }

    #[test]
    fn what_nobody_waits_for_is_stopped_whatever_its_policy() {
        assert!(!kept(&[], End::Running, AttemptEnd::Left));
    }

    #[test]
    fn a_hook_for_failures_goes_when_it_has_done_its_work() {
        let hook = Hook {
            phases: vec![Phase::SyncFail],
            delete: vec![DeletePolicy::HookSucceeded],
            renamed: false,
        };
        assert!(goes(
            &hook,
            Phase::SyncFail,
            End::Succeeded,
            AttemptEnd::Failed
        ));
    }
}
