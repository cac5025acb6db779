//! Which questions were heard already: each is answered once, and only while it is new.

use std::collections::{BTreeSet, HashSet};

use crate::identity::Digest;

/// How far a question's time may be from the agent's, either way, in milliseconds.
const TOLERANCE: u64 = 60_000;
/// How many questions are remembered.
const MAX_REMEMBERED: usize = 20_000;

/// Remembers questions for as long as their time is within the window. After a restart it remembers nothing: what can then be
/// replayed for a minute is answered to the same one-time key as before, whose secret half is gone.
#[derive(Default)]
pub struct ReplayWindow {
    heard: HashSet<Digest>,
    by_time: BTreeSet<(u64, String)>,
}

/// What the window thinks of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    New,
    Heard,
    TooOld,
    TooNew,
    Full,
}

impl ReplayWindow {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the question is new; if so it never is again.
    pub(super) fn admit(&mut self, digest: &Digest, time: u64, now_ms: u64) -> Verdict {
        self.forget(now_ms);
        if time.saturating_add(TOLERANCE) < now_ms {
            return Verdict::TooOld;
        }
        if time > now_ms.saturating_add(TOLERANCE) {
            return Verdict::TooNew;
        }
        if self.heard.contains(digest) {
            return Verdict::Heard;
        }
        if self.heard.len() >= MAX_REMEMBERED {
            return Verdict::Full;
        }
        self.heard.insert(digest.clone());
        self.by_time.insert((time, digest.as_str().to_owned()));
        Verdict::New
    }

    /// Forgets what would be too old anyway.
    fn forget(&mut self, now_ms: u64) {
        while let Some((time, _)) = self.by_time.first() {
            if time.saturating_add(TOLERANCE) >= now_ms {
                break;
            }
            if let Some((_, digest)) = self.by_time.pop_first()
                && let Ok(digest) = digest.parse::<Digest>()
            {
                self.heard.remove(&digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn a_question_is_new_once() {
        let mut window = ReplayWindow::new();
        let one = Digest::of(b"one");
        assert_eq!(window.admit(&one, NOW, NOW), Verdict::New);
        assert_eq!(window.admit(&one, NOW, NOW), Verdict::Heard);
        assert_eq!(window.admit(&one, NOW, NOW + TOLERANCE), Verdict::Heard);
        assert_eq!(
            window.admit(&one, NOW, NOW + TOLERANCE + 1),
            Verdict::TooOld
        );
    }

    #[test]
    fn clocks_may_differ_by_the_tolerance_and_no_more() {
        let mut window = ReplayWindow::new();
        let admit = |window: &mut ReplayWindow, text: &str, time| {
            window.admit(&Digest::of(text.as_bytes()), time, NOW)
        };
        assert_eq!(admit(&mut window, "a", NOW - TOLERANCE), Verdict::New);
        assert_eq!(
            admit(&mut window, "b", NOW - TOLERANCE - 1),
            Verdict::TooOld
        );
        assert_eq!(admit(&mut window, "c", NOW + TOLERANCE), Verdict::New);
        assert_eq!(
            admit(&mut window, "d", NOW + TOLERANCE + 1),
            Verdict::TooNew
        );
        assert_eq!(admit(&mut window, "e", u64::MAX), Verdict::TooNew);
    }

    #[test]
    fn it_forgets_in_time_and_never_grows_over_its_bound() {
        let mut window = ReplayWindow::new();
        for n in 0..MAX_REMEMBERED {
            assert_eq!(
                window.admit(&Digest::of(&n.to_le_bytes()), NOW, NOW),
                Verdict::New
            );
        }
        assert_eq!(window.admit(&Digest::of(b"more"), NOW, NOW), Verdict::Full);
        let later = NOW + TOLERANCE + 1;
        assert_eq!(
            window.admit(&Digest::of(b"more"), later, later),
            Verdict::New
        );
        assert_eq!((window.heard.len(), window.by_time.len()), (1, 1));
    }
}
