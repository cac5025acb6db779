//! How long one fetch may take and how much it may bring.

use std::cell::Cell;
use std::time::Instant;

use super::error::FetchError;
use super::location::Location;

/// Bounds of one fetch.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub deadline: Instant,
    /// Bytes received from the host.
    pub bytes: usize,
}

/// A fetch's bounds, and which of them it went over.
pub(super) struct Bounds {
    pub(super) limits: Limits,
    /// Bytes that one download may have.
    pub(super) ceiling: Cell<usize>,
    pub(super) over: Cell<Option<FetchError>>,
}

impl Bounds {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ceiling: Cell::new(limits.bytes),
            over: Cell::new(None),
        }
    }

    pub(super) fn within(&self, location: &Location) -> bool {
        let in_time = Instant::now() < self.limits.deadline;
        if !in_time {
            self.over.set(Some(FetchError::Timeout {
                url: location.shown(),
            }));
        }
        in_time
    }

    pub(super) fn takes(&self, location: &Location, bytes: usize) -> bool {
        if bytes > self.ceiling.get() {
            self.over.set(Some(FetchError::TooLarge {
                url: location.shown(),
                limit: self.limits.bytes,
            }));
            return false;
        }
        self.within(location)
    }
}
