//! Applications that somebody should look at.

use std::collections::BTreeSet;
use std::sync::Mutex;

use bus::AppId;
use tokio::sync::{Notify, watch};

use super::lock;

/// Each application is in it at most once.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    notify: Notify,
    /// The last push of which everything was carried out.
    done: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Waiting {
    apps: BTreeSet<AppId>,
    /// Counts pushes.
    pushed: u64,
}

/// Up to which push a batch goes.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Ticket(u64);

impl Queue {
    pub fn push(&self, app: &AppId) {
        let mut waiting = lock(&self.waiting);
        waiting.apps.insert(app.clone());
        waiting.pushed += 1;
        drop(waiting);
        self.notify.notify_one();
    }

    /// All that wait; at least one.
    pub async fn next(&self) -> (BTreeSet<AppId>, Ticket) {
        loop {
            let (apps, ticket) = {
                let mut waiting = lock(&self.waiting);
                (std::mem::take(&mut waiting.apps), Ticket(waiting.pushed))
            };
            if !apps.is_empty() {
                return (apps, ticket);
            }
            self.notify.notified().await;
        }
    }

    /// Everything of a batch was carried out; what failed of earlier ones was pushed again, and so was a part of it.
    pub fn finish(&self, Ticket(until): Ticket) {
        self.done.send_replace(until);
    }

    /// Waits until everything that was pushed before is carried out.
    pub async fn settled(&self) {
        let pushed = lock(&self.waiting).pushed;
        let mut done = self.done.subscribe();
        // The sender lives as long as we do.
        let _ = done.wait_for(|done| *done >= pushed).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;

    fn app(name: &str) -> AppId {
        AppId::new("argocd", name).unwrap()
    }

    #[tokio::test]
    async fn what_was_pushed_before_is_waited_for_and_nothing_later() {
        let queue = Queue::default();
        queue.settled().await;
        queue.push(&app("a"));
        let mut settled = pin!(queue.settled());
        assert!(settled.as_mut().now_or_never().is_none());
        let (apps, ticket) = queue.next().await;
        assert_eq!(apps, [app("a")].into());
        queue.push(&app("b"));
        queue.finish(ticket);
        settled.await;
        assert!(queue.settled().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_failed_is_waited_for_until_its_next_try() {
        let queue = Queue::default();
        queue.push(&app("a"));
        let mut settled = pin!(queue.settled());
        let _ = queue.next().await;
        queue.push(&app("a"));
        assert!(settled.as_mut().now_or_never().is_none());
        let (_, ticket) = queue.next().await;
        queue.finish(ticket);
        settled.await;
    }
}
