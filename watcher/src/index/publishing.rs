//! Which applications need a new desired state, and that state with a generation of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus::message::desired::{
    Cause, Desired, DesiredState, Present, ResolvedSource, Snapshot, Trigger,
};
use bus::message::need::{Dependency, Need};
use bus::{AppId, ClusterId, Generation, clock};

use super::{App, Concerned, Index, Inner, Target, Wake};
use crate::affected::{Outcome, Place, Record};
use crate::decide::{Begun, Decision, Facts, Given, Published, State, decide};
use crate::intent::{Intent, Wanted};
use crate::packs::Packs;
use crate::slot::{RepoKey, Slot};
use crate::source::Revision;

/// An application that may need a new desired state.
#[derive(Debug)]
pub struct Candidate {
    pub id: AppId,
    pub decision: Decision,
    /// What made the newest of its revisions be looked at.
    pub cause: Cause,
    /// For [`Decision::Compare`]: where the sources were, and what was read of them.
    pub before: Vec<Place>,
    /// Where they were last proven to need nothing new.
    pub proven: Vec<Place>,
    pub record: Option<Record>,
    /// In the order of the specification.
    pub sources: Vec<Held>,
    /// What is rendered of each source.
    pub folders: Vec<Option<Arc<str>>>,
    /// What its render asked for, as far as it is had.
    pub dependencies: Vec<(Need, Held)>,
    /// When the newest of its revisions was noticed and fetched, Unix milliseconds.
    noticed: u64,
    fetched: u64,
    overdue_before: u64,
}

/// A revision that is had.
#[derive(Clone, Debug)]
pub struct Held {
    pub slot: Slot,
    pub revision: Revision,
}

/// What a look at an application says.
enum Look {
    Settled,
    /// One of its sources isn't had, or something else is to happen before.
    Waits,
    /// A generation of it is on its way to the bus.
    Busy,
    Candidate(Box<Candidate>),
}

/// What a repository's applications need.
#[derive(Debug, Default)]
pub struct Candidates {
    pub found: Vec<Candidate>,
    /// Others that can't be looked at now; their workers are woken when they can.
    pub busy: BTreeSet<AppId>,
}

/// What to do about a candidate.
#[derive(Debug)]
pub enum Prepared {
    /// To be published, and then said to have [`Index::ended`].
    Publish(Box<Desired>),
    /// It needs nothing any more.
    Nothing,
    /// It changed meanwhile: it is looked at anew by itself.
    Changed,
}

impl Candidate {
    pub fn places(&self) -> Vec<Place> {
        self.sources.iter().map(Held::place).collect()
    }

    /// Everything that it is made from, sources first.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        let dependencies = self.dependencies.iter().map(|(_, held)| held);
        self.sources.iter().chain(dependencies)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        let of = |held: &Self| (held.slot.key.clone(), Arc::clone(&held.slot.target));
        of(self) == of(other) && self.revision == other.revision
    }
}

impl Held {
    fn place(&self) -> Place {
        Place {
            id: self.revision.id.clone(),
            tree: self.revision.tree,
        }
    }
}

impl Index {
    /// Those of the repository's applications that may need a new desired state.
    pub fn candidates(
        &self,
        key: &RepoKey,
        concerned: &Concerned,
        overdue_before: u64,
    ) -> Candidates {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(repo) = inner.repos.get(key) else {
            return Candidates::default();
        };
        let (mut candidates, mut settled) = (Candidates::default(), Vec::new());
        let apps: Box<dyn Iterator<Item = &AppId>> = match concerned {
            Concerned::All => Box::new(repo.apps.iter()),
            Concerned::Some(apps) => Box::new(apps.intersection(&repo.apps)),
        };
        for id in apps {
            match inner.look(key, id, overdue_before) {
                Look::Candidate(candidate) => candidates.found.push(*candidate),
                Look::Busy => {
                    candidates.busy.insert(id.clone());
                }
                Look::Settled | Look::Waits => settled.push(id.clone()),
            }
        }
        // What couldn't be published is no longer what should be.
        for id in settled {
            if inner
                .apps
                .get_mut(&id)
                .is_some_and(|app| app.problem.take().is_some())
            {
                self.states.push(&id);
            }
        }
        candidates
    }

