//! What the bus says: published desired states, renders, heads, clusters.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bus::message::cluster::{ClusterInfo, Head};
use bus::message::desired::{Cause, Deleted, Desired, DesiredState};
use bus::message::render::Render;
use bus::{AppId, ClusterId, Generation, clock};
use git2::Oid;

use super::{Index, Inner, Part, Wake};
use crate::affected::{Outcome, Record};
use crate::decide::{Published, State};
use crate::intent::{Intent, Problem};
use crate::packs::Packs;
use crate::slot::RepoKey;

impl Index {
    /// A desired state that is on the bus: read from there, or just published.
    pub fn desired(&self, desired: &Desired) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let published = Published::from(desired);
        let clusters = inner.published.entry(desired.app.clone()).or_default();
        if clusters
            .get(&desired.cluster)
            .is_some_and(|known| known.generation >= published.generation)
        {
            return;
        }
        clusters.insert(desired.cluster.clone(), published);
        if let Some(owed) = inner.owed.get_mut(&desired.app) {
            owed.remove(&desired.cluster);
        }
        let elsewhere = clusters.len() > 1 || matches!(desired.state, DesiredState::Deleted(_));
        if let Some(app) = inner.apps.get_mut(&desired.app)
            && app.publishing == Some(desired.generation)
        {
            app.publishing = None;
        }
        self.states.push(&desired.app);
        if !inner.missing().is_empty() {
            inner.adopt(desired);
            // The leader's answer to what was lost.
            if let Some(app) = inner.apps.get_mut(&desired.app) {
                app.forced = app.forced.filter(|cause| *cause != Cause::Again);
            }
            return;
        }
        // Another watcher's, perhaps: whether it is what we want is for the worker to say.
        inner.wake(&desired.app, &Wake::evaluate(&desired.app));
        if elsewhere {
            self.lifecycle.push(&desired.app);
        }
    }

    /// An applier reports that a deletion was carried out.
    pub fn deletion_reported(
        &self,
        id: &AppId,
        cluster: &ClusterId,
        uid: &str,
        generation: Generation,
    ) {
        let at = (id.clone(), cluster.clone());
        let mut inner = self.lock();
        let known = inner.published.get(id).and_then(|it| it.get(cluster));
        // Reports are kept only of what is on the bus, or will be when it was read.
        if known.is_some() || !inner.started.contains(&Part::Desired) {
            inner.carried_out.insert(at, (uid.to_owned(), generation));
        }
        self.lifecycle.push(id);
    }

    /// Whether a report says that this deletion was carried out. An earlier one of the same object doesn't count.
    pub fn is_reported(
        &self,
        id: &AppId,
        cluster: &ClusterId,
        uid: &str,
        generation: Generation,
    ) -> bool {
        self.lock()
            .carried_out
            .get(&(id.clone(), cluster.clone()))
            .is_some_and(|(reported, done)| reported == uid && *done >= generation)
    }

    /// Begins to purge a deletion that was carried out: until [`Self::purged`] nothing is published there. False when it is no
    /// longer the newest, or something newer is on its way.
    pub fn begin_purge(&self, id: &AppId, cluster: &ClusterId, generation: Generation) -> bool {
        let mut inner = self.lock();
        let newest = inner.published.get(id).and_then(|it| it.get(cluster));
        let still = newest
            .is_some_and(|it| it.generation == generation && matches!(it.state, State::Deleted(_)));
        let quiet = inner
            .reserved
            .get(id)
            .is_none_or(|reserved| *reserved <= generation);
        still && quiet && inner.purging.insert((id.clone(), cluster.clone()))
    }

    /// The purge failed: the deletion is still there.
    pub fn not_purged(&self, id: &AppId, cluster: &ClusterId) {
        let mut inner = self.lock();
        inner.purging.remove(&(id.clone(), cluster.clone()));
        inner.wake(id, &Wake::evaluate(id));
    }

    /// A subject was purged.
    pub fn purged(&self, id: &AppId, cluster: &ClusterId) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let at = (id.clone(), cluster.clone());
        inner.purging.remove(&at);
        inner.carried_out.remove(&at);
        if let Some(app) = inner.apps.get_mut(id).filter(|app| app.seen.deleting) {
            app.farewells.insert(cluster.clone());
        }
        if let Some(clusters) = inner.published.get_mut(id) {
            clusters.remove(cluster);
            if clusters.is_empty() {
                inner.published.remove(id);
            }
        }
        if !inner.apps.contains_key(id) && !inner.published.contains_key(id) {
            inner.renders.remove(id);
            inner.heads.remove(id);
        }
        self.states.push(id);
        inner.wake(id, &Wake::evaluate(id));
    }

    /// The deletions that are on the bus, with their generation: they are purged once carried out.
    pub fn deleted(&self, id: &AppId) -> Vec<(ClusterId, String, Generation)> {
        self.lock()
            .published
            .get(id)
            .into_iter()
            .flatten()
            .filter(|(_, published)| matches!(published.state, State::Deleted(_)))
            .map(|(cluster, it)| (cluster.clone(), it.uid.to_string(), it.generation))
            .collect()
    }

    /// What another watcher removed from the bus while this one followed.
    pub fn forget(&self, id: &AppId, cluster: &ClusterId) {
        let mut inner = self.lock();
        inner.carried_out.remove(&(id.clone(), cluster.clone()));
        let Some(clusters) = inner.published.get_mut(id) else {
            return;
        };
        let last = clusters.remove(cluster).map(|it| it.generation);
        if clusters.is_empty() {
            inner.published.remove(id);
        }
        // Whatever comes next is newer.
        if let Some(last) = last {
            let reserved = inner.reserved.entry(id.clone()).or_default();
            *reserved = (*reserved).max(last);
        }
    }

    /// The deletions that are on the bus.
    pub fn all_deleted(&self) -> Vec<(AppId, ClusterId)> {
        let inner = self.lock();
        let all = inner.published.iter().flat_map(|(id, clusters)| {
            let deleted = clusters
                .iter()
                .filter(|(_, it)| matches!(it.state, State::Deleted(_)));
            deleted.map(|(cluster, _)| (id.clone(), cluster.clone()))
        });
        all.collect()
    }

    /// All that was published, to be compared with what a broker has that may have lost it.
    pub fn all_published(&self) -> Vec<(AppId, ClusterId, Generation)> {
        let inner = self.lock();
        inner
            .published
            .iter()
            .flat_map(|(id, clusters)| {
                clusters
                    .iter()
                    .map(|(cluster, it)| (id.clone(), cluster.clone(), it.generation))
            })
            .collect()
    }

    /// The snapshots that were on the bus when the watcher started, for one repository.
    pub fn adopted(&self, key: &RepoKey) -> Vec<(Arc<str>, Oid, Packs)> {
        let inner = self.lock();
        let mut found = BTreeMap::new();
        for id in inner.repos.get(key).iter().flat_map(|repo| &repo.apps) {
            let Some(app) = inner.apps.get(id) else {
                continue;
            };
            let published = inner
                .wanted_cluster(id)
                .and_then(|cluster| inner.published.get(id)?.get(cluster));
            let Some(State::Present {
                sources,
                dependencies,
                ..
            }) = published.map(|it| &it.state)
            else {
                continue;
            };
            let sources = app.sources().zip(sources);
            let sources =
                sources.map(|(source, published)| (&source.slot, published.place.as_ref()));
            let needs = app.needs.iter().filter_map(|needed| {
                let given = dependencies.iter().find(|it| it.need == needed.need)?;
                Some((needed.slot.as_ref().ok()?, given.place.as_ref()))
            });
            for (slot, place) in sources.chain(needs) {
                if let Some(place) = place.filter(|_| slot.key == *key)
                    && let Some(packs) = inner.adopted.get(&place.tree)
                {
                    let known = (Arc::clone(&slot.target), place.tree);
                    found.insert(known, Arc::clone(packs));
                }
            }
        }
        found
            .into_iter()
            .map(|((target, tree), packs)| (target, tree, packs))
            .collect()
    }

    pub fn render(&self, render: &Render) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let record = Record::from(render);
        let offered = inner.clusters.get(&render.cluster);
        let outdated = offered.is_some_and(|offered| record.is_outdated_by(offered));
        let waits = record.outcome == Outcome::Incomplete;
        let clusters = inner.renders.entry(render.app.clone()).or_default();
        if clusters
            .get(&render.cluster)
            .is_some_and(|known| known.generation > record.generation)
        {
            return;
        }
        clusters.insert(render.cluster.clone(), record);
        // Before everything was read, every application is still to be judged.
        if !inner.missing().is_empty() {
            return;
        }
        if inner.find_needs(&render.app, self.fixed.bounds()) {
            self.attach_needs(inner, &render.app);
            self.states.push(&render.app);
        }
        if waits || outdated {
            inner.wake(&render.app, &Wake::evaluate(&render.app));
            self.states.push(&render.app);
        }
    }

    pub fn head(&self, head: &Head) {
        let mut inner = self.lock();
        let clusters = inner.heads.entry(head.app.clone()).or_default();
        let known = clusters.entry(head.cluster.clone()).or_default();
        *known = (*known).max(head.generation);
    }

    /// A cluster holds nothing of an application any more. If it should, it is told again, with what the application had there.
    pub fn head_lost(&self, id: &AppId, cluster: &ClusterId) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if let Some(clusters) = inner.heads.get_mut(id) {
            clusters.remove(cluster);
        }
        let published = inner.published.get(id).and_then(|it| it.get(cluster));
        let Some(app) = inner.apps.get_mut(id) else {
            return;
        };
        let wanted =
            matches!(&app.intent, Some(Intent::Wanted(wanted)) if wanted.cluster == *cluster);
        let present = published.is_some_and(|it| matches!(it.state, State::Present { .. }));
        if wanted && present && !app.had.is_empty() {
            app.bereft = Some(cluster.clone());
            app.forced = app.forced.or(Some(Cause::Again));
            inner.wake(id, &Wake::evaluate(id));
        }
    }

    /// What a cluster offers. Renders that used something else are made again, also when it changed while nobody looked.
    pub fn cluster(&self, info: &ClusterInfo) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let offered = info.digest();
        let before = inner.clusters.insert(info.cluster.clone(), offered.clone());
        if before.as_ref() == Some(&offered) {
            return;
        }
        let outdated = inner.renders.iter().filter(|(_, clusters)| {
            clusters
                .get(&info.cluster)
                .is_some_and(|record| record.is_outdated_by(&offered))
        });
        let concerned: Vec<AppId> = outdated.map(|(id, _)| id.clone()).collect();
        for id in concerned {
            if let Some(app) = inner.apps.get_mut(&id) {
                app.noticed = clock::now_ms();
                inner.wake(&id, &Wake::evaluate(&id));
            }
        }
    }

    /// A deletion, numbered like any desired state.
    pub fn prepare_deletion(&self, id: &AppId, cluster: &ClusterId, deleted: Deleted) -> Desired {
        let generation = self.lock().reserve(id, cluster, clock::now_ms());
        Desired {
            app: id.clone(),
            cluster: cluster.clone(),
            generation,
            state: DesiredState::Deleted(deleted),
        }
    }

    /// A newer generation than ours is on the bus.
    pub fn outdated(&self, id: &AppId, newer: Generation) {
        let mut inner = self.lock();
        let reserved = inner.reserved.entry(id.clone()).or_default();
        *reserved = (*reserved).max(newer);
    }

    /// What was to be published whatever changed, wasn't: it still is to be.
    pub fn force(&self, id: &AppId, cause: Cause) {
        if let Some(app) = self.lock().apps.get_mut(id) {
            app.forced = app.forced.or(Some(cause));
        }
    }

    /// Why publishing failed, or that it didn't.
    pub fn problem(&self, id: &AppId, problem: Option<Problem>) {
        let mut inner = self.lock();
        if let Some(app) = inner.apps.get_mut(id)
            && app.problem != problem
        {
            app.problem = problem;
            self.states.push(id);
        }
    }
}

