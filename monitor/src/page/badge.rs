//! Small pieces of the page: statuses in words and shapes (never by colour alone), revisions, times.

use bus::message::state::{HealthStatus, OperationPhase, SyncStatus};
use maud::{Markup, html};

/// How much a thing asks for attention; the colour follows from it.
#[derive(Clone, Copy)]
pub(crate) enum Tone {
    Good,
    Busy,
    Bad,
    Quiet,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "badge good",
            Self::Busy => "badge busy",
            Self::Bad => "badge bad",
            Self::Quiet => "badge quiet",
        }
    }
}

pub(crate) fn badge(tone: Tone, sign: &str, word: &str) -> Markup {
    html! { span class=(tone.class()) { span aria-hidden="true" { (sign) } " " (word) } }
}

pub(crate) const fn health_tone(status: HealthStatus) -> (Tone, &'static str) {
    match status {
        HealthStatus::Healthy => (Tone::Good, "✓"),
        HealthStatus::Progressing => (Tone::Busy, "↻"),
        HealthStatus::Degraded => (Tone::Bad, "✕"),
        HealthStatus::Suspended => (Tone::Quiet, "‖"),
        HealthStatus::Missing => (Tone::Bad, "∅"),
        HealthStatus::Unknown => (Tone::Quiet, "?"),
    }
}

pub(crate) fn health(status: HealthStatus) -> Markup {
    let (tone, sign) = health_tone(status);
    match status {
        // Sync status has the same word.
        HealthStatus::Unknown => badge(tone, sign, "Health unknown"),
        known => badge(tone, sign, known.as_str()),
    }
}

pub(crate) fn sync(status: SyncStatus) -> Markup {
    match status {
        SyncStatus::Synced => badge(Tone::Good, "=", status.as_str()),
        SyncStatus::OutOfSync => badge(Tone::Busy, "≠", status.as_str()),
        SyncStatus::Unknown => badge(Tone::Quiet, "?", "Sync unknown"),
    }
}

pub(crate) fn phase(phase: OperationPhase) -> Markup {
    let (tone, sign) = match phase {
        OperationPhase::Running => (Tone::Busy, "↻"),
        OperationPhase::Succeeded => (Tone::Good, "✓"),
        OperationPhase::Failed | OperationPhase::Error => (Tone::Bad, "✕"),
        OperationPhase::Terminating => (Tone::Busy, "■"),
    };
    badge(tone, sign, phase.as_str())
}

/// The first digits of a commit; a version as it is, unless it is long.
pub(crate) fn short(revision: &str) -> String {
    let is_hash = revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    revision
        .chars()
        .take(if is_hash { 8 } else { 24 })
        .collect()
}

pub(crate) fn revision(revision: &str) -> Markup {
    html! { code title=(revision) { (short(revision)) } }
}

/// How long ago something was, with the time itself on demand.
pub(crate) fn ago(ms: u64, now_ms: u64) -> Markup {
    let absolute = crate::status::time(ms).map(|time| time.to_string());
    html! {
        @if let Some(absolute) = absolute {
            time datetime=(absolute) title=(absolute) { (distance(now_ms.saturating_sub(ms))) " ago" }
        } @else {
            "–"
        }
    }
}

fn distance(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A length of time in the unit that suits it.
pub(crate) fn took(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_the_unit_that_suits_them() {
        assert_eq!(took(120), "120 ms");
        assert_eq!(took(2_650), "2.6 s");
        assert_eq!(took(125_000), "2 min 5 s");
        assert_eq!(distance(7_200_000), "2 h");
    }

    #[test]
    fn a_commit_is_short_and_a_version_is_itself() {
        assert_eq!(short(&"ab".repeat(20)), "abababab");
        assert_eq!(short("1.4.2"), "1.4.2");
    }
}
