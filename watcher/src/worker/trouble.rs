//! How long a host is left alone after it failed. Pure.

use std::time::Duration;

use bus::message::desired::Cause;
use tokio::time::Instant;

use crate::source::error::FetchError;

/// Failures in a row that are a repository's own: only then is the host suspected.
const BENEFIT_OF_DOUBT: u32 = 2;
/// The first time for which a host is left alone; doubled by each further failure.
const FIRST: Duration = Duration::from_secs(2);
const LAST: Duration = Duration::from_mins(5);
/// A host that says "too many requests" and not for how long (GitHub's own advice).
const BUSY: Duration = Duration::from_mins(1);
/// The longest time that a host may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(15);
/// A host that sends webhooks is probably back; but anyone can say that he is that host.
const BELIEVED_AFTER: Duration = Duration::from_secs(10);
/// Part of the time that is random.
const JITTER: f64 = 0.1;

/// What one look says about the host itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answers, whatever.
    Well,
    Ill,
    /// It asks to be left alone; for how long, if it says so.
    Busy(Option<Duration>),
    /// The look didn't get as far as the host.
    Unknown,
}

impl Verdict {
    pub fn of(error: &FetchError) -> Self {
        match error {
            FetchError::Unreachable { .. } | FetchError::Timeout { .. } => Self::Ill,
            FetchError::Busy { after, .. } => Self::Busy(*after),
            FetchError::Denied { .. }
            | FetchError::NotFound { .. }
            | FetchError::Revision { .. }
            | FetchError::NoCommit { .. } => Self::Well,
            _ => Self::Unknown,
        }
    }
}

/// A host that failed and did not succeed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub failures: u32,
    /// When it failed last.
    since: Instant,
    until: Instant,
    asked: bool,
}

impl Trouble {
    /// What a look that began at `began` makes of it; `random` is in 0..1.
    pub(super) fn after(
        before: Option<&Self>,
        verdict: Verdict,
        began: Instant,
        now: Instant,
        random: f64,
    ) -> Option<Self> {
        let failures = before.map_or(0, |it| it.failures).saturating_add(1);
        let (wait, asked) = match verdict {
            Verdict::Well => return None,
            Verdict::Unknown => return before.cloned(),
            // Several looks at the same time fail together: that is one failure.
            Verdict::Ill if before.is_some_and(|it| it.since > began) => return before.cloned(),
            Verdict::Ill => (
                doubled(FIRST, failures.saturating_sub(BENEFIT_OF_DOUBT)),
                false,
            ),
            Verdict::Busy(Some(asked)) => (asked.min(LONGEST_ASKED), true),
            Verdict::Busy(None) => (doubled(BUSY, failures).min(LAST), true),
        };
        // Never earlier than the host asked for.
        let spread = if asked { random } else { 2.0 * random - 1.0 };
        let until = now + wait.mul_f64(1.0 + JITTER * spread);
        Some(Self {
            failures,
            since: now,
            until: before.map_or(
                until,
                |it| if it.asked { it.until.max(until) } else { until },
            ),
            asked: asked || before.is_some_and(|it| it.asked && it.until > now),
        })
    }

    /// Until when the host isn't looked at for this reason.
    pub(super) fn closed(&self, cause: Cause, now: Instant) -> Option<Instant> {
        let until = match cause {
            _ if self.asked => self.until,
            // A person wants to know.
            Cause::Refresh => now,
            Cause::Webhook => self.until.min(self.since + BELIEVED_AFTER),
            _ => self.until,
        };
        (until > now).then_some(until)
    }

    /// Whether only one look at a time finds out if the host is well again.
    pub(super) const fn is_serious(&self) -> bool {
        self.asked || self.failures > BENEFIT_OF_DOUBT
    }

    /// How long the host would be left alone after one more failure.
    pub(super) fn next_wait(&self) -> Duration {
        doubled(FIRST, self.failures)
    }

    /// Whether nobody asked for a long time.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        now > self.until + LONGEST_ASKED * 4
    }

    /// How long from now.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }
}

