//! Applications and configuration: what changed, and whom it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::AppProject;
use api::settings::WebhookSecrets;
use bus::message::desired::{Cascade, Cause, Deleted};
use bus::trace::Trace;
use bus::{AppId, ClusterId, clock};

use super::{App, Index, Inner, Refreshing, Repo, Wake};
use crate::decide::{Published, State};
use crate::deletions::{Life, deletions};
use crate::had::Had;
use crate::intent::{Bounds, Intent, intent};
use crate::needs;
use crate::seen::Seen;
use crate::settings::Environment;
use crate::slot::{Needed, RepoKey};

/// Whether an application's object is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    There,
    /// It was there, or something was published for it: the API server must be asked.
    Unknown,
}

/// What of a generation is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Message,
    Packs,
}

impl Index {
    /// An object as the API server has it now.
    pub fn application(&self, seen: Seen, had: Had, resource_version: String) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let now = clock::now_ms();
        let id = seen.id.clone();
        let before = inner.apps.get_mut(&id);
        let asks = seen.asks_anew(before.as_ref().map(|app| &app.seen));
        if let Some(app) = before {
            (app.resource_version, app.had) = (resource_version, had);
            if app.seen == seen {
                return;
            }
            let replaced = app.seen.uid != seen.uid;
            // Only what others ask for changed: what is wanted didn't.
            let only_refresh = Seen {
                refresh: seen.refresh.clone(),
                ..app.seen.clone()
            } == seen;
            if !only_refresh {
                (app.noticed, app.trace) = (now, Trace::new());
            }
            if replaced {
                (app.verified, app.refreshed) = (None, None);
                app.farewells.clear();
            }
            app.seen = seen;
        } else {
            inner.apps.insert(
                id.clone(),
                App {
                    seen,
                    had,
                    bereft: None,
                    resource_version,
                    intent: None,
                    needs: Vec::new(),
                    repos: BTreeSet::new(),
                    noticed: now,
                    trace: Trace::new(),
                    refreshing: None,
                    refreshed: None,
                    forced: None,
                    verified: None,
                    rounds: 0,
                    publishing: None,
                    problem: None,
                    farewells: BTreeSet::new(),
                    conditions: Vec::new(),
                },
            );
        }
        self.take_order(inner, &id);
        let follows = !inner.missing().is_empty();
        if let Some(app) = inner.apps.get_mut(&id)
            && follows
            && !asks
            && app.seen.refresh.is_none()
        {
            // The leader's answer to what was asked for.
            (app.refreshing, app.forced) = (None, None);
        }
        if let Some(app) = inner.apps.get_mut(&id).filter(|_| asks) {
            app.refreshing = Some(Refreshing {
                since: now,
                waits_for: BTreeSet::new(),
            });
            if app
                .seen
                .refresh
                .as_ref()
                .is_some_and(|refresh| refresh.hard)
            {
                app.forced = Some(Cause::Refresh);
            }
        }
        if inner.missing().is_empty() {
            self.judge(inner, &id);
        }
    }

    /// Somebody asked by command.
    pub fn refresh(&self, id: &AppId, hard: bool, trace: Trace) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(app) = inner.apps.get_mut(id) else {
            return;
        };
        if hard {
            app.forced = Some(Cause::Refresh);
        }
        for key in &app.repos {
            let is_source = app.sources().any(|source| source.slot.key == *key);
            let failed = |repo: &&Repo| {
                let mut needed = app.needed().filter(|slot| slot.key == *key);
                needed.any(|slot| repo.failed(&slot.target))
            };
            let asked = |repo: &&Repo| hard || is_source || failed(repo);
            if let Some(repo) = inner.repos.get(key).filter(asked) {
                repo.handle.wake(Wake::fetch(Cause::Refresh, trace));
            }
        }
    }

    /// A part of the newest generation was lost or refused (`forget`: one of its packs). False when it is about an older one, or
    /// about no application.
    pub fn again(
        &self,
        id: &AppId,
        cluster: &ClusterId,
        generation: bus::Generation,
        lost: Lost,
    ) -> bool {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let newest = inner
            .published
            .get(id)
            .and_then(|clusters| clusters.get(cluster))
            .map(|published| published.generation);
        if newest.is_none_or(|newest| newest > generation) {
            return false;
        }
        let Some(app) = inner.apps.get_mut(id) else {
            self.lifecycle.push(id);
            return false;
        };
        app.forced = Some(Cause::Again);
        inner.wake(
            id,
            &Wake {
                forget: lost == Lost::Packs,
                ..Wake::evaluate(id)
            },
        );
        true
    }

    /// Whether the object is there, as far as the watch says.
    pub fn presence(&self, id: &AppId) -> Presence {
        if self.lock().apps.contains_key(id) {
            Presence::There
        } else {
            Presence::Unknown
        }
    }

    /// Those that the watch knows of a namespace, or of all.
    pub fn applications(&self, namespace: Option<&str>) -> Vec<AppId> {
        self.lock()
            .apps
            .keys()
            .filter(|id| namespace.is_none_or(|namespace| namespace == id.namespace()))
            .cloned()
            .collect()
    }

    /// The watch says that an object is gone: it is no longer acted upon. What follows is decided when the API server, asked
    /// for it by name, says so too.
    pub fn application_left(&self, id: &AppId) {
        let mut guard = self.lock();
        if let Some(app) = guard.apps.remove(id) {
            for key in &app.repos {
                guard.detach(id, key);
            }
        }
        self.take_order(&mut guard, id);
        self.lifecycle.push(id);
        self.states.push(id);
    }

    /// The API server, asked by name, has no such object.
    pub fn application_gone(&self, id: &AppId) {
        let mut inner = self.lock();
        if !inner.apps.contains_key(id) {
            inner.gone.insert(id.clone());
            self.states.push(id);
        }
    }

    /// Whether an application was proven to be gone. Forgets that.
    pub fn take_gone(&self, id: &AppId) -> bool {
        let mut inner = self.lock();
        inner.gone.remove(id) && !inner.apps.contains_key(id)
    }

    /// The deletions to publish for an application; `gone` says that the API server was asked and has no such object.
    pub fn deletions(&self, id: &AppId, gone: bool) -> Vec<(ClusterId, Deleted)> {
        let inner = self.lock();
        let mut all: BTreeMap<ClusterId, Deleted> = inner.owed.get(id).cloned().unwrap_or_default();
        // A live object's own cluster isn't one to delete from, whatever was owed there before.
        if let Some(cluster) = inner.wanted_cluster(id) {
            all.remove(cluster);
        }
        all.extend(inner.deletions(id, gone));
        all.into_iter().collect()
    }

    /// The broker no longer has what was published.
    pub fn lost(&self, id: &AppId, cluster: &ClusterId) {
        let mut guard = self.lock();
        let lost = guard
            .published
            .get_mut(id)
            .and_then(|clusters| clusters.remove(cluster));
        if let Some(Published {
            state: State::Deleted(deleted),
            ..
        }) = lost
        {
            let owed = guard.owed.entry(id.clone()).or_default();
            owed.insert(cluster.clone(), deleted);
        } else if let Some(app) = guard.apps.get_mut(id) {
            app.forced = app.forced.or(Some(Cause::Again));
        }
        guard.wake(id, &Wake::evaluate(id));
        self.lifecycle.push(id);
        self.states.push(id);
    }

    /// What webhooks are checked with was read.
    pub fn set_webhook_secrets(&self, secrets: WebhookSecrets) {
        self.lock().webhook_secrets = Some(Arc::new(secrets));
    }

    /// What webhooks are checked with; none before that was read.
    pub fn webhook_secrets(&self) -> Option<Arc<WebhookSecrets>> {
        self.lock().webhook_secrets.clone()
    }

    /// Changes the configuration; what every application asks for is judged again.
    pub fn configure(&self, change: impl FnOnce(&mut Environment)) {
        let mut inner = self.lock();
        change(&mut inner.environment);
        if inner.missing().is_empty() {
            self.judge_all(&mut inner);
        }
        self.projects_changed.notify_one();
    }

    /// A project as it is now, or none of that name. The applications of projects that are others by it are judged again.
    pub fn configure_project(&self, name: &str, project: Option<&Arc<AppProject>>) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let before = inner.environment.project(name);
        let projects = &mut inner.environment.projects;
        match project {
            Some(project) => projects.insert(name.to_owned(), Arc::clone(project)),
            None => projects.remove(name),
        };
        self.projects_changed.notify_one();
        if !inner.missing().is_empty() {
            return;
        }
        let globals = &inner.environment.settings.global_projects;
        if globals.iter().any(|global| global.name == name) {
            return self.judge_all(inner);
        }
        let spec = |project: Option<Arc<AppProject>>| project.map(|it| it.spec.clone());
        if spec(before) == spec(inner.environment.project(name)) {
            return;
        }
        let apps = inner.apps.iter();
        let own = apps.filter(|(_, app)| app.seen.spec.project() == name);
        let own: Vec<AppId> = own.map(|(id, _)| id.clone()).collect();
        for id in own {
            self.judge(inner, &id);
        }
    }

    /// The names of the projects that are known.
    pub fn projects(&self) -> Vec<String> {
        self.lock().environment.projects.keys().cloned().collect()
    }

    /// Looks something up in the configuration.
    pub fn environment<T>(&self, look: impl FnOnce(&Environment) -> T) -> T {
        look(&self.lock().environment)
    }

    pub(super) fn judge_all(&self, inner: &mut Inner) {
        let ids: Vec<AppId> = inner.apps.keys().cloned().collect();
        for id in ids {
            self.judge(inner, &id);
        }
    }

    fn judge(&self, inner: &mut Inner, id: &AppId) {
        let Some(app) = inner.apps.get_mut(id) else {
            return;
        };
        let intent = intent(&app.seen, &inner.environment, self.fixed.bounds());
        if !matches!(intent, Intent::Wanted(_)) {
            app.finish_refresh();
            app.problem = None;
        }
        if let (Intent::Wanted(new), Some(Intent::Wanted(old))) = (&intent, &app.intent)
            && new.content != old.content
        {
            // Perhaps by a setting, not by the object.
            app.noticed = app.noticed.max(clock::now_ms());
        }
        app.intent = Some(intent);
        app.begin_refresh();
        inner.find_needs(id, self.fixed.bounds());
        self.attach(inner, id);
        // Something published in a cluster where it no longer belongs, or a deletion.
        let elsewhere = inner.published.get(id).is_some_and(|clusters| {
            clusters.len() > 1
                || clusters
                    .keys()
                    .any(|cluster| Some(cluster) != inner.wanted_cluster(id))
                || clusters
                    .values()
                    .any(|published| matches!(published.state, State::Deleted(_)))
        });
        if elsewhere || inner.apps.get(id).is_some_and(|app| app.seen.deleting) {
            self.lifecycle.push(id);
        }
        self.states.push(id);
    }
}

