//! When a repository is looked at without being asked. Pure.

use std::time::Duration;

/// First wait after a failure; doubled by each further one.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest wait after failures.
const LAST_RETRY: Duration = Duration::from_mins(5);
/// Part of the interval that is random, so that repositories don't come all at once.
const JITTER: f64 = 0.1;

/// How long to wait after a look; `random` is in 0..1. `None` means until somebody asks.
pub fn next(
    interval: Duration,
    jitter: Option<Duration>,
    failures: u32,
    random: f64,
) -> Option<Duration> {
    if failures > 0 {
        let wait = FIRST_RETRY * 2_u32.saturating_pow((failures - 1).min(16));
        let longest = if interval.is_zero() {
            LAST_RETRY
        } else {
            interval.min(LAST_RETRY)
        };
        return Some(
            wait.min(longest)
                .mul_f64(1.0 - JITTER + 2.0 * JITTER * random),
        );
    }
    if interval.is_zero() {
        return None;
    }
    Some(match jitter {
        Some(jitter) => interval + jitter.mul_f64(random),
        None => interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(3);

    #[test]
    fn the_interval_is_spread() {
        assert_eq!(next(INTERVAL, None, 0, 0.5), Some(INTERVAL));
        assert!(next(INTERVAL, None, 0, 0.0) < Some(INTERVAL));
        let jitter = Some(Duration::from_mins(1));
        assert_eq!(next(INTERVAL, jitter, 0, 1.0), Some(Duration::from_mins(4)));
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_the_interval() {
        let waits: Vec<u64> = (1..10)
            .map(|failures| next(INTERVAL, None, failures, 0.5).unwrap().as_secs())
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 180, 180]);
        assert!(next(INTERVAL, None, u32::MAX, 0.5).is_some());
    }

    #[test]
    fn an_interval_of_zero_never_polls_but_still_retries() {
        assert_eq!(next(Duration::ZERO, None, 0, 0.5), None);
        assert!(next(Duration::ZERO, None, 3, 0.5).is_some());
    }
}