/// Doubled from the first to the `count`th time; nothing before the first.
fn doubled(first: Duration, count: u32) -> Duration {
    match count {
        0 => Duration::ZERO,
        _ => (first * 2_u32.saturating_pow((count - 1).min(16))).min(LAST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(before: Option<&Trouble>, now: Instant) -> Trouble {
        Trouble::after(before, Verdict::Ill, now, now, 0.5).unwrap()
    }

    #[test]
    fn a_host_is_left_alone_longer_each_time_up_to_five_minutes() {
        let mut now = Instant::now();
        let mut trouble = fail(None, now);
        let mut waits = Vec::new();
        for _ in 0..11 {
            waits.push(trouble.remaining(now).as_secs());
            now += Duration::from_secs(301);
            trouble = fail(Some(&trouble), now);
        }
        assert_eq!(waits, [0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    }

    #[test]
    fn a_success_ends_it_and_what_says_nothing_of_the_host_changes_nothing() {
        let now = Instant::now();
        let trouble = fail(Some(&fail(Some(&fail(None, now)), now)), now);
        assert!(trouble.closed(Cause::Poll, now).is_some());
        let after = |verdict| Trouble::after(Some(&trouble), verdict, now, now, 0.5);
        assert_eq!(after(Verdict::Well), None);
        assert_eq!(after(Verdict::Unknown), Some(trouble.clone()));
    }

    #[test]
    fn looks_that_fail_together_are_one_failure() {
        let began = Instant::now();
        let now = began + Duration::from_mins(1);
        let mut trouble = Trouble::after(None, Verdict::Ill, began, now, 0.5).unwrap();
        for _ in 0..4 {
            trouble = Trouble::after(Some(&trouble), Verdict::Ill, began, now, 0.5).unwrap();
        }
        assert_eq!(trouble.failures, 1);
    }

    #[test]
    fn a_host_that_asks_for_a_time_is_given_it_whoever_wants_to_look() {
        let now = Instant::now();
        let asked = Verdict::Busy(Some(Duration::from_secs(90)));
        for random in [0.0, 1.0] {
            let trouble = Trouble::after(None, asked, now, now, random).unwrap();
            for cause in [Cause::Poll, Cause::Webhook, Cause::Refresh] {
                let later = now + Duration::from_secs(89);
                assert!(trouble.closed(cause, later).is_some(), "{cause:?}");
                let later = now + Duration::from_secs(100);
                assert!(trouble.closed(cause, later).is_none(), "{cause:?}");
            }
            // Another look that was under way and only failed doesn't shorten it.
            let failed = Trouble::after(Some(&trouble), Verdict::Ill, now, now, 0.0).unwrap();
            assert!(failed.remaining(now) >= Duration::from_secs(90));
        }
    }

    #[test]
    fn a_host_that_asks_for_too_long_or_for_no_time_is_given_what_is_usual() {
        let now = Instant::now();
        let wait = |verdict| {
            let trouble = Trouble::after(None, verdict, now, now, 0.0).unwrap();
            trouble.remaining(now)
        };
        assert_eq!(wait(Verdict::Busy(None)), BUSY);
        let week = Duration::from_hours(7 * 24);
        assert_eq!(wait(Verdict::Busy(Some(week))), LONGEST_ASKED);
    }

    #[test]
    fn a_person_is_served_at_once_and_a_webhook_soon() {
        let mut now = Instant::now();
        let mut trouble = fail(None, now);
        for _ in 0..8 {
            now += Duration::from_secs(301);
            trouble = fail(Some(&trouble), now);
        }
        assert_eq!(trouble.closed(Cause::Refresh, now), None);
        assert!(trouble.closed(Cause::Webhook, now).is_some());
        let soon = now + BELIEVED_AFTER;
        assert_eq!(trouble.closed(Cause::Webhook, soon), None);
        assert!(trouble.closed(Cause::Poll, soon).is_some());
    }
}
