//! What to delete of one application: what its object is against what was published. Pure.

use std::collections::BTreeMap;

use bus::ClusterId;
use bus::message::desired::{Cascade, Deleted};

use crate::decide::{Published, State};

/// What the object is, for deletions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life<'a> {
    /// It is there, and wanted in this cluster (or nobody knows where).
    Live {
        uid: &'a str,
        cluster: Option<&'a ClusterId>,
    },
    /// Somebody deleted it; its finalizer says what goes with it.
    Deleting {
        deleted: Option<&'a Deleted>,
        cluster: Option<&'a ClusterId>,
    },
    /// The API server says that there is no such object.
    Gone,
}

/// The deletions to publish, given the newest desired state in each cluster. Nothing here follows from something being
/// unknown: only from a deletion that was asked for, a destination that changed, or an object that is proven gone.
pub fn deletions(
    life: Life<'_>,
    published: &BTreeMap<ClusterId, Published>,
) -> Vec<(ClusterId, Deleted)> {
    let present = published
        .iter()
        .filter(|(_, published)| matches!(published.state, State::Present { .. }));
    match life {
        Life::Live {
            uid,
            cluster: Some(cluster),
        } => present
            .filter(|(other, _)| *other != cluster)
            .map(|(other, published)| {
                // Another object's, of the same name: that one is gone, and nobody asked for its objects to go.
                let ours = *published.uid == *uid;
                let cascade = if ours {
                    Cascade::Foreground
                } else {
                    Cascade::None
                };
                (other.clone(), Deleted::new(&published.uid, cascade))
            })
            .collect(),
        Life::Deleting {
            deleted: Some(deleted),
            cluster,
        } => {
            let ours = |published: &Published| *published.uid == *deleted.uid;
            let mut all: Vec<_> = published
                .iter()
                .filter(|(_, published)| ours(published) && is_news(published, deleted))
                .map(|(cluster, _)| (cluster.clone(), deleted.clone()))
                .collect();
            // Never published, or the broker forgot: the applier looks for itself what there is.
            let said = |published: &Published| {
                ours(published) && matches!(published.state, State::Deleted(_))
            };
            if all.is_empty()
                && let Some(cluster) = cluster
                && !published.values().any(said)
            {
                all.push((cluster.clone(), deleted.clone()));
            }
            all
        }
        // Nobody knows where it belongs; or there is no resources finalizer, and it will be gone by itself.
        Life::Live { cluster: None, .. } | Life::Deleting { deleted: None, .. } => Vec::new(),
        Life::Gone => present
            .map(|(cluster, published)| {
                (cluster.clone(), Deleted::new(&published.uid, Cascade::None))
            })
            .collect(),
    }
}

/// Whether a deletion is to be published where this was: the first time, and when something else is said of it than was, such as
/// that somebody approves it. Where the application had left before, nothing changes.
fn is_news(published: &Published, deleted: &Deleted) -> bool {
    match &published.state {
        State::Present { .. } => true,
        State::Deleted(said) => said.requested.is_some() && said != deleted,
    }
}

#[cfg(test)]
mod tests {
    use bus::{Digest, Generation};

    use super::*;
    use crate::decide::Begun;

    fn published(uid: &str) -> Published {
        Published {
            generation: Generation(7),
            uid: uid.into(),
            at: 1_000,
            state: State::Present {
                content: Digest::of(b"same"),
                rendering: Box::default(),
                sources: Box::default(),
                dependencies: Box::default(),
                begun: Begun::default(),
            },
        }
    }

    fn clusters(names: &[&str]) -> BTreeMap<ClusterId, Published> {
        names
            .iter()
            .map(|name| (ClusterId::new(name).unwrap(), published("u")))
            .collect()
    }

    fn asked(uid: &str, cascade: Cascade) -> Deleted {
        Deleted {
            requested: Some(1),
            ..Deleted::new(uid, cascade)
        }
    }

    fn names(deletions: &[(ClusterId, Deleted)]) -> Vec<(&str, Cascade)> {
        deletions
            .iter()
            .map(|(cluster, deleted)| (cluster.as_str(), deleted.cascade))
            .collect()
    }

    #[test]
    fn a_live_application_is_deleted_only_where_it_no_longer_belongs() {
        let b = ClusterId::new("b").unwrap();
        let life = Life::Live {
            uid: "u",
            cluster: Some(&b),
        };
        let found = deletions(life, &clusters(&["a", "b"]));
        assert_eq!(names(&found), [("a", Cascade::Foreground)]);
    }

    #[test]
    fn a_destination_that_nobody_knows_deletes_nothing() {
        let life = Life::Live {
            uid: "u",
            cluster: None,
        };
        assert_eq!(deletions(life, &clusters(&["a"])), []);
    }

    #[test]
    fn another_objects_state_is_not_this_ones_to_cascade() {
        let b = ClusterId::new("b").unwrap();
        let life = Life::Live {
            uid: "new",
            cluster: Some(&b),
        };
        assert_eq!(
            names(&deletions(life, &clusters(&["a"]))),
            [("a", Cascade::None)]
        );
        let new = asked("new", Cascade::Foreground);
        let life = Life::Deleting {
            deleted: Some(&new),
            cluster: None,
        };
        assert_eq!(deletions(life, &clusters(&["a"])), []);
    }

    #[test]
    fn a_deletion_cascades_as_its_finalizer_says_and_once() {
        let a = ClusterId::new("a").unwrap();
        let deleted = asked("u", Cascade::Background);
        let life = Life::Deleting {
            deleted: Some(&deleted),
            cluster: Some(&a),
        };
        assert_eq!(
            names(&deletions(life, &clusters(&["a"]))),
            [("a", Cascade::Background)]
        );
        assert_eq!(
            names(&deletions(life, &BTreeMap::new())),
            [("a", Cascade::Background)]
        );
        let mut done = clusters(&["a"]);
        for published in done.values_mut() {
            published.state = State::Deleted(deleted.clone());
        }
        assert_eq!(deletions(life, &done), []);
    }

    #[test]
    fn a_word_given_later_is_passed_on_but_not_to_where_it_had_left() {
        let deleted = asked("u", Cascade::Background);
        let mut done = clusters(&["a", "left"]);
        for (cluster, published) in &mut done {
            let left = Deleted::new("u", Cascade::Foreground);
            published.state = State::Deleted(match cluster.as_str() {
                "left" => left,
                _ => deleted.clone(),
            });
        }
        let approved = Deleted {
            approved: Some("2026-01-02T03:04:05Z".to_owned()),
            ..deleted
        };
        let life = Life::Deleting {
            deleted: Some(&approved),
            cluster: None,
        };
        let found = deletions(life, &done);
        assert_eq!(found, [(ClusterId::new("a").unwrap(), approved.clone())]);
    }

    #[test]
    fn without_the_finalizer_nothing_goes_along() {
        let life = Life::Deleting {
            deleted: None,
            cluster: None,
        };
        assert_eq!(deletions(life, &clusters(&["a"])), []);
        assert_eq!(
            names(&deletions(Life::Gone, &clusters(&["a"]))),
            [("a", Cascade::None)]
        );
    }
}
