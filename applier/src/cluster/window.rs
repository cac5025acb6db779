//! How many requests may be in flight: fewer at once when the server has too much to do, one more with each windowful of good
//! answers. Pure.

use std::time::{Duration, Instant};

/// An answer that takes longer says that the server, or its priority and fairness, holds requests up.
const SLOW: Duration = Duration::from_secs(2);
/// A slow answer narrows the window at most so often: one slow webhook isn't a busy server.
const REST: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Whatever it said, the server had time for us.
    Given,
    /// Too many requests, unavailable, or none in time.
    Overloaded,
}

#[derive(Debug)]
pub(crate) struct Window {
    most: f64,
    size: f64,
    narrowed: Option<Instant>,
}

impl Window {
    pub(crate) fn new(most: u16) -> Self {
        Self {
            most: f64::from(most),
            size: f64::from(most),
            narrowed: None,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 1 and what fits 16 bits"
    )]
    pub(crate) fn size(&self) -> usize {
        self.size as usize
    }

    pub(crate) fn answered(&mut self, answer: Answer, sent: Instant, now: Instant) {
        let slow = now.duration_since(sent) >= SLOW;
        match answer {
            Answer::Given if !slow => self.size = (self.size + 1.0 / self.size).min(self.most),
            // What was sent before the window was narrowed says nothing about the narrower one.
            _ if self.narrowed.is_some_and(|at| sent < at) => {}
            Answer::Given if self.narrowed.is_some_and(|at| now < at + REST) => {}
            Answer::Given => self.narrow(0.75, now),
            Answer::Overloaded => self.narrow(0.5, now),
        }
    }

    fn narrow(&mut self, to: f64, now: Instant) {
        self.size = (self.size * to).max(1.0);
        self.narrowed = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(5);

    #[test]
    fn too_many_requests_halve_it_once_for_all_that_were_in_flight() {
        let (mut window, start) = (Window::new(32), Instant::now());
        for _ in 0..32 {
            window.answered(Answer::Overloaded, start, start + QUICK);
        }
        assert_eq!(window.size(), 16);
        window.answered(Answer::Overloaded, start + QUICK * 2, start + QUICK * 3);
        assert_eq!(window.size(), 8);
    }

    #[test]
    fn it_grows_by_one_with_each_windowful_and_never_over_its_bound() {
        let (mut window, start) = (Window::new(8), Instant::now());
        window.answered(Answer::Overloaded, start, start);
        assert_eq!(window.size(), 4);
        for _ in 0..5 {
            window.answered(Answer::Given, start, start + QUICK);
        }
        assert_eq!(window.size(), 5);
        for _ in 0..1_000 {
            window.answered(Answer::Given, start, start + QUICK);
        }
        assert_eq!(window.size(), 8);
    }

    #[test]
    fn slow_answers_narrow_it_by_and_by_and_something_always_goes() {
        let (mut window, start) = (Window::new(8), Instant::now());
        window.answered(Answer::Given, start, start + SLOW);
        window.answered(Answer::Given, start + SLOW, start + SLOW * 2);
        assert_eq!(window.size(), 4);
        for round in 2..50 {
            window.answered(
                Answer::Overloaded,
                start + SLOW * round,
                start + SLOW * (round + 1),
            );
        }
        assert_eq!(window.size(), 1);
    }
}
