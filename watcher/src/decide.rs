//! What to publish for one application: what is wanted against what was published. Pure.

use bus::message::desired::{Cascade, Cause, Commit, Desired, DesiredState};
use bus::{Digest, Generation};
use git2::Oid;

use crate::affected::{Outcome, Record};
use crate::seen::content;

/// The newest desired state of an application in one cluster, as small as the questions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub generation: Generation,
    pub uid: Box<str>,
    /// Unix milliseconds.
    pub at: u64,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Present {
        /// Digest of all but the files, see [`crate::seen::content`].
        content: Digest,
        /// None when it can't be read.
        commit: Option<Oid>,
        about: Option<Commit>,
    },
    Deleted(Cascade),
}

impl From<&Desired> for Published {
    fn from(desired: &Desired) -> Self {
        let (uid, at, state) = match &desired.state {
            DesiredState::Present(present) => {
                let source = present.sources.first();
                let state = State::Present {
                    content: content(
                        &present.uid,
                        &present.spec,
                        &present.annotations,
                        &(
                            &present.tracking,
                            present.assess_applications,
                            &present.server,
                        ),
                    ),
                    commit: source.and_then(|source| Oid::from_str(&source.revision).ok()),
                    about: source.and_then(|source| source.commit.clone()),
                };
                (present.uid.as_str(), present.trigger.published, state)
            }
            DesiredState::Deleted(deleted) => {
                (deleted.uid.as_str(), 0, State::Deleted(deleted.cascade))
            }
        };
        Self {
            generation: desired.generation,
            uid: uid.into(),
            at,
            state,
        }
    }
}

/// What is known of an application that is wanted in a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Digest of all but the files.
    pub content: &'a Digest,
    /// What its target revision is now.
    pub commit: Oid,
    pub published: Option<&'a Published>,
    pub render: Option<&'a Record>,
    /// What the cluster offers to renders, when that is known.
    pub capabilities: Option<&'a Digest>,
    /// The commit up to which the newest generation was proven to need nothing new.
    pub verified: Option<Oid>,
    /// A hard refresh, or a part of the newest generation that was lost or refused.
    pub forced: Option<Cause>,
    /// The newest generation should have had an outcome by now, if it was published before this (Unix milliseconds).
    pub overdue_before: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing new is needed.
    Current,
    /// The files decide: see [`crate::affected`].
    Compare {
        generation: Generation,
        from: Oid,
    },
    Publish(Cause),
}

/// Whether an application needs a new desired state. `cause` is what made us ask.
pub fn decide(facts: Facts<'_>, cause: Cause) -> Decision {
    if let Some(forced) = facts.forced {
        return Decision::Publish(forced);
    }
    let Some(Published {
        generation,
        at,
        state: State::Present {
            content, commit, ..
        },
        ..
    }) = facts.published
    else {
        return Decision::Publish(Cause::Application);
    };
    if content != facts.content {
        return Decision::Publish(Cause::Application);
    }
    let has_outcome = facts
        .render
        .is_some_and(|record| record.generation >= *generation);
    if !has_outcome && *at < facts.overdue_before {
        return Decision::Publish(Cause::Again);
    }
    if let (Some(record), Some(offered)) = (facts.render, facts.capabilities)
        && record.generation == *generation
        && record.is_outdated_by(offered)
    {
        return Decision::Publish(Cause::Application);
    }
    match *commit {
        Some(commit) if commit == facts.commit => Decision::Current,
        _ if facts.verified == Some(facts.commit) => Decision::Current,
        Some(commit) if is_proof(facts.render, *generation) => Decision::Compare {
            generation: *generation,
            from: commit,
        },
        _ => Decision::Publish(cause),
    }
}

