//! Turns at hosts: a few at a time at each, and none at one that failed until its time has come, so that a slow or broken one holds
//! up nobody but its own repositories.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::message::desired::Cause;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::trouble::{Trouble, Verdict};

/// Fetches from one host at the same time.
const PER_HOST: usize = 4;
/// Fetches from all hosts at the same time.
const IN_ALL: usize = 64;

#[derive(Debug)]
pub struct Hosts {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<String, Host>>,
}

#[derive(Debug)]
struct Host {
    turns: Arc<Semaphore>,
    /// Held by the one look that finds out whether a host in trouble is well again.
    probe: Arc<Semaphore>,
    trouble: Option<Trouble>,
    recovered: watch::Sender<()>,
}

/// What somebody who wants to look at a host gets.
#[derive(Debug)]
pub enum Admission {
    Go(Turn),
    Later(Later),
}

/// Held while fetching.
#[derive(Debug)]
pub struct Turn {
    host: String,
    began: Instant,
    _host: Option<OwnedSemaphorePermit>,
    _probe: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

/// The host is left alone.
#[derive(Debug)]
pub struct Later {
    pub until: Instant,
    recovered: watch::Receiver<()>,
}

impl Later {
    /// When it may be tried again: the time has come, or the host answered somebody else.
    pub async fn over(&mut self) {
        tokio::select! {
            () = tokio::time::sleep_until(self.until) => {}
            Ok(()) = self.recovered.changed() => {}
        }
    }
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It is left alone for so long, after so many failures.
    Closed {
        failures: u32,
        wait: std::time::Duration,
    },
    Recovered,
    Same,
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
    /// Waits for a turn at the host first, so that those who wait there hold no place that another host could use.
    pub async fn admit(&self, name: &str, cause: Cause) -> Admission {
        let turns = match self.host(name, cause) {
            Ok(turns) => turns,
            Err(later) => return Admission::Later(later),
        };
        let host = turns.acquire_owned().await.ok();
        // Those before us may have found out that there is no point.
        let probe = match self.probe(name, cause) {
            Ok(probe) => probe,
            Err(later) => return Admission::Later(later),
        };
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        Admission::Go(Turn {
            host: name.to_owned(),
            began: Instant::now(),
            _host: host,
            _probe: probe,
            _all: all,
        })
    }

    fn host(&self, name: &str, cause: Cause) -> Result<Arc<Semaphore>, Later> {
        let now = Instant::now();
        let mut each = self.lock();
        // Hosts that nobody fetches from are forgotten.
        each.retain(|other, host| {
            other == name
                || Arc::strong_count(&host.turns) > 1
                || host
                    .trouble
                    .as_ref()
                    .is_some_and(|trouble| !trouble.is_forgotten(now))
        });
        let host = each.entry(name.to_owned()).or_default();
        match host.closed(cause, now) {
            Some(later) => Err(later),
            None => Ok(Arc::clone(&host.turns)),
        }
    }

    fn probe(&self, name: &str, cause: Cause) -> Result<Option<OwnedSemaphorePermit>, Later> {
        let now = Instant::now();
        let mut each = self.lock();
        let host = each.entry(name.to_owned()).or_default();
        if let Some(later) = host.closed(cause, now) {
            return Err(later);
        }
        let Some(trouble) = host.trouble.as_ref().filter(|it| it.is_serious()) else {
            return Ok(None);
        };
        match Arc::clone(&host.probe).try_acquire_owned() {
            Ok(probe) => Ok(Some(probe)),
            // Whoever looks now will say what comes of it; this only bounds the wait.
            Err(_) => Err(host.later(now + trouble.next_wait())),
        }
    }

    /// What came of a turn.
    pub fn report(&self, turn: Turn, verdict: Verdict) -> Turned {
        let now = Instant::now();
        let mut each = self.lock();
        let host = each.entry(turn.host.clone()).or_default();
        let before = host.trouble.take();
        host.trouble = Trouble::after(
            before.as_ref(),
            verdict,
            turn.began,
            now,
            rand::random::<f64>(),
        );
        // Before those who waited for its end come.
        drop(turn);
        match (&before, &host.trouble) {
            (Some(before), None) => {
                host.recovered.send_replace(());
                if before.is_serious() {
                    Turned::Recovered
                } else {
                    Turned::Same
                }
            }
            (before, Some(trouble)) if trouble.is_serious() && before.as_ref() != Some(trouble) => {
                Turned::Closed {
                    failures: trouble.failures,
                    wait: trouble.remaining(now),
                }
            }
            _ => Turned::Same,
        }
    }

