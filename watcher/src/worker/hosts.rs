//! Turns at Git hosts: a few at a time at each, so that a slow one holds up nobody but its own repositories.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fetches from one host at the same time.
const PER_HOST: usize = 4;
/// Fetches from all hosts at the same time.
const IN_ALL: usize = 64;

#[derive(Debug)]
pub struct Hosts {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Held while fetching.
#[derive(Debug)]
pub struct Turn {
    _host: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(IN_ALL)),
            each: Mutex::default(),
        }
    }
}

impl Hosts {
    /// Waits for the host first, so that those who wait there hold no place that another host could use.
    pub async fn turn(&self, host: &str) -> Turn {
        let semaphore = {
            let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
            // Hosts that nobody fetches from are forgotten.
            each.retain(|name, semaphore| name == host || Arc::strong_count(semaphore) > 1);
            Arc::clone(
                each.entry(host.to_owned())
                    .or_insert_with(|| Arc::new(Semaphore::new(PER_HOST))),
            )
        };
        Turn {
            _host: semaphore.acquire_owned().await.ok(),
            _all: Arc::clone(&self.all).acquire_owned().await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_slow_host_holds_up_only_itself() {
        let hosts = Hosts::default();
        let mut held = Vec::new();
        for _ in 0..PER_HOST {
            held.push(hosts.turn("slow").await);
        }
        assert!(hosts.turn("slow").now_or_never().is_none());
        assert!(hosts.turn("fast").now_or_never().is_some());
        held.pop();
        assert!(hosts.turn("slow").now_or_never().is_some());
    }
}
