//! What to do for an application next: one pure function, so that every reason is in one place.

use bus::Generation;

use crate::store::Failure;

/// Everything that the decision depends on.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, named where it is given"
)]
pub(crate) struct Situation<'a> {
    pub(crate) observe: bool,
    /// Something forbids to apply anything of the target.
    pub(crate) blocked: bool,
    /// Held at a release, by a person or after a failure: the target is that release.
    pub(crate) held: bool,
    pub(crate) automated: bool,
    pub(crate) self_heal: bool,
    /// A person asked for a release.
    pub(crate) asked: bool,
    /// A person agreed to deletions that the last release left.
    pub(crate) approved: bool,
    pub(crate) target: Generation,
    pub(crate) difference: Difference,
    pub(crate) failure: Option<&'a Failure>,
    pub(crate) retry: Retry,
    /// When the first drifted object may be healed, Unix milliseconds; none when nothing drifted.
    pub(crate) heal_at: Option<u64>,
    /// Whether everything that is applied is healthy now.
    pub(crate) healthy: bool,
}

/// How live and target differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a difference of its own"
)]
pub(crate) struct Difference {
    /// A manifest isn't what was applied last, or was never applied.
    pub(crate) changed: bool,
    /// An object left the manifests and may be deleted.
    pub(crate) leaving: bool,
    /// An object was changed or deleted by others.
    pub(crate) drifted: bool,
    /// A store has other versions of an object's secrets than it was made with.
    pub(crate) rotated: bool,
}

/// The retry policy, with Argo CD's defaults for automated syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// None means without end.
    pub(crate) limit: Option<u32>,
    pub(crate) first_ms: u64,
    pub(crate) factor: u64,
    pub(crate) most_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Rest,
    /// Look again then, Unix milliseconds.
    Wait(u64),
    Release,
    /// Only what uses secrets that have changed.
    Rotate,
    Heal,
    /// A failed release whose objects have become healthy by themselves.
    Recover,
}

pub(crate) fn decide(situation: &Situation<'_>, now_ms: u64) -> Decision {
    if situation.observe || situation.blocked {
        return Decision::Rest;
    }
    if situation.asked {
        return Decision::Release;
    }
    let failure = situation
        .failure
        .filter(|failure| failure.generation == situation.target);
    if let Some(failure) = failure
        && failure.unhealthy
        && situation.healthy
        && !situation.difference.changed
    {
        return Decision::Recover;
    }
    // Also where nothing differs: a hook that comes last may be what failed.
    let unfinished =
        failure.is_some_and(|failure| !failure.unhealthy && !failure.early && !failure.rotated);
    let differs = situation.difference.changed || situation.difference.leaving || unfinished;
    let approved = situation.approved && situation.difference.leaving;
    // A release that it is held at is carried through whoever syncs the application, and so is what somebody agreed to.
    if differs && (situation.automated || situation.held || approved) {
        let next = match failure {
            None => Decision::Release,
            Some(failure) => again(failure, situation.retry, now_ms),
        };
        // What was given up doesn't keep the objects that it left as they should be from being healed.
        if next != Decision::Rest {
            return next;
        }
    }
    if situation.difference.rotated && (situation.automated || situation.held) {
        match failure {
            // What is live is unhealthy: the new values may be what mends it.
            Some(failure) if !failure.unhealthy => match again(failure, situation.retry, now_ms) {
                Decision::Rest => {}
                Decision::Release => return Decision::Rotate,
                other => return other,
            },
            Some(_) | None => return Decision::Rotate,
        }
    }
    if situation.difference.drifted && situation.self_heal {
        return match situation.heal_at {
            Some(at) if at > now_ms => Decision::Wait(at),
            _ => Decision::Heal,
        };
    }
    Decision::Rest
}

fn again(failure: &Failure, retry: Retry, now_ms: u64) -> Decision {
    if failure.ended.is_some() {
        return Decision::Rest;
    }
    if retry.is_used_up(failure) {
        return Decision::Rest;
    }
    let due = failure
        .time
        .saturating_add(retry.delay_ms(failure.attempts));
    if due > now_ms {
        Decision::Wait(due)
    } else {
        Decision::Release
    }
}

impl Retry {
    pub(crate) const DEFAULT: Self = Self {
        limit: Some(5),
        first_ms: 5_000,
        factor: 2,
        most_ms: 180_000,
    };