    /// The newest generation was proven to need nothing new with the sources being there.
    pub fn verified(&self, id: &AppId, generation: Generation, places: Vec<Place>) {
        if let Some(app) = self.lock().apps.get_mut(id) {
            app.verified = Some((generation, places));
        }
    }

    /// The desired state to publish, with a generation of its own: decided and numbered in one moment, so that what was decided
    /// later is always newer. `packs` are those of [`Candidate::held`]; `cause` is why, if its files were compared.
    pub fn prepare(
        &self,
        key: &RepoKey,
        candidate: &Candidate,
        cause: Cause,
        packs: &[Packs],
    ) -> Prepared {
        let mut guard = self.lock();
        let inner = &mut *guard;
        // Another worker may have looked at it meanwhile, with other news.
        let now = match inner.look(key, &candidate.id, candidate.overdue_before) {
            Look::Candidate(now) => now,
            Look::Busy => return Prepared::Changed,
            Look::Settled | Look::Waits => return Prepared::Nothing,
        };
        let same = now.sources == candidate.sources && now.dependencies == candidate.dependencies;
        let cause = match (candidate.decision, now.decision) {
            (Decision::Compare(before), Decision::Compare(now)) if before == now => Some(cause),
            (_, Decision::Publish(cause)) => Some(cause),
            _ => None,
        };
        let Some(cause) = cause.filter(|_| same) else {
            inner.wake(&candidate.id, &Wake::evaluate(&candidate.id));
            return Prepared::Changed;
        };
        match inner.number(&now, cause, packs) {
            Some(desired) => Prepared::Publish(Box::new(desired)),
            None => Prepared::Nothing,
        }
    }

    /// A generation is on the bus, or isn't going to be.
    pub fn ended(&self, id: &AppId, generation: Generation) {
        let mut inner = self.lock();
        if let Some(app) = inner.apps.get_mut(id)
            && app.publishing == Some(generation)
        {
            app.publishing = None;
            inner.wake(id, &Wake::evaluate(id));
        }
    }
}

impl Inner {
    /// Looks at an application for the worker of one of its repositories.
    fn look(&self, key: &RepoKey, id: &AppId, overdue_before: u64) -> Look {
        let Some(app) = self.apps.get(id) else {
            return Look::Settled;
        };
        let Some(Intent::Wanted(wanted)) = &app.intent else {
            return Look::Settled;
        };
        if app.publishing.is_some() || self.waits_for_turn(key, id) {
            return Look::Busy;
        }
        // A hard refresh is published once, with what all hosts said.
        let others =
            |refreshing: &super::Refreshing| refreshing.waits_for.iter().any(|it| it != key);
        if app.forced == Some(Cause::Refresh) && app.refreshing.as_ref().is_some_and(others) {
            return Look::Waits;
        }
        let cluster = &wanted.cluster;
        let published = self.published.get(id).and_then(|it| it.get(cluster));
        let Some(sources) = self.sources(app, published) else {
            return Look::Waits;
        };
        let dependencies = self.dependencies(app, published);
        let record = self.renders.get(id).and_then(|it| it.get(cluster));
        let verified = app
            .verified
            .as_ref()
            .filter(|(generation, _)| published.map(|it| it.generation) == Some(*generation));
        let places: Vec<Place> = sources.iter().map(Held::place).collect();
        let given: Vec<Given> = dependencies
            .iter()
            .map(|(need, held)| Given {
                need: need.clone(),
                place: Some(held.place()),
            })
            .collect();
        let before = published.map_or_else(Vec::new, places_of);
        let proven = verified.map_or(&before, |(_, places)| places).clone();
        let held = sources
            .iter()
            .chain(dependencies.iter().map(|(_, held)| held));
        // Of those that are where they were before, none made us look.
        let newest = held
            .filter(|held| !is_in(published, held))
            .filter_map(|held| self.target(&held.slot))
            .max_by_key(|target| target.fetched);
        let cause = newest.map_or(Cause::Poll, |target| target.cause);
        let facts = Facts {
            content: &wanted.content,
            rendering: &wanted.rendering,
            sources: &places,
            dependencies: &given,
            published,
            render: record,
            capabilities: self.clusters.get(cluster),
            verified: verified.map(|(_, places)| &**places),
            forced: app.forced,
            rounds: app.rounds,
            overdue_before,
        };
        let decision = decide(facts, cause);
        if decision == Decision::Current {
            return Look::Settled;
        }
        Look::Candidate(Box::new(Candidate {
            id: id.clone(),
            decision,
            cause,
            before,
            proven,
            record: record.cloned(),
            noticed: newest.map_or(0, |target| target.noticed),
            fetched: newest.map_or(0, |target| target.fetched),
            folders: app.sources().map(|it| it.folder.clone()).collect(),
            sources,
            dependencies,
            overdue_before,
        }))
    }