impl Inner {
    fn deletions(&self, id: &AppId, gone: bool) -> Vec<(ClusterId, Deleted)> {
        let none = BTreeMap::new();
        let published = self.published.get(id).unwrap_or(&none);
        let Some(app) = self.apps.get(id) else {
            return if gone {
                deletions(Life::Gone, published)
            } else {
                Vec::new()
            };
        };
        let uid = &*app.seen.uid;
        match &app.intent {
            Some(Intent::Deleting) => {
                let target = self.environment.target(&app.seen.spec.destination).ok();
                let deleted = asked_deletion(&app.seen);
                let life = Life::Deleting {
                    deleted: deleted.as_ref(),
                    cluster: target.as_ref().map(|target| &target.id),
                };
                let mut found = deletions(life, published);
                found.retain(|(cluster, _)| !app.farewells.contains(cluster));
                found
            }
            Some(Intent::Wanted(wanted)) => {
                let cluster = Some(&wanted.cluster);
                deletions(Life::Live { uid, cluster }, published)
            }
            Some(Intent::Invalid(_) | Intent::Skipped) | None => Vec::new(),
        }
    }

    /// Finds anew what an application's render asked for. False when that is what it was.
    pub(super) fn find_needs(&mut self, id: &AppId, bounds: Bounds<'_>) -> bool {
        let Some(app) = self.apps.get_mut(id) else {
            return false;
        };
        let name = app.seen.spec.project();
        let needs = match (&app.intent, self.environment.project(name).as_ref()) {
            (Some(Intent::Wanted(wanted)), Some(project)) => {
                let cluster = &wanted.cluster;
                let record = self.renders.get(id).and_then(|it| it.get(cluster));
                let published = self.published.get(id).and_then(|it| it.get(cluster));
                needs::wanted(record, published)
                    .into_iter()
                    .map(|need| {
                        needs::needed(need, (name, project), &self.environment, bounds.files)
                    })
                    .collect()
            }
            _ => Vec::new(),
        };
        let said = |needs: &[Needed]| -> Vec<_> {
            let said = needs.iter().map(|needed| {
                let slot = needed.slot.as_ref();
                (
                    needed.need.clone(),
                    slot.map(|slot| slot.key.clone()).map_err(Clone::clone),
                )
            });
            said.collect()
        };
        let news = said(&app.needs) != said(&needs);
        app.needs = needs;
        news
    }