impl Inner {
    /// Remembers the packs of what is on the bus. One that follows for long forgets those of what was there before.
    fn adopt(&mut self, desired: &Desired) {
        const FORGET_OVER: usize = 1000;
        if self.adopted.len() > FORGET_OVER + 2 * self.adopted_in_use {
            let states = self.published.values().flat_map(BTreeMap::values);
            let used: HashSet<Oid> = states.flat_map(|it| it.state.trees()).collect();
            self.adopted.retain(|tree, _| used.contains(tree));
            self.adopted_in_use = self.adopted.len();
        }
        let DesiredState::Present(present) = &desired.state else {
            return;
        };
        let sources = present.sources.iter().map(|it| (&it.tree, &it.snapshot));
        let dependencies = present
            .dependencies
            .iter()
            .map(|it| (&it.tree, &it.snapshot));
        for (tree, snapshot) in sources.chain(dependencies) {
            if let Ok(tree) = Oid::from_str(tree) {
                self.adopted.insert(tree, snapshot.packs.as_slice().into());
            }
        }
    }

    /// Wakes the workers of all repositories of an application.
    pub(super) fn wake(&self, id: &AppId, wake: &Wake) {
        let keys = self.apps.get(id).map(|app| &app.repos);
        for repo in keys
            .into_iter()
            .flatten()
            .filter_map(|key| self.repos.get(key))
        {
            repo.handle.wake(wake.clone());
        }
    }
}
