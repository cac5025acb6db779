//! Repositories: which applications use which, what their revisions are, and what a worker has to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bus::message::desired::Cause;
use bus::trace::Trace;
use bus::{AppId, ClusterId, Digest, clock};
use git2::Oid;
use sha2::{Digest as _, Sha256};

use super::{Handle, Index, Inner, Repo, Target, Wake};
use crate::intent::Intent;
use crate::revision::full_commit_id;
use crate::source::access::Access;
use crate::source::error::FetchError;
use crate::source::location::{Location, LocationError};
use crate::source::whole::Others;
use crate::source::{Remote, Revisions};
use crate::webhook::Change;

/// A revision that was looked up so long ago is looked up again when an application changes, in milliseconds.
const STALE: u64 = 10_000;

/// One repository with one login.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoKey {
    identity: Arc<str>,
    login: [u8; 16],
}

impl RepoKey {
    pub fn of(remote: &Remote, access: &Access) -> Self {
        // Credentials may also be a part of the URL.
        let userinfo = remote.location().userinfo().unwrap_or_default();
        let mut login = access.fingerprint();
        if !userinfo.is_empty() {
            let mut digest = Sha256::new();
            digest.update(login);
            digest.update(userinfo);
            login.copy_from_slice(&digest.finalize()[..16]);
        }
        Self {
            identity: remote.identity().into(),
            login,
        }
    }

    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The name of its folder.
    pub fn folder(&self) -> String {
        let mut bytes = self.identity.as_bytes().to_vec();
        bytes.extend(self.login);
        Digest::of(&bytes).as_str()[..32].to_owned()
    }
}

impl fmt::Debug for RepoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity)
    }
}

/// What a worker needs for one round.
#[derive(Debug)]
pub struct Round {
    pub remote: Remote,
    pub access: Arc<Access>,
    /// Those that the host must be asked for.
    pub targets: Vec<Arc<str>>,
    /// Applications whose refresh this round carries out.
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

impl Index {
    pub(super) fn attach(&self, inner: &mut Inner, id: &AppId, key: &RepoKey) {
        let Inner { apps, repos, .. } = inner;
        let Some(app) = apps.get(id) else { return };
        let Some(Intent::Wanted(wanted)) = &app.intent else {
            return;
        };
        let repo = repos.entry(key.clone()).or_insert_with(|| {
            let handle = Arc::new(Handle::new(key.clone()));
            // Fails only while the process ends.
            let _ = self.workers.send(Arc::clone(&handle));
            Repo {
                handle,
                remote: wanted.remote.clone(),
                access: Arc::new(wanted.access.clone()),
                apps: BTreeSet::new(),
                targets: BTreeMap::new(),
                fetched: None,
            }
        });
        let other_access = *repo.access != wanted.access;
        if other_access {
            repo.access = Arc::new(wanted.access.clone());
        }
        repo.apps.insert(id.clone());
        let stale = repo
            .fetched
            .is_none_or(|fetched| fetched + STALE < app.noticed);
        let unknown = !repo.targets.contains_key(&wanted.target_revision);
        repo.handle.wake(if app.refreshing.is_some() {
            Wake::fetch(Cause::Refresh, app.trace)
        } else if unknown || stale || other_access {
            Wake::fetch(Cause::Application, app.trace)
        } else {
            Wake::evaluate()
        });
    }

    /// Wakes the workers that a change at a host concerns; says how many.
    pub fn pushed(&self, change: &Change, trace: Trace) -> usize {
        let inner = self.lock();
        let concerned = inner.repos.values().filter(|repo| {
            change.is_about(repo.remote.location().url(), repo.remote.chart_name())
                && repo
                    .targets_of(&inner)
                    .any(|target| change.concerns(target))
        });
        concerned
            .inspect(|repo| repo.handle.wake(Wake::fetch(Cause::Webhook, trace)))
            .count()
    }