    fn target(&self, slot: &Slot) -> Option<&Target> {
        self.repos.get(&slot.key)?.targets.get(&slot.target)
    }

    /// The sources at their revisions; none as long as one of them isn't had.
    fn sources(&self, app: &App, published: Option<&Published>) -> Option<Vec<Held>> {
        let mut found = Vec::new();
        for (number, source) in app.sources().enumerate() {
            let revision = self.revision(&source.slot, || {
                let Some(State::Present { sources, .. }) = published.map(|it| &it.state) else {
                    return None;
                };
                let known = sources.get(number)?;
                let chart = app.seen.spec.sources().get(number)?.chart();
                let same = *known.repo_url == *source.repo_url
                    && known.chart.as_deref() == chart
                    && *known.target == *source.slot.target;
                let place = known.place.clone().filter(|_| same)?;
                Some((place, known.about.clone()))
            })?;
            found.push(Held {
                slot: source.slot.clone(),
                revision,
            });
        }
        (!found.is_empty()).then_some(found)
    }

    /// What its render asked for, as far as it is had.
    fn dependencies(&self, app: &App, published: Option<&Published>) -> Vec<(Need, Held)> {
        let held = app.needs.iter().filter_map(|needed| {
            let slot = needed.slot.as_ref().ok()?;
            let revision = self.revision(slot, || {
                let Some(State::Present { dependencies, .. }) = published.map(|it| &it.state)
                else {
                    return None;
                };
                let known = dependencies.iter().find(|it| it.need == needed.need)?;
                Some((known.place.clone()?, None))
            })?;
            let held = Held {
                slot: slot.clone(),
                revision,
            };
            Some((needed.need.clone(), held))
        });
        held.collect()
    }

    /// What a slot is at. While its host can't be asked since this process began, that is where it was published.
    fn revision(
        &self,
        slot: &Slot,
        published: impl FnOnce() -> Option<(Place, Option<bus::message::desired::Commit>)>,
    ) -> Option<Revision> {
        let target = self.target(slot)?;
        if target.revision.is_some() {
            return target.revision.clone();
        }
        if target.error.as_ref()?.is_verdict() {
            return None;
        }
        let (Place { id, tree }, about) = published()?;
        Some(Revision { id, tree, about })
    }

