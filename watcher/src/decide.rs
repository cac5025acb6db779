//! What to publish for one application: what is wanted against what was published. Pure.

use bus::message::desired::{Cause, Commit, Deleted, Desired, DesiredState, Rendering};
use bus::message::need::Need;
use bus::{Digest, Generation};
use git2::Oid;

use crate::affected::{Outcome, Place, Record};
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
        /// Digest of all but the files and the settings, see [`crate::seen::content`].
        content: Digest,
        rendering: Box<Rendering>,
        sources: Box<[PublishedSource]>,
        dependencies: Box<[Given]>,
        begun: Begun,
    },
    Deleted(Deleted),
}

/// A source, as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedSource {
    pub repo_url: Box<str>,
    pub chart: Option<Box<str>>,
    pub target: Box<str>,
    /// None when it can't be read.
    pub place: Option<Place>,
    pub about: Option<Commit>,
}

/// What a render asked for beside its sources, and where that is; none when it isn't had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub need: Need,
    pub place: Option<Place>,
}

/// How the way of a generation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Unix milliseconds.
    pub noticed: u64,
    pub hard: bool,
}

impl State {
    /// Of everything that it is made from.
    pub fn trees(&self) -> impl Iterator<Item = Oid> {
        let (sources, dependencies) = match self {
            Self::Present {
                sources,
                dependencies,
                ..
            } => (&**sources, &**dependencies),
            Self::Deleted(_) => (&[][..], &[][..]),
        };
        let sources = sources.iter().map(|it| it.place.as_ref());
        let dependencies = dependencies.iter().map(|it| it.place.as_ref());
        sources
            .chain(dependencies)
            .flatten()
            .map(|place| place.tree)
    }
}

impl From<&Desired> for Published {
    fn from(desired: &Desired) -> Self {
        let (uid, at, state) = match &desired.state {
            DesiredState::Present(present) => {
                let specified = present.spec.sources();
                let sources = present.sources.iter().enumerate();
                let state = State::Present {
                    content: content(
                        &present.uid,
                        &present.spec,
                        &present.annotations,
                        &(
                            &present.tracking,
                            present.assess_applications,
                            &present.server,
                            &present.cluster_name,
                        ),
                    ),
                    rendering: Box::new(present.rendering.clone()),
                    sources: sources
                        .map(|(number, source)| PublishedSource {
                            repo_url: source.repo_url.as_str().into(),
                            chart: specified
                                .get(number)
                                .and_then(|it| it.chart().map(Into::into)),
                            target: source.target_revision.as_str().into(),
                            place: place(&source.revision, &source.tree),
                            about: source.commit.clone(),
                        })
                        .collect(),
                    dependencies: present
                        .dependencies
                        .iter()
                        .map(|dependency| Given {
                            need: dependency.need.clone(),
                            place: place(&dependency.revision, &dependency.tree),
                        })
                        .collect(),
                    begun: Begun {
                        noticed: present.trigger.noticed,
                        hard: present.trigger.hard,
                    },
                };
                (present.uid.as_str(), present.trigger.published, state)
            }
            DesiredState::Deleted(deleted) => {
                (deleted.uid.as_str(), 0, State::Deleted(deleted.clone()))
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

fn place(id: &str, tree: &str) -> Option<Place> {
    Some(Place {
        id: id.into(),
        tree: Oid::from_str(tree).ok()?,
    })
}

/// What is known of an application that is wanted in a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Digest of all but the files and the settings.
    pub content: &'a Digest,
    pub rendering: &'a Rendering,
    /// Where its sources are now.
    pub sources: &'a [Place],
    /// Where what it needs beside them is now.
    pub dependencies: &'a [Given],
    pub published: Option<&'a Published>,
    pub render: Option<&'a Record>,
    /// What the cluster offers to renders, when that is known.
    pub capabilities: Option<&'a Digest>,
    /// Up to where the newest generation was proven to need nothing new.
    pub verified: Option<&'a [Place]>,
    /// A hard refresh, or a part of the newest generation that was lost or refused.
    pub forced: Option<Cause>,
    /// How often in a row a render asked for more after it was given what it had asked for.
    pub rounds: usize,
    /// The newest generation should have had an outcome by now, if it was published before this (Unix milliseconds).
    pub overdue_before: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing new is needed.
    Current,
    /// The files decide: see [`crate::affected`].
    Compare(Generation),
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
        state:
            State::Present {
                content,
                rendering,
                sources,
                dependencies,
                ..
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
    let record = facts
        .render
        .filter(|record| record.generation == *generation);
    if let (Some(record), Some(offered)) = (record, facts.capabilities)
        && record.is_outdated_by(offered)
    {
        return Decision::Publish(Cause::Application);
    }
    let changed_by_settings = record.map_or(**rendering != *facts.rendering, |record| {
        record.is_changed_by(rendering, facts.rendering)
    });
    if changed_by_settings {
        return Decision::Publish(Cause::Application);
    }
    let places = || sources.iter().map(|source| source.place.as_ref());
    let stayed = places().eq(facts.sources.iter().map(Some))
        || facts.verified.is_some_and(|known| known == facts.sources);
    let proof = record.is_some_and(|it| matches!(it.outcome, Outcome::Rendered(Some(_))));
    let comparable = proof && places().all(|place| place.is_some());
    if !stayed && !comparable {
        return Decision::Publish(cause);
    }
    if record.is_some_and(|record| brings_more(record, dependencies, facts)) {
        return Decision::Publish(Cause::Dependency);
    }
    if stayed {
        Decision::Current
    } else {
        Decision::Compare(*generation)
    }
}

/// Whether what a render asked for is another now than it was given, so that it is worth rendering again.
fn brings_more(record: &Record, given: &[Given], facts: Facts<'_>) -> bool {
    let now = |need: &Need| tree_of(facts.dependencies, need);
    let has_news = record.needs.iter().any(|need| {
        let now = now(need);
        now.is_some() && now != tree_of(given, need)
    });
    match record.outcome {
        Outcome::Rendered(_) | Outcome::Failed => has_news,
        // Not before all is there: it would only ask again.
        Outcome::Incomplete => {
            has_news
                && facts.rounds < Need::MAX_ROUNDS
                && record.needs.iter().all(|need| now(need).is_some())
        }
    }
}

/// What is wrong when a render waits for what can't come, though nothing failed to be fetched.
pub fn waits_in_vain(
    published: Option<&Published>,
    render: Option<&Record>,
    rounds: usize,
) -> Option<&'static str> {
    let (
        Some(Published {
            generation,
            state: State::Present { dependencies, .. },
            ..
        }),
        Some(record),
    ) = (published, render)
    else {
        return None;
    };
    if record.generation != *generation || record.outcome != Outcome::Incomplete {
        return None;
    }
    if record
        .needs
        .iter()
        .all(|need| tree_of(dependencies, need).is_some())
    {
        return Some(
            "the render was given all that it asked for beside its sources, and still waits. This is a fault of Towline: please \
             report it; a hard refresh tries again",
        );
    }
    (rounds >= Need::MAX_ROUNDS).then_some(
        "what the render asked for beside its sources asks for more, again and again. Look for a base or chart that refers to \
         itself",
    )
}

fn tree_of(given: &[Given], need: &Need) -> Option<Oid> {
    let given = given.iter().find(|given| given.need == *need)?;
    given.place.as_ref().map(|place| place.tree)
}

#[cfg(test)]
mod tests;
