//! Says what stays the same once, and again only after a while: a broker that is away must not fill a log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long until the same is said again.
const AGAIN: Duration = Duration::from_secs(30);

/// Remembers what was said last.
#[derive(Default)]
pub(crate) struct Quiet(Mutex<Option<(String, Instant)>>);

impl Quiet {
    /// Whether to say it now.
    pub(crate) fn lets_through(&self, words: &str, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last
            .as_ref()
            .is_none_or(|(said, at)| said != words || now.duration_since(*at) >= AGAIN);
        if is_due {
            *last = Some((words.to_owned(), now));
        }
        is_due
    }

    /// It is over: what comes next is new.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_said_once_in_a_while() {
        let (quiet, start) = (Quiet::default(), Instant::now());
        assert!(quiet.lets_through("away", start));
        assert!(!quiet.lets_through("away", start + Duration::from_secs(29)));
        assert!(quiet.lets_through("away", start + Duration::from_secs(30)));
        assert!(!quiet.lets_through("away", start + Duration::from_secs(31)));
    }

    #[test]
    fn other_words_and_a_new_outage_are_said_at_once() {
        let (quiet, now) = (Quiet::default(), Instant::now());
        assert!(quiet.lets_through("away", now));
        assert!(quiet.lets_through("refused", now));
        quiet.forget();
        assert!(quiet.lets_through("refused", now));
    }
}