    /// From `syncPolicy.retry`; Argo CD's defaults where it says nothing.
    pub(crate) fn of(policy: Option<&api::application::SyncPolicy>) -> Self {
        let Some(retry) = policy.and_then(|policy| policy.retry.as_ref()) else {
            return Self::DEFAULT;
        };
        let backoff = retry.backoff.as_ref();
        let time = |text: Option<&String>, default: u64| {
            text.and_then(|text| api::settings::parse_duration(text))
                .and_then(|time| u64::try_from(time.as_millis()).ok())
                .unwrap_or(default)
        };
        Self {
            limit: match retry.limit {
                Some(limit) if limit < 0 => None,
                Some(limit) => Some(u32::try_from(limit).unwrap_or(u32::MAX)),
                None => Some(0),
            },
            first_ms: time(
                backoff.and_then(|backoff| backoff.duration.as_ref()),
                Self::DEFAULT.first_ms,
            ),
            factor: backoff
                .and_then(|backoff| backoff.factor)
                .and_then(|factor| u64::try_from(factor).ok())
                .map_or(Self::DEFAULT.factor, |factor| factor.max(1)),
            most_ms: time(
                backoff.and_then(|backoff| backoff.max_duration.as_ref()),
                Self::DEFAULT.most_ms,
            ),
        }
    }

    /// Whether it isn't tried again.
    pub(crate) fn is_used_up(self, failure: &Failure) -> bool {
        // A secrets-agent that is away for long must not use the attempts up.
        !failure.early && self.limit.is_some_and(|limit| failure.attempts > limit)
    }

