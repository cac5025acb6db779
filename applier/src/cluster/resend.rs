//! Which requests are sent again, and when. Pure.

use std::time::Duration;

use super::ClusterError;

/// How long a request is sent again: an API server takes less to start.
const PATIENCE: Duration = Duration::from_secs(25);
/// What a server may ask for is bounded: it is asked again then.
const LONGEST: Duration = Duration::from_secs(10);
/// Between tries, unless the server names a time.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(2);

/// What becomes of a request that is sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The same as once: reads, applies, guarded changes and deletions.
    Harmless,
    /// Creations: the second finds the first one's object, and nobody knows whose it is.
    Ambiguous,
}

/// How long to wait before the request is sent again; none if its failure stands. `spread` is a random number from 0 to 1.
pub(crate) fn wait(
    error: &ClusterError,
    repeat: Repeat,
    tried: u32,
    since: Duration,
    spread: f64,
) -> Option<Duration> {
    let again = match error {
        // Not begun, so that nothing happens twice.
        ClusterError::Refused {
            code: 401 | 429, ..
        } => true,
        ClusterError::Refused {
            code: 502..=504, ..
        } => repeat == Repeat::Harmless,
        // The store under the server changes its leader or starts again.
        ClusterError::Refused {
            code: 500, message, ..
        } => repeat == Repeat::Harmless && message.contains("etcdserver"),
        ClusterError::Unreachable(_) => repeat == Repeat::Harmless || error.never_arrived(),
        ClusterError::Refused { .. }
        | ClusterError::Timeout
        | ClusterError::Unreadable(_)
        | ClusterError::Malformed
        | ClusterError::TooLarge { .. }
        | ClusterError::StillThere { .. } => false,
    };
    if !again {
        return None;
    }
    let grown = FIRST.saturating_mul(1 << tried.min(10)).min(MOST);
    // Not all at the same moment.
    let own = grown.mul_f64(0.5 + spread / 2.0);
    let asked = match error {
        ClusterError::Refused { after, .. } => after.unwrap_or_default().min(LONGEST),
        _ => Duration::ZERO,
    };
    let delay = own.max(asked);
    (since + delay <= PATIENCE).then_some(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str, after: Option<u64>) -> ClusterError {
        ClusterError::Refused {
            code,
            reason: String::new(),
            message: message.to_owned(),
            after: after.map(Duration::from_secs),
        }
    }

    fn waits(error: &ClusterError, repeat: Repeat) -> bool {
        wait(error, repeat, 0, Duration::ZERO, 0.5).is_some()
    }

    #[test]
    fn what_the_server_did_not_begin_is_sent_again_whatever_it_is() {
        for code in [401, 429] {
            assert!(waits(&refused(code, "", None), Repeat::Ambiguous));
        }
    }

    #[test]
    fn a_creation_whose_outcome_is_unknown_is_not_sent_again() {
        for error in [refused(503, "", None), refused(504, "", None)] {
            assert!(waits(&error, Repeat::Harmless));
            assert!(!waits(&error, Repeat::Ambiguous));
        }
    }

    #[test]
    fn a_refusal_stands() {
        for code in [400, 403, 404, 409, 410, 422] {
            assert!(!waits(&refused(code, "", None), Repeat::Harmless));
        }
        assert!(!waits(
            &refused(500, "webhook failed", None),
            Repeat::Harmless
        ));
        assert!(waits(
            &refused(500, "etcdserver: leader changed", None),
            Repeat::Harmless
        ));
    }

    #[test]
    fn the_time_that_the_server_names_is_kept_up_to_a_bound() {
        let delay = |after| {
            let error = refused(429, "", Some(after));
            wait(&error, Repeat::Harmless, 0, Duration::ZERO, 0.0).unwrap()
        };
        assert_eq!(delay(3), Duration::from_secs(3));
        assert_eq!(delay(3_600), LONGEST);
    }

    #[test]
    fn it_is_tried_less_and_less_often_and_not_for_ever() {
        let error = refused(503, "", None);
        let delay = |tried, since| wait(&error, Repeat::Harmless, tried, since, 1.0);
        assert_eq!(delay(0, Duration::ZERO), Some(FIRST));
        assert_eq!(delay(3, Duration::ZERO), Some(FIRST * 8));
        assert_eq!(delay(30, Duration::ZERO), Some(MOST));
        assert_eq!(delay(9, PATIENCE), None);
    }
}
