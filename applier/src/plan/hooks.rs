//! Which hooks are deleted when their attempt has ended.

use bus::message::state::HealthStatus;

use super::{Facts, Presence, Presences};
use crate::object::{DeletePolicy, Key, Manifest};

/// Hooks of `attempt` to delete: those whose policy says so, and those that still run though nobody waits for them any more.
pub(crate) fn cleanup(manifests: &[Manifest], live: &Presences, attempt: &str) -> Vec<Key> {
    manifests
        .iter()
        .filter_map(|manifest| {
            let hook = manifest.hook.as_ref()?;
            let Some(Presence::Present(facts)) = live.get(&manifest.key) else {
                return None;
            };
            let of_attempt = facts.proven && facts.attempt.as_deref() == Some(attempt);
            let goes = match end(facts) {
                End::Succeeded => hook.delete.contains(&DeletePolicy::HookSucceeded),
                End::Failed => hook.delete.contains(&DeletePolicy::HookFailed),
                End::Running => true,
            };
            (of_attempt && goes).then(|| manifest.key.clone())
        })
        .collect()
}

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
