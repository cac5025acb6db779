//! Hooks: objects that run at a phase of a release or of a deletion instead of belonging to what stays.

use std::collections::BTreeMap;

use api::annotations;
use serde::{Deserialize, Serialize};

/// When a hook runs, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Phase {
    PreSync,
    Sync,
    PostSync,
    /// When a release failed.
    SyncFail,
    /// Before the application's objects are deleted.
    PreDelete,
    /// After that.
    PostDelete,
}

impl Phase {
    const ALL: [Self; 6] = [
        Self::PreSync,
        Self::Sync,
        Self::PostSync,
        Self::SyncFail,
        Self::PreDelete,
        Self::PostDelete,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
            Self::PreDelete => "PreDelete",
            Self::PostDelete => "PostDelete",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == word)
    }

    fn of_helm(word: &str) -> Option<Self> {
        match word {
            "pre-install" | "pre-upgrade" => Some(Self::PreSync),
            "post-install" | "post-upgrade" => Some(Self::PostSync),
            "pre-delete" => Some(Self::PreDelete),
            "post-delete" => Some(Self::PostDelete),
            _ => None,
        }
    }

    /// Whether it is a phase of an application's deletion.
    pub(crate) const fn is_of_deletion(self) -> bool {
        matches!(self, Self::PreDelete | Self::PostDelete)
    }

    /// What an object that runs in this phase is marked with: a plan that is made again knows by it what has run.
    pub(crate) fn mark(self, attempt: &str) -> String {
        format!("{attempt}.{}", self.as_str())
    }
}

/// The last phase of `attempt` that an object with this mark was made for; none if another attempt made it.
pub(crate) fn reached(mark: &str, attempt: &str) -> Option<Phase> {
    Phase::parse(mark.strip_prefix(attempt)?.strip_prefix('.')?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeletePolicy {
    BeforeHookCreation,
    HookSucceeded,
    HookFailed,
}

impl DeletePolicy {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "BeforeHookCreation" => Some(Self::BeforeHookCreation),
            "HookSucceeded" => Some(Self::HookSucceeded),
            "HookFailed" => Some(Self::HookFailed),
            _ => None,
        }
    }

    fn of_helm(word: &str) -> Option<Self> {
        match word {
            "before-hook-creation" => Some(Self::BeforeHookCreation),
            "hook-succeeded" => Some(Self::HookSucceeded),
            "hook-failed" => Some(Self::HookFailed),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// In the order of time, at least one. It runs anew in each.
    pub(crate) phases: Vec<Phase>,
    pub(crate) delete: Vec<DeletePolicy>,
    /// Its name is made anew with each generation (`generateName`).
    pub(crate) renamed: bool,
}

impl Hook {
    /// Whether what an earlier generation made of it is to go, which has another name.
    pub(crate) fn leaves_to_successor(&self) -> bool {
        self.renamed && self.delete.contains(&DeletePolicy::BeforeHookCreation)
    }

    /// Whether a release may make it.
    pub(crate) fn is_of_release(&self) -> bool {
        self.phases.iter().any(|phase| !phase.is_of_deletion())
    }

    /// Whether the application's deletion makes it.
    pub(crate) fn is_of_deletion(&self) -> bool {
        self.phases.iter().any(|phase| phase.is_of_deletion())
    }
}

/// What an object's annotations make of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Part of what stays.
    Member,
    Hook(Hook),
    /// `hook: Skip`, or one of Helm's that Argo CD never runs.
    Skipped,
    /// A hook of phases that aren't run; the words.
    Unsupported(String),
}

/// Helm's annotation counts where Argo CD's names no type.
pub(crate) fn role(notes: &BTreeMap<&str, &str>) -> Role {
    let argo = words(notes, annotations::HOOK);
    let helm = words(notes, annotations::HELM_HOOK);
    let types = |parse: fn(&str) -> Option<Phase>, words: &[&str]| -> Vec<Phase> {
        Phase::ALL
            .into_iter()
            .filter(|phase| words.iter().any(|word| parse(word) == Some(*phase)))
            .collect()
    };
    let named = types(Phase::parse, &argo);
    let phases = if !named.is_empty() {
        named
    } else if argo.contains(&"Skip") {
        return Role::Skipped;
    } else {
        types(Phase::of_helm, &helm)
    };
    if !phases.is_empty() {
        return Role::Hook(Hook {
            phases,
            delete: delete_policies(notes),
            renamed: false,
        });
    }
    match (&argo[..], &helm[..]) {
        // Helm's CRD hook is an ordinary object to Argo CD.
        ([], [] | ["crd-install"]) => Role::Member,
        ([], helm) if helm.iter().all(|word| HELM_OTHERS.contains(word)) => Role::Skipped,
        ([], helm) => Role::Unsupported(helm.join(",")),
        (argo, _) => Role::Unsupported(argo.join(",")),
    }
}

/// Helm's tests and its hooks of other actions are never part of a sync.
const HELM_OTHERS: [&str; 5] = [
    "test",
    "test-success",
    "test-failure",
    "pre-rollback",
    "post-rollback",
];

/// Those of both annotations together.
fn delete_policies(notes: &BTreeMap<&str, &str>) -> Vec<DeletePolicy> {
    let argo = words(notes, annotations::HOOK_DELETE_POLICY);
    let helm = words(notes, annotations::HELM_HOOK_DELETE_POLICY);
    let named = (argo.into_iter().filter_map(DeletePolicy::parse))
        .chain(helm.into_iter().filter_map(DeletePolicy::of_helm));
    let mut policies = Vec::new();
    for policy in named {
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    if policies.is_empty() {
        policies.push(DeletePolicy::BeforeHookCreation);
    }
    policies
}

fn words<'a>(notes: &BTreeMap<&str, &'a str>, key: &str) -> Vec<&'a str> {
    let text = notes.get(key).copied().unwrap_or_default();
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect()
}

