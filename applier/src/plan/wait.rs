//! Whether a wait is over.

use bus::message::state::HealthStatus;

use super::hooks::{self, End};
use super::{Facts, Presence, Presences};
use crate::object::{Key, Manifest, Phase};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Met,
    /// For whom, in words.
    Pending(String),
    /// What went wrong, in words.
    Failed(String),
}

/// Whose wait it is.
#[derive(Clone, Copy)]
pub(crate) struct Wait<'a> {
    pub(crate) attempt: &'a str,
    pub(crate) phase: Phase,
    /// Whether the health of Applications among the objects counts.
    pub(crate) applications: bool,
}

/// Whether objects are healthy and hooks finished. A failure is told before what is pending, but not before hooks that run beside it
/// have ended: what they do must not be cut off in the middle.
pub(crate) fn healthy<'a>(
    batch: impl IntoIterator<Item = &'a Manifest>,
    live: &Presences,
    wait: Wait<'_>,
) -> Waited {
    let mut pending: Option<String> = None;
    let mut running: Option<&Key> = None;
    let mut failed: Option<String> = None;
    for manifest in batch {
        let is_hook = manifest.hook.is_some();
        let state = match live.get(&manifest.key) {
            // Not taken over, so not waited for.
            Some(Presence::Others(_)) => Waited::Met,
            Some(Presence::Present(facts)) if is_hook => hook(manifest, facts, wait),
            Some(Presence::Present(facts)) => member(manifest, facts, wait.applications),
            Some(Presence::Absent) if is_hook => {
                Waited::Failed(format!("{} was deleted before it finished", manifest.key))
            }
            Some(Presence::Absent) | None => {
                Waited::Pending(format!("{} is not there", manifest.key))
            }
        };
        match state {
            Waited::Met => {}
            Waited::Pending(why) => {
                if is_hook {
                    running.get_or_insert(&manifest.key);
                }
                pending.get_or_insert(why);
            }
            Waited::Failed(why) => {
                failed.get_or_insert(why);
            }
        }
    }
    match (failed, running, pending) {
        (Some(why), Some(key), _) => Waited::Pending(format!("{why}; {key} has yet to end")),
        (Some(why), None, _) => Waited::Failed(why),
        (None, _, Some(why)) => Waited::Pending(why),
        (None, _, None) => Waited::Met,
    }
}

/// Whether no hook of `attempt` runs any more.
pub(crate) fn ended<'a>(
    batch: impl IntoIterator<Item = &'a Manifest>,
    live: &Presences,
    attempt: &str,
) -> Waited {
    let runs = |manifest: &&Manifest| {
        matches!(live.get(&manifest.key), Some(Presence::Present(facts))
            if hooks::is_of_attempt(facts, attempt) && !facts.deleting && hooks::end(facts) == End::Running)
    };
    match batch.into_iter().find(runs) {
        Some(manifest) => Waited::Pending(format!("{} has yet to end", manifest.key)),
        None => Waited::Met,
    }
}

/// Whether all objects are gone.
pub(crate) fn gone(keys: &[Key], live: &Presences) -> Waited {
    match keys
        .iter()
        .find(|key| matches!(live.get(*key), Some(Presence::Present(facts)) if facts.proven))
    {
        Some(key) => Waited::Pending(format!("{key} is being deleted")),
        None => Waited::Met,
    }
}

fn member(manifest: &Manifest, facts: &Facts, count_applications: bool) -> Waited {
    let Some(health) = &facts.health else {
        return Waited::Met;
    };
    if !count_applications
        && &*manifest.key.group == api::GROUP
        && &*manifest.key.kind == "Application"
    {
        return Waited::Met;
    }
    judge(&manifest.key, health.status, &health.message)
}

fn hook(manifest: &Manifest, facts: &Facts, wait: Wait<'_>) -> Waited {
    if !hooks::has_begun(facts, wait.attempt, wait.phase) {
        return Waited::Pending(format!("{} has not started", manifest.key));
    }
    if hooks::has_begun_later(facts, wait.attempt, wait.phase) {
        return Waited::Met;
    }
    match &facts.health {
        None => Waited::Met,
        Some(health) => judge(&manifest.key, health.status, &health.message),
    }
}

fn judge(key: &Key, status: HealthStatus, message: &str) -> Waited {
    let words = if message.is_empty() {
        format!("{key} is {}", status.as_str())
    } else {
        format!("{key} is {}: {message}", status.as_str())
    };
    match status {
        // A paused roll-out is somebody's decision; Argo CD goes on past it, too.
        HealthStatus::Healthy | HealthStatus::Suspended => Waited::Met,
        HealthStatus::Degraded => Waited::Failed(words),
        HealthStatus::Progressing | HealthStatus::Missing | HealthStatus::Unknown => {
            Waited::Pending(words)
        }
    }
}
