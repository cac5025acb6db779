//! What to do about a Lease, from what it says and for how long it has said so. Pure, and free of other machines' clocks: the
//! times in a Lease are for people; how long one is unchanged is measured here.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// Durations of a Lease that say something else than a sane holder would.
const LONGEST: Duration = Duration::from_hours(1);

/// A Lease as it was seen last.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) lease: Lease,
    /// When it was first seen in this version.
    since: Instant,
}

/// What a candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Take,
    /// Somebody else's until then, unless it changes.
    Wait(Instant),
}

/// Who holds a Lease, and since when: two processes of one identity differ in the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) identity: String,
    pub(crate) acquired: Timestamp,
}

impl Observed {
    /// The same version seen again is as old as before.
    pub(crate) fn update(before: Option<Self>, lease: Lease, now: Instant) -> Self {
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        let since = before
            .filter(|before| version(&before.lease) == version(&lease))
            .map_or(now, |before| before.since);
        Self { lease, since }
    }

    /// Who leads, as far as it says.
    pub(crate) fn holder(&self) -> Option<&str> {
        let spec = self.lease.spec.as_ref()?;
        spec.holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
    }

    /// Whether it may be taken: it is free, it was ours before we were started again, or its holder let it run out.
    pub(crate) fn claim(&self, identity: &str, now: Instant) -> Claim {
        match self.holder() {
            None => return Claim::Take,
            Some(holder) if holder == identity => return Claim::Take,
            Some(_) => {}
        }
        let spec = self.lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let over = self.since + Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST);
        if over <= now {
            Claim::Take
        } else {
            Claim::Wait(over)
        }
    }
}

impl Session {
    /// Whether a Lease is held by this very process.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        lease.spec.as_ref().is_some_and(|spec| {
            spec.holder_identity.as_ref() == Some(&self.identity)
                && spec.acquire_time.as_ref().map(|time| time.0) == Some(self.acquired)
        })
    }

    /// The Lease as this process takes it; what else is in it stays.
    pub(crate) fn take(&self, name: &str, before: Option<&Lease>, duration: Duration) -> Lease {
        let mut lease = before.cloned().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec = lease.spec.get_or_insert_default();
        spec.lease_transitions = Some(match before {
            Some(_) => spec.lease_transitions.unwrap_or(0).saturating_add(1),
            None => 0,
        });
        spec.holder_identity = Some(self.identity.clone());
        spec.acquire_time = Some(MicroTime(self.acquired));
        spec.lease_duration_seconds = Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX));
        spec.renew_time = Some(MicroTime(self.acquired));
        lease
    }
}

/// The Lease with a new time of renewal.
pub(crate) fn renewed(lease: &Lease, now: Timestamp) -> Lease {
    changed(lease, |spec| spec.renew_time = Some(MicroTime(now)))
}

/// The Lease without a holder.
pub(crate) fn released(lease: &Lease, now: Timestamp) -> Lease {
    changed(lease, |spec| {
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(now));
    })
}

fn changed(lease: &Lease, change: impl FnOnce(&mut LeaseSpec)) -> Lease {
    let mut lease = lease.clone();
    change(lease.spec.get_or_insert_default());
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    fn session(identity: &str, second: i64) -> Session {
        Session {
            identity: identity.to_owned(),
            acquired: Timestamp::from_second(second).unwrap(),
        }
    }

    fn version(mut lease: Lease, version: &str) -> Lease {
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    #[test]
    fn somebody_elses_lease_is_left_alone_until_it_was_unchanged_for_its_duration_whatever_its_times_say()
     {
        let start = Instant::now();
        // Of a machine whose clock is half a century behind.
        let lease = version(session("a", 1).take("l", None, DURATION), "1");
        let seen = Observed::update(None, lease.clone(), start);
        let over = start + DURATION;
        assert_eq!(seen.claim("b", start), Claim::Wait(over));
        let later = start + Duration::from_secs(10);
        let again = Observed::update(Some(seen.clone()), lease.clone(), later);
        assert_eq!(again.claim("b", later), Claim::Wait(over));
        assert_eq!(again.claim("b", over), Claim::Take);
        let renewed = version(renewed(&lease, Timestamp::from_second(2).unwrap()), "2");
        let renewed = Observed::update(Some(seen), renewed, later);
        assert_eq!(renewed.claim("b", over), Claim::Wait(later + DURATION));
    }

    #[test]
    fn a_released_lease_and_ones_own_are_taken_at_once() {
        let now = Instant::now();
        let lease = session("a", 1).take("l", None, DURATION);
        let free = released(&lease, Timestamp::from_second(2).unwrap());
        let free = Observed::update(None, free, now);
        assert_eq!((free.holder(), free.claim("b", now)), (None, Claim::Take));
        let own = Observed::update(None, lease, now);
        assert_eq!(
            (own.holder(), own.claim("a", now)),
            (Some("a"), Claim::Take)
        );
    }

    #[test]
    fn a_lease_that_was_taken_belongs_to_one_process_even_among_those_of_one_identity() {
        let (first, second) = (session("a", 1), session("a", 2));
        let lease = first.take("l", None, DURATION);
        assert!(first.holds(&lease) && !second.holds(&lease));
        let taken = second.take("l", Some(&lease), DURATION);
        assert!(second.holds(&taken) && !first.holds(&taken));
        assert_eq!(taken.spec.unwrap().lease_transitions, Some(1));
    }

    #[test]
    fn a_lease_that_names_no_sane_duration_is_nobodys_for_ever() {
        let now = Instant::now();
        let mut lease = session("a", 1).take("l", None, DURATION);
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(i32::MAX);
        let seen = Observed::update(None, lease.clone(), now);
        assert_eq!(seen.claim("b", now + LONGEST), Claim::Take);
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(-1);
        assert_eq!(
            Observed::update(None, lease, now).claim("b", now),
            Claim::Take
        );
    }
}
