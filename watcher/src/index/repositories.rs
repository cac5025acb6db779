//! Repositories: which applications use which, what their revisions are, and what a worker has to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus::message::desired::Cause;
use bus::trace::Trace;
use bus::{AppId, ClusterId, clock};

use super::{App, Handle, Index, Inner, Repo, Target, Wake};
use crate::intent::Intent;
use crate::slot::{RepoKey, Slot};
use crate::source::access::Access;
use crate::source::error::FetchError;
use crate::source::location::{Location, LocationError};
use crate::source::whole::Others;
use crate::source::{Content, Look, Remote, Revisions};
use crate::webhook::Change;

/// A revision that was looked up so long ago is looked up again when an application changes, in milliseconds.
const STALE: u64 = 10_000;

/// What a worker needs for one round.
#[derive(Debug)]
pub struct Round {
    pub remote: Remote,
    pub access: Arc<Access>,
    /// Those that the host must be asked for.
    pub targets: Vec<Arc<str>>,
    pub look: Look,
    /// Applications whose refresh this round carries out, as far as it is about this repository.
    pub refreshing: Vec<AppId>,
}

/// Which worker a repository belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    This,
    /// Applications left it and came back: a new worker has it.
    Another,
    Nobody,
}

impl Others for Index {
    /// Several projects may use the repository that names this one: a login that is for one of them alone doesn't count.
    fn other(&self, url: &str) -> Result<(Location, Access), LocationError> {
        let location = Location::parse(url, self.fixed.bounds().files)?;
        let access = self.environment(|environment| environment.access(url, ""));
        Ok((location, access))
    }
}

/// What an application uses a repository for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Source,
    Need,
}

impl Index {
    /// Joins an application with the repositories of its sources and of what its render asked for, and takes it away from
    /// those that it no longer uses.
    pub(super) fn attach(&self, inner: &mut Inner, id: &AppId) {
        let Some(app) = inner.apps.get(id) else {
            return;
        };
        let sources: Vec<Slot> = app.sources().map(|source| source.slot.clone()).collect();
        for slot in sources {
            self.join(inner, id, &slot, Use::Source);
        }
        self.attach_needs(inner, id);
    }

    /// The same, for what its render asked for alone.
    pub(super) fn attach_needs(&self, inner: &mut Inner, id: &AppId) {
        let Some(app) = inner.apps.get_mut(id) else {
            return;
        };
        let keys: BTreeSet<RepoKey> = app.slots().map(|slot| slot.key.clone()).collect();
        let left: Vec<RepoKey> = app.repos.difference(&keys).cloned().collect();
        let needs: Vec<Slot> = app.needed().cloned().collect();
        app.repos = keys;
        for slot in needs {
            self.join(inner, id, &slot, Use::Need);
        }
        for key in left {
            inner.detach(id, &key);
        }
    }

    fn join(&self, inner: &mut Inner, id: &AppId, slot: &Slot, usage: Use) {
        let Inner { apps, repos, .. } = inner;
        let Some(app) = apps.get(id) else { return };
        let repo = repos.entry(slot.key.clone()).or_insert_with(|| {
            let handle = Arc::new(Handle::new(slot.key.clone()));
            // Fails only while the process ends.
            let _ = self.workers.send(Arc::clone(&handle));
            Repo {
                handle,
                remote: slot.remote.clone(),
                access: Arc::clone(&slot.access),
                apps: BTreeSet::new(),
                targets: BTreeMap::new(),
                fetched: None,
            }
        });
        let other_access = *repo.access != *slot.access;
        if other_access {
            repo.access = Arc::clone(&slot.access);
        }
        repo.apps.insert(id.clone());
        let unknown = !repo.targets.contains_key(&slot.target);
        let stale = repo
            .fetched
            .is_none_or(|fetched| fetched + STALE < app.noticed);
        let asked = app.refreshing.is_some();
        // What isn't had is asked for anew like a source; what is cached is looked up again when it is polled.
        let failed = repo.failed(&slot.target);
        repo.handle.wake(match usage {
            Use::Source if asked => Wake::fetch(Cause::Refresh, app.trace),
            Use::Need if asked && (failed || app.forced == Some(Cause::Refresh)) => {
                Wake::fetch(Cause::Refresh, app.trace)
            }
            Use::Source if unknown || stale || other_access => {
                Wake::fetch(Cause::Application, app.trace)
            }
            Use::Need if unknown || other_access => Wake::fetch(Cause::Dependency, app.trace),
            Use::Source | Use::Need => Wake::evaluate(id),
        });
    }

