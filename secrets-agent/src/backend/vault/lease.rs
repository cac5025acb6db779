//! How long a token is good for, and when to do something about its end.

use std::time::{Duration, Instant};

/// What Vault says of a token's life, counted from when it said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// None for a token that doesn't end.
    pub(super) lasts: Option<Duration>,
    pub(super) is_renewable: bool,
}

impl Lease {
    /// Of `seconds`, where 0 is for ever.
    pub(super) fn new(seconds: u64, is_renewable: bool) -> Self {
        Self {
            lasts: (seconds > 0).then(|| Duration::from_secs(seconds)),
            is_renewable,
        }
    }

    /// Of a token about which Vault says nothing: it is used until it is refused.
    pub(super) fn unknown() -> Self {
        Self::new(0, false)
    }

    /// When to prolong or replace a token that was `granted` then: well before its end, so that failures leave time to try again.
    pub(super) fn due(self, granted: Instant) -> Option<Instant> {
        self.lasts.map(|lasts| granted + lasts.mul_f64(2.0 / 3.0))
    }

    pub(super) fn is_over(self, granted: Instant, now: Instant) -> bool {
        self.lasts.is_some_and(|lasts| now >= granted + lasts)
    }

    /// None is left of a token that doesn't end: nothing has to be done before.
    pub(super) fn left(self, granted: Instant, now: Instant) -> Duration {
        self.lasts.map_or(Duration::ZERO, |lasts| {
            (granted + lasts).saturating_duration_since(now)
        })
    }

    /// Whether `renewed`, which follows this one, says that the token nears the longest life it may have.
    pub(super) fn is_worn(self, renewed: Self) -> bool {
        match (self.lasts, renewed.lasts) {
            (Some(before), Some(after)) => after < before / 2,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_due_while_a_third_of_its_life_is_left() {
        let start = Instant::now();
        let lease = Lease::new(60, true);
        assert_eq!(lease.due(start), Some(start + Duration::from_secs(40)));
        assert!(!lease.is_over(start, start + Duration::from_secs(59)));
        assert!(lease.is_over(start, start + Duration::from_mins(1)));
    }

    #[test]
    fn a_token_without_an_end_is_never_due() {
        let start = Instant::now();
        let later = start + Duration::from_hours(24 * 365);
        assert_eq!(Lease::unknown().due(start), None);
        assert!(!Lease::unknown().is_over(start, later));
    }

    #[test]
    fn renewals_that_give_less_and_less_say_that_the_end_is_near() {
        let hour = Lease::new(3600, true);
        assert!(!hour.is_worn(Lease::new(3600, true)));
        assert!(!hour.is_worn(Lease::new(1800, true)));
        assert!(hour.is_worn(Lease::new(1799, true)));
        assert!(!hour.is_worn(Lease::unknown()));
    }
}