    /// How long to wait after so many failed attempts.
    pub(crate) fn delay_ms(self, attempts: u32) -> u64 {
        let power = self.factor.saturating_pow(attempts.saturating_sub(1));
        self.first_ms.saturating_mul(power).min(self.most_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Ended;

    fn situation() -> Situation<'static> {
        Situation {
            observe: false,
            blocked: false,
            held: false,
            automated: true,
            self_heal: true,
            asked: false,
            approved: false,
            target: Generation(2),
            difference: Difference::default(),
            failure: None,
            retry: Retry::DEFAULT,
            heal_at: None,
            healthy: true,
        }
    }

    const CHANGED: Difference = Difference {
        changed: true,
        leaving: false,
        drifted: false,
        rotated: false,
    };
    const DRIFTED: Difference = Difference {
        changed: false,
        leaving: false,
        drifted: true,
        rotated: false,
    };
    const ROTATED: Difference = Difference {
        changed: false,
        leaving: false,
        drifted: false,
        rotated: true,
    };

    #[test]
    fn a_rotation_follows_by_itself_where_releases_do() {
        let rotated = Situation {
            difference: ROTATED,
            ..situation()
        };
        assert_eq!(decide(&rotated, 0), Decision::Rotate);
        let by_hand = Situation {
            automated: false,
            ..rotated.clone()
        };
        assert_eq!(decide(&by_hand, 0), Decision::Rest);
        let pinned = Situation {
            held: true,
            ..by_hand
        };
        assert_eq!(decide(&pinned, 0), Decision::Rotate);
        let changed_too = Situation {
            difference: Difference {
                rotated: true,
                ..CHANGED
            },
            ..rotated
        };
        assert_eq!(decide(&changed_too, 0), Decision::Release);
    }

    #[test]
    fn a_rotation_that_failed_is_tried_again_and_does_not_keep_drift_from_being_healed() {
        let of_rotation = |attempts| Failure {
            rotated: true,
            ..failed(attempts)
        };
        let once = of_rotation(1);
        let rotated = Situation {
            difference: Difference {
                drifted: true,
                ..ROTATED
            },
            failure: Some(&once),
            healthy: false,
            ..situation()
        };
        assert_eq!(decide(&rotated, 1_000), Decision::Wait(6_000));
        assert_eq!(decide(&rotated, 6_000), Decision::Rotate);
        let often = of_rotation(9);
        let given_up = Situation {
            failure: Some(&often),
            ..rotated.clone()
        };
        assert_eq!(decide(&given_up, 6_000), Decision::Heal);
        let unhealthy = Failure {
            unhealthy: true,
            ..often
        };
        let mending = Situation {
            failure: Some(&unhealthy),
            ..rotated
        };
        assert_eq!(decide(&mending, 1_000), Decision::Rotate);
    }

    fn failed(attempts: u32) -> Failure {
        Failure {
            generation: Generation(2),
            attempts,
            message: String::new(),
            time: 1_000,
            unhealthy: false,
            early: false,
            rotated: false,
            ended: None,
        }
    }

    #[test]
    fn a_change_is_released_without_asking_only_when_automated() {
        let automated = Situation {
            difference: CHANGED,
            ..situation()
        };
        assert_eq!(decide(&automated, 0), Decision::Release);
        assert_eq!(
            decide(
                &Situation {
                    automated: false,
                    ..automated.clone()
                },
                0
            ),
            Decision::Rest
        );
        assert_eq!(
            decide(
                &Situation {
                    automated: false,
                    asked: true,
                    ..automated
                },
                0
            ),
            Decision::Release
        );
    }

    #[test]
    fn observing_applies_nothing_even_when_asked() {
        let asked = Situation {
            observe: true,
            asked: true,
            difference: CHANGED,
            ..situation()
        };
        assert_eq!(decide(&asked, 0), Decision::Rest);
    }

    #[test]
    fn a_pinned_release_is_carried_through_without_automation() {
        let pinned = Situation {
            held: true,
            automated: false,
            difference: CHANGED,
            ..situation()
        };
        assert_eq!(decide(&pinned, 0), Decision::Release);
    }

    #[test]
    fn deletions_that_a_person_agreed_to_are_carried_out_without_automation() {
        let leaving = Difference {
            leaving: true,
            ..Difference::default()
        };
        let agreed = Situation {
            approved: true,
            automated: false,
            difference: leaving,
            ..situation()
        };
        assert_eq!(decide(&agreed, 0), Decision::Release);
        let other = Situation {
            difference: CHANGED,
            ..agreed
        };
        assert_eq!(decide(&other, 0), Decision::Rest);
    }

    #[test]
    fn a_failed_generation_is_tried_again_later_and_not_for_ever() {
        let failure = failed(1);
        let tried = Situation {
            difference: CHANGED,
            failure: Some(&failure),
            ..situation()
        };
        assert_eq!(decide(&tried, 1_500), Decision::Wait(6_000));
        assert_eq!(decide(&tried, 6_000), Decision::Release);
        let failure = failed(6);
        assert_eq!(
            decide(
                &Situation {
                    failure: Some(&failure),
                    ..tried
                },
                u64::MAX
            ),
            Decision::Rest
        );
    }

    #[test]
    fn a_hook_that_failed_last_is_tried_again_though_nothing_differs() {
        let failure = failed(1);
        let tried = Situation {
            failure: Some(&failure),
            ..situation()
        };
        assert_eq!(decide(&tried, 6_000), Decision::Release);
        let failure = Failure {
            unhealthy: true,
            ..failure
        };
        let unwell = Situation {
            failure: Some(&failure),
            healthy: false,
            ..situation()
        };
        assert_eq!(decide(&unwell, 6_000), Decision::Rest);
    }

    #[test]
    fn what_was_ended_for_good_is_not_tried_again_however_often_the_policy_would() {
        for ended in [Ended::Terminated, Ended::TimedOut] {
            let failure = Failure {
                ended: Some(ended),
                ..failed(1)
            };
            let endless = Situation {
                difference: CHANGED,
                failure: Some(&failure),
                retry: Retry {
                    limit: None,
                    ..Retry::DEFAULT
                },
                ..situation()
            };
            assert_eq!(decide(&endless, u64::MAX), Decision::Rest);
            let asked = Situation {
                asked: true,
                ..endless
            };
            assert_eq!(decide(&asked, 0), Decision::Release);
        }
    }

    #[test]
    fn a_newer_generation_does_not_wait_for_the_failed_ones_retry() {
        let failure = Failure {
            generation: Generation(1),
            ..failed(3)
        };
        let newer = Situation {
            difference: CHANGED,
            failure: Some(&failure),
            ..situation()
        };
        assert_eq!(decide(&newer, 1_001), Decision::Release);
    }

    #[test]
    fn drift_is_healed_only_where_asked_for() {
        let drifted = Situation {
            difference: DRIFTED,
            ..situation()
        };
        assert_eq!(decide(&drifted, 0), Decision::Heal);
        assert_eq!(
            decide(
                &Situation {
                    self_heal: false,
                    ..drifted.clone()
                },
                0
            ),
            Decision::Rest
        );
        assert_eq!(
            decide(
                &Situation {
                    heal_at: Some(50),
                    ..drifted
                },
                10
            ),
            Decision::Wait(50)
        );
    }

    #[test]
    fn an_unhealthy_release_that_heals_by_itself_is_acknowledged() {
        let failure = Failure {
            unhealthy: true,
            ..failed(1)
        };
        let recovered = Situation {
            failure: Some(&failure),
            ..situation()
        };
        assert_eq!(decide(&recovered, 0), Decision::Recover);
        assert_eq!(
            decide(
                &Situation {
                    healthy: false,
                    ..recovered
                },
                0
            ),
            Decision::Rest
        );
    }
}