    /// Wakes the workers that a change at a host concerns; says how many.
    pub fn pushed(&self, change: &Change, trace: Trace) -> usize {
        let inner = self.lock();
        let concerned = inner.repos.iter().filter(|(key, repo)| {
            change.is_about(repo.remote.location().url(), repo.remote.chart_name())
                && repo
                    .targets_of(key, &inner)
                    .any(|target| change.concerns(target))
        });
        concerned
            .inspect(|(_, repo)| repo.handle.wake(Wake::fetch(Cause::Webhook, trace)))
            .count()
    }

    /// Wakes every worker.
    pub fn wake_all(&self, wake: &Wake) {
        for repo in self.lock().repos.values() {
            repo.handle.wake(wake.clone());
        }
    }

    /// Whose repository a worker's is.
    pub fn holder(&self, handle: &Arc<Handle>) -> Holder {
        match self.lock().repos.get(&handle.key) {
            Some(repo) if Arc::ptr_eq(&repo.handle, handle) => Holder::This,
            Some(_) => Holder::Another,
            None => Holder::Nobody,
        }
    }

    /// What a worker's round is about; none when nobody uses the repository.
    pub fn round(&self, key: &RepoKey) -> Option<Round> {
        let inner = self.lock();
        let repo = inner.repos.get(key)?;
        let used: BTreeSet<&Arc<str>> = repo.targets_of(key, &inner).collect();
        let waits = |id: &&AppId| {
            inner
                .apps
                .get(id)
                .and_then(|app| app.refreshing.as_ref())
                .is_some_and(|refreshing| refreshing.waits_for.contains(key))
        };
        let hard = |id: &AppId| {
            let app = inner.apps.get(id);
            app.is_some_and(|app| app.forced == Some(Cause::Refresh))
        };
        let look = if repo.apps.iter().any(hard) {
            Look::Hard
        } else {
            Look::Usual
        };
        Some(Round {
            look,
            remote: repo.remote.clone(),
            access: Arc::clone(&repo.access),
            targets: used
                .into_iter()
                .filter(|target| !repo.is_settled(target))
                .cloned()
                .collect(),
            refreshing: repo.apps.iter().filter(waits).cloned().collect(),
        })
    }

    /// What a look at the host brought. Returns the applications for which it is bad news that is new.
    pub fn fetched(
        &self,
        key: &RepoKey,
        (cause, noticed): (Cause, u64),
        began: u64,
        result: Result<Revisions, FetchError>,
    ) -> Vec<(AppId, Option<ClusterId>, FetchError)> {
        let mut guard = self.lock();
        let Inner { repos, apps, .. } = &mut *guard;
        let Some(repo) = repos.get_mut(key) else {
            return Vec::new();
        };
        let used: BTreeSet<Arc<str>> = repo
            .apps
            .iter()
            .filter_map(|id| apps.get(id))
            .flat_map(|app| app.targets(key))
            .cloned()
            .collect();
        let unknown = Target::unknown(cause, noticed);
        let revisions = match result {
            Ok(revisions) => {
                repo.fetched = Some(began);
                repo.targets.retain(|target, _| used.contains(target));
                revisions
            }
            Err(error) => {
                let failed = used.into_iter().map(|target| (target, Err(error.clone())));
                failed.collect()
            }
        };
        let mut failed: BTreeMap<Arc<str>, Option<FetchError>> = BTreeMap::new();
        for (target, revision) in revisions {
            let known = repo
                .targets
                .entry(Arc::clone(&target))
                .or_insert_with(|| unknown.clone());
            let error = known.learn(revision, &unknown);
            let said = |error: &Option<FetchError>| error.as_ref().map(ToString::to_string);
            if said(&known.error) != said(&error) {
                failed.insert(target, error.clone());
            }
            known.error = error;
        }
        let mut news = Vec::new();
        if failed.is_empty() {
            return news;
        }
        for id in &repo.apps {
            let Some(app) = apps.get(id) else { continue };
            let mut changed = app.targets(key).filter_map(|target| failed.get(target));
            let Some(error) = changed.next() else {
                continue;
            };
            self.states.push(id);
            if let (Some(error), Some(Intent::Wanted(wanted))) = (error, &app.intent) {
                news.push((id.clone(), Some(wanted.cluster.clone()), error.clone()));
            }
        }
        news
    }

    /// The host is left alone for a while. Returns the applications that would otherwise hear nothing: those whose target revision
    /// was never looked at.
    pub fn postponed(
        &self,
        key: &RepoKey,
        (cause, noticed): (Cause, u64),
        error: &FetchError,
    ) -> Vec<(AppId, Option<ClusterId>, FetchError)> {
        let mut guard = self.lock();
        let Inner { repos, apps, .. } = &mut *guard;
        let Some(repo) = repos.get_mut(key) else {
            return Vec::new();
        };
        let mut news = Vec::new();
        let mut added = BTreeMap::new();
        for id in &repo.apps {
            let Some(app) = apps.get(id) else { continue };
            let Some(Intent::Wanted(wanted)) = &app.intent else {
                continue;
            };
            let unknown = |target: &&Arc<str>| !repo.targets.contains_key(*target);
            for target in app.targets(key).filter(unknown) {
                added.entry(Arc::clone(target)).or_insert_with(|| Target {
                    error: Some(error.clone()),
                    ..Target::unknown(cause, noticed)
                });
            }
            if app.targets(key).any(|target| added.contains_key(target)) {
                self.states.push(id);
                news.push((id.clone(), Some(wanted.cluster.clone()), error.clone()));
            }
        }
        repo.targets.append(&mut added);
        news
    }