    pub(super) fn wanted_cluster(&self, id: &AppId) -> Option<&ClusterId> {
        match self.apps.get(id)?.intent.as_ref()? {
            Intent::Wanted(wanted) => Some(&wanted.cluster),
            Intent::Invalid(_) | Intent::Skipped | Intent::Deleting => None,
        }
    }
}

impl App {
    /// A refresh is about the sources as they are known when it begins.
    fn begin_refresh(&mut self) {
        let keys: BTreeSet<RepoKey> = self
            .sources()
            .map(|source| source.slot.key.clone())
            .collect();
        if let Some(refreshing) = &mut self.refreshing
            && refreshing.waits_for.is_empty()
        {
            refreshing.waits_for = keys;
        }
    }

    /// A repository was looked at, or is none of its any more.
    pub(super) fn looked_at(&mut self, key: &RepoKey) {
        if let Some(refreshing) = &mut self.refreshing
            && refreshing.waits_for.remove(key)
            && refreshing.waits_for.is_empty()
        {
            self.finish_refresh();
        }
    }

    /// The refresh that was asked for is done.
    pub(super) fn finish_refresh(&mut self) {
        if self.refreshing.take().is_some() && self.seen.refresh.is_some() {
            self.refreshed = Some(bus::message::state::Refreshed {
                resource_version: self.resource_version.clone(),
                time: clock::now_ms(),
            });
        }
    }
}

/// The deletion of an Application that somebody asked for; none where nothing goes with it and no hook runs.
fn asked_deletion(seen: &Seen) -> Option<Deleted> {
    let cascade = match seen.cascade {
        Some(api::application::Cascade::Foreground) => Cascade::Foreground,
        Some(api::application::Cascade::Background) => Cascade::Background,
        None if seen.delete_hooks => Cascade::None,
        None => return None,
    };
    Some(Deleted {
        requested: seen.requested,
        approved: seen
            .annotations
            .get(api::annotations::DELETION_APPROVED)
            .cloned(),
        ..Deleted::new(&seen.uid, cascade)
    })
}
