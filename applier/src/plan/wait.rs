//! Whether a wait is over.

use bus::message::state::HealthStatus;

use super::{Facts, Presence, Presences};
use crate::object::{Key, Manifest};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Met,
    /// For whom, in words.
    Pending(String),
    /// What went wrong, in words.
    Failed(String),
}

/// Whether objects are healthy and hooks of `attempt` finished. One failure is told at once, before what is pending.
pub(crate) fn healthy<'a>(
    batch: impl IntoIterator<Item = &'a Manifest>,
    live: &Presences,
    attempt: &str,
    count_applications: bool,
) -> Waited {
    let mut pending: Option<String> = None;
    let mut failed: Option<String> = None;
    for manifest in batch {
        let state = match live.get(&manifest.key) {
            // Not taken over, so not waited for.
            Some(Presence::Others(_)) => Waited::Met,
            Some(Presence::Present(facts)) if manifest.hook.is_some() => {
                hook(manifest, facts, attempt)
            }
            Some(Presence::Present(facts)) => member(manifest, facts, count_applications),
            Some(Presence::Absent) if manifest.hook.is_some() => {
                Waited::Failed(format!("{} was deleted before it finished", manifest.key))
            }
            Some(Presence::Absent) | None => {
                Waited::Pending(format!("{} is not there", manifest.key))
            }
        };
        match state {
            Waited::Met => {}
            Waited::Pending(why) => {
                pending.get_or_insert(why);
            }
            Waited::Failed(why) => {
                failed.get_or_insert(why);
            }
        }
    }
    match (failed, pending) {
        (Some(why), _) => Waited::Failed(why),
        (None, Some(why)) => Waited::Pending(why),
        (None, None) => Waited::Met,
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

fn hook(manifest: &Manifest, facts: &Facts, attempt: &str) -> Waited {
    if facts.attempt.as_deref() != Some(attempt) {
        return Waited::Pending(format!("{} has not started", manifest.key));
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
