//! How a repository's worker is woken.

use std::sync::Mutex;

use bus::clock;
use bus::message::desired::Cause;
use bus::trace::Trace;
use tokio::sync::Notify;

use super::lock;
use crate::slot::RepoKey;

/// How a worker is reached.
#[derive(Debug)]
pub struct Handle {
    pub key: RepoKey,
    wakes: Mutex<Wake>,
    notify: Notify,
}

/// What a worker is woken for; several fall into one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wake {
    /// Look at the host: why, since when (Unix milliseconds), in which trace.
    pub fetch: Option<(Cause, u64, Trace)>,
    /// Look at the applications.
    pub evaluate: bool,
    /// Packs may be gone from the object store.
    pub forget: bool,
    /// Nobody uses the repository any more.
    pub stop: bool,
}

impl Wake {
    pub fn fetch(cause: Cause, trace: Trace) -> Self {
        Self {
            fetch: Some((cause, clock::now_ms(), trace)),
            ..Self::default()
        }
    }

    pub fn evaluate() -> Self {
        Self {
            evaluate: true,
            ..Self::default()
        }
    }
}

impl Handle {
    pub(super) fn new(key: RepoKey) -> Self {
        Self {
            key,
            wakes: Mutex::default(),
            notify: Notify::new(),
        }
    }

    pub fn wake(&self, wake: Wake) {
        let mut wakes = lock(&self.wakes);
        // The first one's time is what people wait since.
        wakes.fetch = wakes.fetch.or(wake.fetch);
        wakes.evaluate |= wake.evaluate;
        wakes.forget |= wake.forget;
        wakes.stop |= wake.stop;
        self.notify.notify_one();
    }

    /// What it is woken for, at once or when it happens.
    pub async fn woken(&self) -> Wake {
        loop {
            let wake = std::mem::take(&mut *lock(&self.wakes));
            if wake.fetch.is_some() || wake.evaluate || wake.forget || wake.stop {
                return wake;
            }
            self.notify.notified().await;
        }
    }
}