    /// The round is over: its refreshes are carried out, as far as they are about this repository.
    pub fn finish(&self, key: &RepoKey, round: &Round) {
        let mut inner = self.lock();
        for id in &round.refreshing {
            let Some(app) = inner.apps.get_mut(id) else {
                continue;
            };
            app.looked_at(key);
            self.states.push(id);
            // Another repository's look, which ended meanwhile, may have waited for this one.
            if app.forced.is_some() {
                inner.wake(id, &Wake::evaluate(id));
            }
        }
    }

    /// Distinct (repository, target revision) spellings whose applications were all looked at, with their revision. Not those
    /// of charts: several share a URL, and a new version always changes what is rendered.
    pub fn branches(&self, key: &RepoKey) -> BTreeSet<(Arc<str>, Arc<str>, Arc<str>)> {
        let inner = self.lock();
        let Some(repo) = inner.repos.get(key) else {
            return BTreeSet::new();
        };
        match &repo.remote {
            Remote::Git(_)
            | Remote::Oci {
                content: Content::Files,
                ..
            } => {}
            Remote::Chart { .. } | Remote::Oci { .. } | Remote::File(_) => return BTreeSet::new(),
        }
        repo.apps
            .iter()
            .filter_map(|id| inner.apps.get(id))
            .flat_map(|app| app.sources().filter(|source| source.slot.key == *key))
            .filter_map(|source| {
                let target = &source.slot.target;
                let revision = repo.targets.get(target)?.revision.as_ref()?;
                Some((
                    Arc::clone(&source.repo_url),
                    Arc::clone(target),
                    Arc::clone(&revision.id),
                ))
            })
            .collect()
    }
}

impl Target {
    fn unknown(cause: Cause, noticed: u64) -> Self {
        Self {
            revision: None,
            error: None,
            had: false,
            cause,
            noticed,
            fetched: clock::now_ms(),
        }
    }

    /// Takes what a look brought, and says what was wrong with it. Only a host's own word that there is no such revision takes
    /// away the one that is known.
    fn learn(
        &mut self,
        revision: Result<crate::source::Revision, FetchError>,
        unknown: &Self,
    ) -> Option<FetchError> {
        let (revision, error) = match revision {
            Ok(revision) => (Some(revision), None),
            Err(error) if error.is_verdict() => (None, Some(error)),
            Err(error) => return Some(error),
        };
        if self.revision != revision {
            *self = Self {
                revision,
                error: self.error.take(),
                ..unknown.clone()
            };
        }
        self.had = self.revision.is_some();
        error
    }
}

impl Repo {
    fn targets_of<'a>(
        &'a self,
        key: &'a RepoKey,
        inner: &'a Inner,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        self.apps
            .iter()
            .filter_map(|id| inner.apps.get(id))
            .flat_map(move |app| app.targets(key))
    }

    /// Whether the last that was heard of a target revision is that it can't be had.
    pub(super) fn failed(&self, target: &str) -> bool {
        let known = self.targets.get(target);
        known.is_some_and(|known| known.error.is_some())
    }

    /// Whether a target revision can never mean anything else than what is there.
    fn is_settled(&self, target: &str) -> bool {
        let commit = matches!(self.remote, Remote::Git(_))
            && crate::revision::full_commit_id(target).is_some();
        commit
            && self
                .targets
                .get(target)
                .is_some_and(|known| known.had && known.error.is_none())
    }
}

impl App {
    /// The target revisions of one repository that it uses.
    pub(super) fn targets<'a>(&'a self, key: &'a RepoKey) -> impl Iterator<Item = &'a Arc<str>> {
        self.slots()
            .filter(move |slot| slot.key == *key)
            .map(|slot| &slot.target)
    }
}

impl Inner {
    pub(super) fn detach(&mut self, id: &AppId, key: &RepoKey) {
        let Some(repo) = self.repos.get_mut(key) else {
            return;
        };
        repo.apps.remove(id);
        if let Some(app) = self.apps.get_mut(id) {
            app.looked_at(key);
        }
        if repo.apps.is_empty() {
            repo.handle.wake(Wake {
                stop: true,
                ..Wake::default()
            });
            self.repos.remove(key);
        }
    }
}
