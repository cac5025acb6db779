//! Which applications are released after which others, and how those are.

use std::collections::BTreeSet;

use api::annotations::DEPENDS_ON;
use bus::message::condition::ConditionType;
use bus::message::predecessors::{Predecessor, Predecessors};
use bus::{AppId, ClusterId, Generation};

use super::{Index, Inner};
use crate::decide::State;
use crate::intent::{Intent, Problem};
use crate::order::Standing;
use crate::slot::RepoKey;

impl Index {
    /// What an application's annotation says now that the application is what it is.
    pub(super) fn take_order(&self, inner: &mut Inner, id: &AppId) {
        let annotation = inner
            .apps
            .get(id)
            .and_then(|app| app.seen.annotations.get(DEPENDS_ON));
        if !inner.order.set(id, annotation.map(String::as_str)) && inner.order.is_empty() {
            return;
        }
        // Also others may be, or no longer be, in a circle, or wait for what isn't there.
        for follower in inner.order.followers() {
            self.states.push(follower);
        }
        self.order_changed.notify_one();
    }

    /// What is to be said of each application that waits for others.
    pub fn predecessors(&self) -> Vec<Predecessors> {
        let inner = self.lock();
        let followers = inner.order.followers();
        followers.filter_map(|id| inner.predecessors(id)).collect()
    }

    /// The applications that others wait for, with the cluster that they are in.
    pub fn awaited(&self) -> BTreeSet<(AppId, ClusterId)> {
        let inner = self.lock();
        let named = inner
            .order
            .followers()
            .flat_map(|id| inner.order.waits_for(id));
        named
            .filter_map(|id| Some((id.clone(), inner.wanted_cluster(id)?.clone())))
            .collect()
    }

    /// How an application is that others wait for; none when its applier says nothing of it.
    pub fn stands(&self, at: &(AppId, ClusterId), standing: Option<Standing>) {
        let mut inner = self.lock();
        if inner.standings.get(at) == standing.as_ref() {
            return;
        }
        match standing {
            Some(standing) => drop(inner.standings.insert(at.clone(), standing)),
            None => drop(inner.standings.remove(at)),
        }
        self.order_changed.notify_one();
    }

    /// See [`crate::order::Order::turns`].
    pub fn turns<T>(&self, all: Vec<T>, id: impl Fn(&T) -> &AppId) -> Vec<Vec<T>> {
        self.lock().order.turns(all, id)
    }
}

impl Inner {
    /// Why an application's releases wait for what can't come.
    pub(super) fn order_problem(&self, id: &AppId) -> Option<Problem> {
        let said = self.order.problem(id).or_else(|| {
            let missing = self
                .order
                .waits_for(id)
                .iter()
                .find(|named| !self.apps.contains_key(*named))?;
            Some(format!(
                "annotation {DEPENDS_ON} names {missing}, and there is no such Application here: releases wait until there is"
            ))
        })?;
        Some((ConditionType::DependencyError, said))
    }

    /// Whether a generation of what an application waits for is just on its way to the bus, from the same repository: what
    /// a commit changes of both comes in this order.
    pub(super) fn waits_for_turn(&self, key: &RepoKey, id: &AppId) -> bool {
        self.order.waits_for(id).iter().any(|named| {
            self.apps
                .get(named)
                .is_some_and(|app| app.publishing.is_some() && app.repos.contains(key))
        })
    }

    fn predecessors(&self, id: &AppId) -> Option<Predecessors> {
        let cluster = self.wanted_cluster(id)?;
        Some(Predecessors {
            app: id.clone(),
            cluster: cluster.clone(),
            generation: self.newest(id, cluster)?,
            problem: self.order.problem(id),
            on: self
                .order
                .waits_for(id)
                .iter()
                .map(|named| self.predecessor(named))
                .collect(),
        })
    }

    fn predecessor(&self, id: &AppId) -> Predecessor {
        let not = |says: &str| Predecessor {
            app: id.clone(),
            desired: None,
            healthy: None,
            says: says.to_owned(),
        };
        let Some(app) = self.apps.get(id) else {
            return not("does not exist");
        };
        let cluster = match &app.intent {
            Some(Intent::Wanted(wanted)) => &wanted.cluster,
            Some(Intent::Deleting) => return not("is being deleted"),
            Some(Intent::Invalid(_)) => {
                return not("has a specification that can't be carried out");
            }
            Some(Intent::Skipped) => return not("is left alone by its own word"),
            None => return not("is not known yet"),
        };
        let published = self.newest(id, cluster);
        let Some(desired) = published.max(app.publishing) else {
            return not("is not published yet");
        };
        let standing = self.standings.get(&(id.clone(), cluster.clone()));
        Predecessor {
            desired: Some(desired),
            healthy: standing.and_then(|standing| standing.healthy),
            ..not(standing.map_or("is not known to its cluster yet", |standing| standing.says))
        }
    }

    /// The newest generation that is on the bus.
    fn newest(&self, id: &AppId, cluster: &ClusterId) -> Option<Generation> {
        let published = self.published.get(id)?.get(cluster)?;
        matches!(published.state, State::Present { .. }).then_some(published.generation)
    }
}