fn is_proof(render: Option<&Record>, published: Generation) -> bool {
    matches!(
        render,
        Some(Record { generation, outcome: Outcome::Rendered(Some(_)), .. }) if *generation == published
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::affected::Inputs;

    fn oid(digit: char) -> Oid {
        Oid::from_str(&digit.to_string().repeat(40)).unwrap()
    }

    fn published(uid: &str) -> Published {
        Published {
            generation: Generation(7),
            uid: uid.into(),
            at: 1_000,
            state: State::Present {
                content: Digest::of(b"same"),
                commit: Some(oid('1')),
                about: None,
            },
        }
    }

    fn rendered(generation: u64) -> Record {
        Record {
            generation: Generation(generation),
            capabilities: None,
            outcome: Outcome::Rendered(Some(Arc::new(Inputs::default()))),
        }
    }

    struct Case {
        published: Option<Published>,
        render: Option<Record>,
        offered: Option<Digest>,
        commit: Oid,
        verified: Option<Oid>,
        forced: Option<Cause>,
        content: Digest,
        overdue_before: u64,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                published: Some(published("u")),
                render: Some(rendered(7)),
                offered: None,
                commit: oid('1'),
                verified: None,
                forced: None,
                content: Digest::of(b"same"),
                overdue_before: 0,
            }
        }
    }

    impl Case {
        fn decide(&self) -> Decision {
            let facts = Facts {
                content: &self.content,
                commit: self.commit,
                published: self.published.as_ref(),
                render: self.render.as_ref(),
                capabilities: self.offered.as_ref(),
                verified: self.verified,
                forced: self.forced,
                overdue_before: self.overdue_before,
            };
            decide(facts, Cause::Poll)
        }
    }

    #[test]
    fn what_used_the_clusters_capabilities_follows_them() {
        let used = |generation, capabilities, outcome| Case {
            render: Some(Record {
                capabilities,
                outcome,
                ..rendered(generation)
            }),
            offered: Some(Digest::of(b"now")),
            ..Case::default()
        };
        let good = || Outcome::Rendered(None);
        let (then, now) = (Some(Digest::of(b"then")), Some(Digest::of(b"now")));
        let again = Decision::Publish(Cause::Application);
        assert_eq!(used(7, then.clone(), good()).decide(), again);
        assert_eq!(used(7, now.clone(), good()).decide(), Decision::Current);
        assert_eq!(used(7, None, good()).decide(), Decision::Current);
        // It may have failed for want of them.
        assert_eq!(used(7, None, Outcome::Failed).decide(), again);
        assert_eq!(used(7, now, Outcome::Failed).decide(), Decision::Current);
        // A newer one is on its way to be rendered.
        assert_eq!(used(6, then, good()).decide(), Decision::Current);
    }

    #[test]
    fn what_was_never_published_is() {
        let case = Case {
            published: None,
            ..Case::default()
        };
        assert_eq!(case.decide(), Decision::Publish(Cause::Application));
    }

    #[test]
    fn the_same_commit_and_content_need_nothing() {
        assert_eq!(Case::default().decide(), Decision::Current);
    }

    #[test]
    fn a_changed_specification_is_published_whatever_the_files() {
        let case = Case {
            content: Digest::of(b"other"),
            ..Case::default()
        };
        assert_eq!(case.decide(), Decision::Publish(Cause::Application));
    }

    #[test]
    fn a_new_commit_is_compared_with_what_the_newest_render_read() {
        let case = Case {
            commit: oid('2'),
            ..Case::default()
        };
        let compare = Decision::Compare {
            generation: Generation(7),
            from: oid('1'),
        };
        assert_eq!(case.decide(), compare);
        let verified = Case {
            commit: oid('2'),
            verified: Some(oid('2')),
            ..Case::default()
        };
        assert_eq!(verified.decide(), Decision::Current);
    }

    #[test]
    fn a_new_commit_over_a_render_in_flight_or_failed_is_published() {
        let in_flight = Case {
            commit: oid('2'),
            render: Some(rendered(6)),
            ..Case::default()
        };
        assert_eq!(in_flight.decide(), Decision::Publish(Cause::Poll));
        let failed = Record {
            generation: Generation(7),
            capabilities: None,
            outcome: Outcome::Failed,
        };
        let failed = Case {
            commit: oid('2'),
            render: Some(failed),
            ..Case::default()
        };
        assert_eq!(failed.decide(), Decision::Publish(Cause::Poll));
    }

    #[test]
    fn a_generation_without_outcome_is_published_again_when_it_is_overdue() {
        let fresh = Case {
            render: None,
            overdue_before: 500,
            ..Case::default()
        };
        assert_eq!(fresh.decide(), Decision::Current);
        let overdue = Case {
            render: None,
            overdue_before: 2_000,
            ..Case::default()
        };
        assert_eq!(overdue.decide(), Decision::Publish(Cause::Again));
        let done = Case {
            overdue_before: 2_000,
            ..Case::default()
        };
        assert_eq!(done.decide(), Decision::Current);
    }

    #[test]
    fn a_hard_refresh_is_published_though_nothing_changed() {
        let case = Case {
            forced: Some(Cause::Refresh),
            ..Case::default()
        };
        assert_eq!(case.decide(), Decision::Publish(Cause::Refresh));
    }
}
