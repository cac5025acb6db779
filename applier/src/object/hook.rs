//! Hooks: objects that run at a phase of a release instead of belonging to what stays.

use std::collections::BTreeMap;

use api::annotations;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    PreSync,
    Sync,
    PostSync,
}

impl Phase {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeletePolicy {
    BeforeHookCreation,
    HookSucceeded,
    HookFailed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// Empty for a hook of phases that this version doesn't run; such an object is left out, with a finding.
    pub(crate) phases: Vec<Phase>,
    pub(crate) delete: Vec<DeletePolicy>,
}

/// What an object's annotations make of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Part of what stays.
    Member,
    Hook(Hook),
    /// `hook: Skip`.
    Skipped,
    /// A hook of phases that aren't run; the words.
    Unsupported(String),
}

/// Argo CD's own annotation counts before Helm's.
pub(crate) fn role(annotations_of: &BTreeMap<&str, &str>) -> Role {
    let argo = annotations_of.get(annotations::HOOK).copied();
    let helm = annotations_of.get(annotations::HELM_HOOK).copied();
    let words: Vec<&str> = argo
        .or(helm)
        .map(|text| {
            text.split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .collect()
        })
        .unwrap_or_default();
    // Helm's CRD hook is an ordinary object to Argo CD.
    if words.is_empty() || (argo.is_none() && words == ["crd-install"]) {
        return Role::Member;
    }
    if words.contains(&"Skip") {
        return Role::Skipped;
    }
    let mut phases = Vec::new();
    for word in &words {
        let phase = match *word {
            "PreSync" => Phase::PreSync,
            "Sync" => Phase::Sync,
            "PostSync" => Phase::PostSync,
            "pre-install" | "pre-upgrade" if argo.is_none() => Phase::PreSync,
            "post-install" | "post-upgrade" if argo.is_none() => Phase::PostSync,
            _ => continue,
        };
        if !phases.contains(&phase) {
            phases.push(phase);
        }
    }
    if phases.is_empty() {
        // Helm's tests and its hooks of other actions are never part of a sync.
        let of_helm = argo.is_none() && words.iter().all(|word| HELM_OTHERS.contains(word));
        return if of_helm {
            Role::Skipped
        } else {
            Role::Unsupported(words.join(","))
        };
    }
    phases.sort_unstable();
    Role::Hook(Hook {
        phases,
        delete: delete_policies(annotations_of),
    })
}

const HELM_OTHERS: [&str; 7] = [
    "test",
    "test-success",
    "test-failure",
    "pre-rollback",
    "post-rollback",
    "pre-delete",
    "post-delete",
];

fn delete_policies(annotations_of: &BTreeMap<&str, &str>) -> Vec<DeletePolicy> {
    let mut policies = Vec::new();
    for key in [
        annotations::HOOK_DELETE_POLICY,
        annotations::HELM_HOOK_DELETE_POLICY,
    ] {
        for word in annotations_of
            .get(key)
            .copied()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
        {
            let policy = match word {
                "BeforeHookCreation" | "before-hook-creation" => DeletePolicy::BeforeHookCreation,
                "HookSucceeded" | "hook-succeeded" => DeletePolicy::HookSucceeded,
                "HookFailed" | "hook-failed" => DeletePolicy::HookFailed,
                _ => continue,
            };
            if !policies.contains(&policy) {
                policies.push(policy);
            }
        }
        if !policies.is_empty() {
            return policies;
        }
    }
    vec![DeletePolicy::BeforeHookCreation]
}

/// The wave: Argo CD's annotation, else Helm's weight, else 0.
pub(crate) fn wave(annotations_of: &BTreeMap<&str, &str>) -> i64 {
    [annotations::SYNC_WAVE, annotations::HELM_HOOK_WEIGHT]
        .iter()
        .find_map(|key| annotations_of.get(key)?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(pairs: &[(&'static str, &'static str)]) -> Role {
        role(&pairs.iter().copied().collect())
    }

    #[test]
    fn helms_hooks_become_argo_cds_phases() {
        let Role::Hook(hook) = hook(&[(annotations::HELM_HOOK, "pre-install,pre-upgrade")]) else {
            panic!("no hook")
        };
        assert_eq!(hook.phases, [Phase::PreSync]);
        assert_eq!(hook.delete, [DeletePolicy::BeforeHookCreation]);
    }

    #[test]
    fn argo_cds_word_wins_over_helms() {
        let role = hook(&[
            (annotations::HELM_HOOK, "pre-install"),
            (annotations::HOOK, "PostSync"),
        ]);
        assert!(matches!(role, Role::Hook(hook) if hook.phases == [Phase::PostSync]));
    }

    #[test]
    fn helms_tests_and_delete_hooks_are_left_out_in_silence() {
        assert_eq!(hook(&[(annotations::HELM_HOOK, "test")]), Role::Skipped);
        assert_eq!(
            hook(&[(annotations::HELM_HOOK, "pre-delete")]),
            Role::Skipped
        );
    }

    #[test]
    fn a_phase_that_is_not_run_is_said_not_guessed() {
        assert_eq!(
            hook(&[(annotations::HOOK, "SyncFail")]),
            Role::Unsupported("SyncFail".to_owned())
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
}