/// The wave: Argo CD's annotation, else Helm's weight, else 0.
pub(crate) fn wave(notes: &BTreeMap<&str, &str>) -> i64 {
    [annotations::SYNC_WAVE, annotations::HELM_HOOK_WEIGHT]
        .iter()
        .find_map(|key| notes.get(key)?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Role {
        role(&pairs.iter().copied().collect())
    }

    fn phases(pairs: &[(&'static str, &'static str)]) -> Vec<Phase> {
        match read(pairs) {
            Role::Hook(hook) => hook.phases,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn helms_hooks_become_argo_cds_phases() {
        let Role::Hook(hook) = read(&[(annotations::HELM_HOOK, "pre-install,pre-upgrade")]) else {
            panic!("no hook")
        };
        assert_eq!(hook.phases, [Phase::PreSync]);
        assert_eq!(hook.delete, [DeletePolicy::BeforeHookCreation]);
        assert_eq!(
            phases(&[(annotations::HELM_HOOK, "post-upgrade, pre-install,test")]),
            [Phase::PreSync, Phase::PostSync]
        );
    }

    #[test]
    fn argo_cds_word_wins_over_helms_unless_it_names_no_type() {
        let both = |argo| {
            phases(&[
                (annotations::HELM_HOOK, "pre-install"),
                (annotations::HOOK, argo),
            ])
        };
        assert_eq!(both("PostSync"), [Phase::PostSync]);
        assert_eq!(both("Whenever"), [Phase::PreSync]);
    }

    #[test]
    fn helms_hooks_of_an_uninstall_are_those_of_a_deletion() {
        let Role::Hook(hook) = read(&[(annotations::HELM_HOOK, "pre-delete,post-delete")]) else {
            panic!("no hook")
        };
        assert_eq!(hook.phases, [Phase::PreDelete, Phase::PostDelete]);
        assert!(hook.is_of_deletion() && !hook.is_of_release());
    }

    #[test]
    fn one_object_can_run_in_several_phases_in_the_order_of_time() {
        assert_eq!(
            phases(&[(annotations::HOOK, "SyncFail, PostSync,PreSync,PostSync")]),
            [Phase::PreSync, Phase::PostSync, Phase::SyncFail]
        );
    }

    #[test]
    fn skip_counts_only_where_no_type_stands_beside_it() {
        assert_eq!(read(&[(annotations::HOOK, "Skip")]), Role::Skipped);
        let skipped = [
            (annotations::HELM_HOOK, "pre-install"),
            (annotations::HOOK, "Skip"),
        ];
        assert_eq!(read(&skipped), Role::Skipped);
        assert_eq!(phases(&[(annotations::HOOK, "Skip,Sync")]), [Phase::Sync]);
    }

    #[test]
    fn helms_tests_are_left_out_in_silence_and_its_definitions_stay() {
        assert_eq!(read(&[(annotations::HELM_HOOK, "test")]), Role::Skipped);
        assert_eq!(
            read(&[(annotations::HELM_HOOK, "crd-install")]),
            Role::Member
        );
        assert_eq!(read(&[(annotations::HOOK, "")]), Role::Member);
    }

    #[test]
    fn a_phase_that_is_not_known_is_said_not_guessed() {
        assert_eq!(
            read(&[(annotations::HOOK, "presync")]),
            Role::Unsupported("presync".to_owned())
        );
    }

    #[test]
    fn the_policies_of_both_annotations_count() {
        let Role::Hook(hook) = read(&[
            (annotations::HOOK, "Sync"),
            (annotations::HOOK_DELETE_POLICY, "HookSucceeded"),
            (
                annotations::HELM_HOOK_DELETE_POLICY,
                "hook-failed,hook-succeeded",
            ),
        ]) else {
            panic!("no hook")
        };
        assert_eq!(
            hook.delete,
            [DeletePolicy::HookSucceeded, DeletePolicy::HookFailed]
        );
    }

    #[test]
    fn helms_weight_is_the_wave_unless_argo_cd_names_one() {
        let weight: BTreeMap<_, _> = [(annotations::HELM_HOOK_WEIGHT, "-5")].into();
        assert_eq!(wave(&weight), -5);
        let both: BTreeMap<_, _> = [
            (annotations::HELM_HOOK_WEIGHT, "-5"),
            (annotations::SYNC_WAVE, "2"),
        ]
        .into();
        assert_eq!(wave(&both), 2);
        assert_eq!(wave(&[(annotations::SYNC_WAVE, "soon")].into()), 0);
    }

    #[test]
    fn a_mark_tells_the_attempt_and_the_phase() {
        let mark = Phase::PostSync.mark("3.0");
        assert_eq!(reached(&mark, "3.0"), Some(Phase::PostSync));
        assert_eq!(reached(&mark, "3"), None);
        assert_eq!(reached(&mark, "3.01"), None);
        assert_eq!(reached("13.0.Sync", "3.0"), None);
    }
}