    /// Hosts that are left alone, or are looked at by one only.
    pub fn in_trouble(&self) -> usize {
        let each = self.lock();
        let is_serious = |host: &&Host| host.trouble.as_ref().is_some_and(Trouble::is_serious);
        each.values().filter(is_serious).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(PER_HOST)),
            probe: Arc::new(Semaphore::new(1)),
            trouble: None,
            recovered: watch::channel(()).0,
        }
    }
}

impl Host {
    fn closed(&self, cause: Cause, now: Instant) -> Option<Later> {
        let until = self.trouble.as_ref()?.closed(cause, now)?;
        Some(self.later(until))
    }

    fn later(&self, until: Instant) -> Later {
        Later {
            until,
            recovered: self.recovered.subscribe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    async fn go(hosts: &Hosts, name: &str, cause: Cause) -> Turn {
        match hosts.admit(name, cause).await {
            Admission::Go(turn) => turn,
            Admission::Later(later) => panic!("{later:?}"),
        }
    }

    async fn later(hosts: &Hosts, name: &str, cause: Cause) -> Later {
        match hosts.admit(name, cause).await {
            Admission::Go(turn) => panic!("{turn:?}"),
            Admission::Later(later) => later,
        }
    }

    async fn broken(hosts: &Hosts, name: &str) {
        for _ in 0..3 {
            let turn = go(hosts, name, Cause::Refresh).await;
            hosts.report(turn, Verdict::Ill);
        }
    }

    #[tokio::test]
    async fn a_slow_host_holds_up_only_itself() {
        let hosts = Hosts::default();
        let mut held = Vec::new();
        for _ in 0..PER_HOST {
            held.push(go(&hosts, "slow", Cause::Poll).await);
        }
        assert!(hosts.admit("slow", Cause::Poll).now_or_never().is_none());
        assert!(hosts.admit("fast", Cause::Poll).now_or_never().is_some());
        held.pop();
        assert!(hosts.admit("slow", Cause::Poll).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_host_is_left_alone_then_tried_by_one_and_then_by_all() {
        let hosts = Hosts::default();
        broken(&hosts, "h").await;
        assert_eq!(hosts.in_trouble(), 1);
        let mut waits = later(&hosts, "h", Cause::Poll).await;
        let _ = go(&hosts, "other", Cause::Poll).await;
        waits.over().await;
        let probe = go(&hosts, "h", Cause::Poll).await;
        let mut second = later(&hosts, "h", Cause::Refresh).await;
        let began = Instant::now();
        assert_eq!(hosts.report(probe, Verdict::Well), Turned::Recovered);
        second.over().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "told at once");
        let _turns = (
            go(&hosts, "h", Cause::Poll).await,
            go(&hosts, "h", Cause::Poll).await,
        );
        assert_eq!(hosts.in_trouble(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_waited_for_a_turn_are_not_sent_to_a_host_that_turned_out_broken() {
        let hosts = Arc::new(Hosts::default());
        broken(&hosts, "h").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let probe = go(&hosts, "h", Cause::Poll).await;
        for _ in 0..100 {
            let waits = later(&hosts, "h", Cause::Poll).await;
            assert!(waits.until > Instant::now());
        }
        assert!(matches!(
            hosts.report(probe, Verdict::Ill),
            Turned::Closed { failures: 4, .. }
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn one_repositorys_two_failures_close_no_host() {
        let hosts = Hosts::default();
        for _ in 0..20 {
            for _ in 0..2 {
                let turn = go(&hosts, "h", Cause::Poll).await;
                assert_eq!(hosts.report(turn, Verdict::Ill), Turned::Same);
            }
            let turn = go(&hosts, "h", Cause::Poll).await;
            assert_eq!(hosts.report(turn, Verdict::Well), Turned::Same);
        }
    }
}