    /// Numbers what was decided.
    fn number(&mut self, candidate: &Candidate, cause: Cause, packs: &[Packs]) -> Option<Desired> {
        let app = self.apps.get_mut(&candidate.id)?;
        let Some(Intent::Wanted(wanted)) = &app.intent else {
            return None;
        };
        let cluster = wanted.cluster.clone();
        if self
            .purging
            .contains(&(candidate.id.clone(), cluster.clone()))
        {
            return None;
        }
        let now = clock::now_ms();
        let published = self
            .published
            .get(&candidate.id)
            .and_then(|it| it.get(&cluster));
        let asked = cause == Cause::Dependency
            && candidate
                .record
                .as_ref()
                .is_some_and(|record| record.outcome == Outcome::Incomplete);
        // What a render waited for goes on with what the generation before began.
        let begun = match published.map(|it| &it.state) {
            Some(State::Present { begun, .. }) if asked => *begun,
            _ => Begun::default(),
        };
        app.rounds = if asked { app.rounds + 1 } else { 0 };
        let hard = app.forced.take() == Some(Cause::Refresh) || begun.hard;
        let noticed = match cause {
            Cause::Dependency if asked => begun.noticed,
            Cause::Application => app.noticed,
            Cause::Again => now,
            Cause::Refresh if hard => app.refreshing.as_ref().map_or(now, |it| it.since),
            Cause::Webhook | Cause::Poll | Cause::Refresh | Cause::Dependency => {
                Some(candidate.noticed)
                    .filter(|noticed| *noticed > 0)
                    .unwrap_or(now)
            }
        };
        let trigger = Trigger {
            cause,
            hard,
            noticed,
            fetched: candidate.fetched.max(noticed),
            published: now,
        };
        let held = self.heads.get(&candidate.id);
        let bereft = app.bereft.take_if(|lost| *lost == cluster).is_some();
        // A cluster that never lost it knows better than a status.
        let inherited = if bereft || held.is_none_or(|held| !held.contains_key(&cluster)) {
            app.had.paths()
        } else {
            Vec::new()
        };
        let state = Present {
            had: inherited,
            ..present(&app.seen, wanted, candidate, packs, trigger)
        };
        let generation = self.reserve(&candidate.id, &cluster, now);
        self.apps.get_mut(&candidate.id)?.publishing = Some(generation);
        Some(Desired {
            app: candidate.id.clone(),
            cluster,
            generation,
            state: DesiredState::Present(Arc::new(state)),
        })
    }

    /// A generation above all that was ever given out, published or held.
    pub(super) fn reserve(&mut self, id: &AppId, cluster: &ClusterId, now: u64) -> Generation {
        let last = self
            .published
            .get(id)
            .and_then(|it| it.get(cluster))
            .map(|it| it.generation)
            .max(self.reserved.get(id).copied());
        let head = self.heads.get(id).and_then(|it| it.get(cluster)).copied();
        let generation = Generation::next(last, head, now);
        self.reserved.insert(id.clone(), generation);
        generation
    }
}

/// Where the sources were published; empty when that can't be read of all.
fn places_of(published: &Published) -> Vec<Place> {
    let State::Present { sources, .. } = &published.state else {
        return Vec::new();
    };
    let places: Option<Vec<Place>> = sources.iter().map(|source| source.place.clone()).collect();
    places.unwrap_or_default()
}

/// Whether something was published where it is now.
fn is_in(published: Option<&Published>, held: &Held) -> bool {
    let Some(State::Present {
        sources,
        dependencies,
        ..
    }) = published.map(|it| &it.state)
    else {
        return false;
    };
    let place = held.place();
    let mut places = sources
        .iter()
        .map(|source| &source.place)
        .chain(dependencies.iter().map(|given| &given.place));
    places.any(|known| known.as_ref() == Some(&place))
}

fn present(
    seen: &crate::seen::Seen,
    wanted: &Wanted,
    candidate: &Candidate,
    packs: &[Packs],
    trigger: Trigger,
) -> Present {
    let (of_sources, of_dependencies) = packs.split_at(candidate.sources.len().min(packs.len()));
    let snapshot = |packs: &Packs| Snapshot {
        packs: packs.to_vec(),
    };
    let sources = wanted.sources.iter().zip(&candidate.sources);
    let dependencies = candidate.dependencies.iter().zip(of_dependencies);
    Present {
        uid: seen.uid.to_string(),
        spec: (*seen.spec).clone(),
        annotations: seen.annotations.clone(),
        server: wanted.server.clone(),
        cluster_name: wanted.cluster_name.clone(),
        sources: sources
            .zip(of_sources)
            .map(|((source, held), packs)| ResolvedSource {
                repo_url: source.repo_url.to_string(),
                target_revision: held.slot.target.to_string(),
                revision: held.revision.id.to_string(),
                tree: held.revision.tree.to_string(),
                snapshot: snapshot(packs),
                commit: held.revision.about.clone(),
            })
            .collect(),
        dependencies: dependencies
            .map(|((need, held), packs)| Dependency {
                need: need.clone(),
                revision: held.revision.id.to_string(),
                tree: held.revision.tree.to_string(),
                snapshot: snapshot(packs),
            })
            .collect(),
        rendering: wanted.rendering.clone(),
        tracking: wanted.tracking.clone(),
        assess_applications: wanted.assess_applications,
        had: Vec::new(),
        trigger,
    }
}
