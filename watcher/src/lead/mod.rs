//! Which of several watchers leads: the one that holds a Lease of the control cluster. Only that one publishes, writes and
//! deletes; the others read everything, so that one of them can go on at once.
//!
//! A leader that can't renew its Lease stops acting before anybody else may begin ([`Lead::holds`] asks this machine's monotonic
//! clock, and nothing else). When it reaches the API server again and nobody led meanwhile, it goes on; when somebody did, or
//! does, the process ends, because what it knows may be behind, and follows after its restart.

mod claim;
mod elect;

use std::sync::Arc;
use std::time::Duration;

use bus::Digest;
use tokio::sync::watch;
use tokio::time::Instant;

pub use elect::{Candidate, LeadError};

/// The Lease's name. Watchers of other Applications lead those, beside this one.
pub fn lease_name(selector: Option<&str>) -> String {
    const NAME: &str = "towline-watcher";
    match selector {
        None => NAME.to_owned(),
        Some(selector) => format!("{NAME}-{}", Digest::of(selector.as_bytes()).short()),
    }
}

/// How a Lease's time is divided. The leader stops acting a third of it before others may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Unchanged for so long, it may be taken.
    pub duration: Duration,
}

impl Terms {
    /// How long a leader acts after a renewal.
    fn act(self) -> Duration {
        self.duration * 2 / 3
    }

    /// Between renewals, and between tries.
    fn renew(self) -> Duration {
        self.duration / 8
    }

    /// How long one request may take.
    fn request(self) -> Duration {
        self.duration / 4
    }
}

/// What this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Never led; who does, if that is known, or what is in the way.
    Follows(Arc<str>),
    /// May act until then, unless the Lease is renewed.
    Leads(Instant),
    /// Gave the Lease back, or lost it.
    Over,
}

/// Whether this process leads. Clones are the same.
#[derive(Clone, Debug)]
pub struct Lead {
    standing: Arc<watch::Sender<Standing>>,
}

impl Lead {
    pub(crate) fn follower() -> Self {
        let standing = Standing::Follows("the Lease is not read yet".into());
        Self {
            standing: Arc::new(watch::Sender::new(standing)),
        }
    }

    /// Whether this process may act now. To be asked before each thing that only the leader does.
    pub fn holds(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Leads(until) if Instant::now() < until)
    }

    /// Waits until this process leads; for ever, if it never does.
    pub async fn begun(&self) {
        let mut standing = self.standing.subscribe();
        // The sender lives as long as we do.
        let _ = standing
            .wait_for(|it| matches!(it, Standing::Leads(_)))
            .await;
    }

    /// What keeps this process from acting.
    pub fn hindrance(&self) -> Option<String> {
        match &*self.standing.borrow() {
            Standing::Follows(why) => Some(why.to_string()),
            Standing::Leads(until) if Instant::now() < *until => None,
            Standing::Leads(_) => Some(
                "the Lease can't be renewed: nothing is published until the API server answers"
                    .to_owned(),
            ),
            Standing::Over => Some("no longer leads".to_owned()),
        }
    }

    fn follows(&self, why: String) {
        self.set(Standing::Follows(why.into()));
    }

    fn leads(&self, until: Instant) {
        self.set(Standing::Leads(until));
    }

    fn over(&self) {
        self.set(Standing::Over);
    }

    fn set(&self, new: Standing) {
        self.standing.send_if_modified(|standing| {
            let changed = *standing != new;
            *standing = new;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leader_acts_until_its_term_is_over_and_again_after_a_renewal() {
        let lead = Lead::follower();
        assert!(!lead.holds());
        let term = Duration::from_secs(10);
        lead.leads(Instant::now() + term);
        lead.begun().await;
        assert!(lead.holds() && lead.hindrance().is_none());
        tokio::time::advance(term).await;
        assert!(!lead.holds());
        assert!(lead.hindrance().unwrap().contains("can't be renewed"));
        lead.leads(Instant::now() + term);
        assert!(lead.holds());
        lead.over();
        assert!(!lead.holds());
    }

    #[test]
    fn a_leader_stops_well_before_others_may_begin() {
        let terms = Terms {
            duration: Duration::from_secs(15),
        };
        assert!(terms.act() + terms.request() < terms.duration);
        assert!(terms.renew() * 2 + terms.request() < terms.act());
    }
}
