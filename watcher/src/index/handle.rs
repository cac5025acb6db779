//! How a repository's worker is woken.

use std::sync::Mutex;

use bus::message::desired::Cause;
use bus::trace::Trace;
use bus::{AppId, clock};
use tokio::sync::Notify;

use super::{Concerned, lock};
use crate::slot::RepoKey;

/// How a worker is reached.
#[derive(Debug)]
pub struct Handle {
    pub key: RepoKey,
    wakes: Mutex<Wake>,
    notify: Notify,
}

/// What a worker is woken for; several fall into one.
#[derive(Clone, Debug, Default)]
pub struct Wake {
    /// Look at the host: why, since when (Unix milliseconds), in which trace.
    pub fetch: Option<(Cause, u64, Trace)>,
    /// The applications to look at. After a look at the host that is all of them.
    pub evaluate: Concerned,
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

    pub fn evaluate(app: &AppId) -> Self {
        Self {
            evaluate: Concerned::one(app),
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
        wakes.evaluate.add(wake.evaluate);
        wakes.forget |= wake.forget;
        wakes.stop |= wake.stop;
        self.notify.notify_one();
    }

    /// What it is woken for, at once or when it happens.
    pub async fn woken(&self) -> Wake {
        loop {
            let wake = std::mem::take(&mut *lock(&self.wakes));
            if wake.fetch.is_some() || !wake.evaluate.is_empty() || wake.forget || wake.stop {
                return wake;
            }
            self.notify.notified().await;
        }
    }
}