    /// Wakes every worker.
    pub fn wake_all(&self, wake: Wake) {
        for repo in self.lock().repos.values() {
            repo.handle.wake(wake);
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
        let settled = |target: &Arc<str>| {
            full_commit_id(target).is_some()
                && repo
                    .targets
                    .get(target)
                    .is_some_and(|known| known.revision.is_some() && known.error.is_none())
        };
        let mut targets: Vec<Arc<str>> = repo.targets_of(&inner).cloned().collect();
        targets.sort();
        targets.dedup();
        targets.retain(|target| !settled(target));
        Some(Round {
            remote: repo.remote.clone(),
            access: Arc::clone(&repo.access),
            targets,
            refreshing: repo
                .apps
                .iter()
                .filter(|id| {
                    inner
                        .apps
                        .get(id)
                        .is_some_and(|app| app.refreshing.is_some())
                })
                .cloned()
                .collect(),
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
        let fetched = clock::now_ms();
        let mut failed = BTreeMap::new();
        let mut set = |target: &Arc<str>, known: &mut Target, error: Option<FetchError>| {
            let said = |error: &Option<FetchError>| error.as_ref().map(ToString::to_string);
            if said(&known.error) != said(&error) {
                failed.insert(Arc::clone(target), error.clone());
            }
            known.error = error;
        };
        let unknown = Target {
            revision: None,
            error: None,
            cause,
            noticed,
            fetched,
        };
        match result {
            Ok(revisions) => {
                repo.fetched = Some(began);
                let used: BTreeSet<&Arc<str>> = repo
                    .apps
                    .iter()
                    .filter_map(|id| match &apps.get(id)?.intent {
                        Some(Intent::Wanted(wanted)) => Some(&wanted.target_revision),
                        _ => None,
                    })
                    .collect();
                repo.targets.retain(|target, _| used.contains(target));
                for (target, revision) in revisions {
                    let known = repo
                        .targets
                        .entry(Arc::clone(&target))
                        .or_insert_with(|| unknown.clone());
                    let (revision, error) = match revision {
                        Ok(revision) => (Some(revision), None),
                        Err(error) => (None, Some(error)),
                    };
                    if known.revision != revision {
                        *known = Target {
                            revision,
                            error: known.error.take(),
                            ..unknown.clone()
                        };
                    }
                    set(&target, known, error);
                }
            }
            Err(error) => {
                let targets: Vec<Arc<str>> = repo
                    .apps
                    .iter()
                    .filter_map(|id| match &apps.get(id)?.intent {
                        Some(Intent::Wanted(wanted)) => Some(Arc::clone(&wanted.target_revision)),
                        _ => None,
                    })
                    .collect();
                for target in targets {
                    let known = repo
                        .targets
                        .entry(Arc::clone(&target))
                        .or_insert_with(|| unknown.clone());
                    set(&target, known, Some(error.clone()));
                }
            }
        }
        let mut news = Vec::new();
        for id in &repo.apps {
            let Some(Intent::Wanted(wanted)) = apps.get(id).and_then(|app| app.intent.as_ref())
            else {
                continue;
            };
            if let Some(error) = failed.get(&wanted.target_revision) {
                self.states.push(id);
                if let Some(error) = error {
                    news.push((id.clone(), Some(wanted.cluster.clone()), error.clone()));
                }
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
            let Some(Intent::Wanted(wanted)) = apps.get(id).and_then(|app| app.intent.as_ref())
            else {
                continue;
            };
            if repo.targets.contains_key(&wanted.target_revision) {
                continue;
            }
            added.insert(
                Arc::clone(&wanted.target_revision),
                Target {
                    revision: None,
                    error: Some(error.clone()),
                    cause,
                    noticed,
                    fetched: clock::now_ms(),
                },
            );
            self.states.push(id);
            news.push((id.clone(), Some(wanted.cluster.clone()), error.clone()));
        }
        repo.targets.append(&mut added);
        news
    }

    /// Why a target revision was looked at when it last changed.
    pub fn cause(&self, key: &RepoKey, target: &str) -> Cause {
        self.lock()
            .repos
            .get(key)
            .and_then(|repo| repo.targets.get(target))
            .map_or(Cause::Poll, |known| known.cause)
    }

    /// The round is over: its refreshes are carried out.
    pub fn finish(&self, round: &Round) {
        let mut inner = self.lock();
        for id in &round.refreshing {
            if let Some(app) = inner.apps.get_mut(id) {
                app.finish_refresh();
                self.states.push(id);
            }
        }
    }

    /// Distinct (repository, target revision) spellings whose applications were all looked at, with their commit.
    pub fn branches(&self, key: &RepoKey) -> Vec<(Arc<str>, Arc<str>, Oid)> {
        let inner = self.lock();
        let Some(repo) = inner.repos.get(key) else {
            return Vec::new();
        };
        let mut found: Vec<_> = repo
            .apps
            .iter()
            .filter_map(|id| match &inner.apps.get(id)?.intent {
                Some(Intent::Wanted(wanted)) => {
                    let target = repo.targets.get(&wanted.target_revision)?;
                    let commit = target.revision.as_ref()?.commit()?;
                    Some((
                        Arc::clone(&wanted.repo_url),
                        Arc::clone(&wanted.target_revision),
                        commit,
                    ))
                }
                _ => None,
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

impl Repo {
    fn targets_of<'a>(&'a self, inner: &'a Inner) -> impl Iterator<Item = &'a Arc<str>> {
        self.apps
            .iter()
            .filter_map(|id| match inner.apps.get(id)?.intent.as_ref()? {
                Intent::Wanted(wanted) => Some(&wanted.target_revision),
                Intent::Invalid(_) | Intent::Skipped | Intent::Deleting => None,
            })
    }
}

impl Inner {
    pub(super) fn detach(&mut self, id: &AppId, key: Option<RepoKey>) {
        let Some(key) = key else { return };
        let Some(repo) = self.repos.get_mut(&key) else {
            return;
        };
        repo.apps.remove(id);
        if repo.apps.is_empty() {
            repo.handle.wake(Wake {
                stop: true,
                ..Wake::default()
            });
            self.repos.remove(&key);
        }
    }
}
