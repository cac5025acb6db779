//! What this process is: one that leads, or one that follows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How a Lease's time is divided. The leader stops acting a third of it before others may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Unchanged for so long, it may be taken.
    pub(crate) duration: Duration,
}

impl Terms {
    /// How long a leader acts after a renewal.
    pub(crate) fn act(self) -> Duration {
        self.duration * 2 / 3
    }

    /// Between renewals, and between tries: seldom, since it is most of what a service does that has nothing to do, and still
    /// twice before it stops acting.
    pub(crate) fn renew(self) -> Duration {
        self.duration / 5
    }

    /// How long one request may take.
    pub(crate) fn request(self) -> Duration {
        self.duration / 4
    }
}

/// What this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Never led, and this is in the way of knowing who does.
    Waits(Arc<str>),
    /// Never led; this one does.
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
        let standing = Standing::Waits("the Lease is not read yet".into());
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

    /// Waits until this process may act. One that lost the Lease for good never may again.
    pub async fn acts(&self) {
        let mut standing = self.standing.subscribe();
        // The sender lives as long as we do.
        let _ = standing
            .wait_for(|it| matches!(it, Standing::Leads(until) if Instant::now() < *until))
            .await;
    }

    /// Waits until this process may not act.
    pub async fn pauses(&self) {
        let mut standing = self.standing.subscribe();
        loop {
            let until = match *standing.borrow_and_update() {
                Standing::Leads(until) if Instant::now() < until => until,
                _ => return,
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                changed = standing.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Whether another process leads, as far as is known, and this one would go on for it.
    pub fn stands_by(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Follows(_))
    }

    /// What keeps this process from acting.
    pub fn hindrance(&self) -> Option<String> {
        match &*self.standing.borrow() {
            Standing::Waits(why) => Some(why.to_string()),
            Standing::Follows(holder) => Some(format!("follows {holder}")),
            Standing::Leads(until) if Instant::now() < *until => None,
            Standing::Leads(_) => Some(
                "the Lease can't be renewed: nothing is published until the API server answers"
                    .to_owned(),
            ),
            Standing::Over => Some("no longer leads".to_owned()),
        }
    }

    pub(crate) fn waits(&self, why: String) {
        self.set(Standing::Waits(why.into()));
    }

    pub(crate) fn follows(&self, holder: &str) {
        self.set(Standing::Follows(holder.into()));
    }

    pub(crate) fn leads(&self, until: Instant) {
        self.set(Standing::Leads(until));
    }

    pub(crate) fn over(&self) {
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
        assert!(!lead.holds() && !lead.stands_by());
        lead.follows("another");
        assert!(!lead.holds() && lead.stands_by());
        assert_eq!(lead.hindrance().as_deref(), Some("follows another"));
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

    #[tokio::test(start_paused = true)]
    async fn who_waits_to_act_waits_while_the_lease_is_not_renewed() {
        let lead = Lead::follower();
        let term = Duration::from_secs(2);
        lead.leads(Instant::now() + term);
        lead.acts().await;
        lead.pauses().await;
        assert!(!lead.holds());
        let act = lead.acts();
        tokio::pin!(act);
        let soon = tokio::time::timeout(term * 5, &mut act).await;
        assert!(soon.is_err());
        lead.leads(Instant::now() + term);
        act.await;
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
