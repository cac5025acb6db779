//! Keeps the configuration current: projects, Argo CD's labelled Secrets, its settings.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;

use api::annotations::SECRET_TYPE;
use api::settings::{self, Impersonation, Settings};
use api::{AppProject, settings::read_secret};
use bus::message::project::Project;
use bus::subject::Bucket;
use bus::{Bus, Update};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use lease::Lead;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::objects::Said;
use crate::index::{Index, Part};
use crate::source::authorities::Authorities;
use crate::source::home::Home;
use crate::source::known_hosts::KnownHosts;

/// What a watch of named things comes to.
pub(super) enum Change<K> {
    Is(Box<K>),
    Gone(String),
    /// These are all that there are.
    Complete(BTreeSet<String>),
}

/// Follows one kind of object in the control namespace.
pub(super) async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    token: CancellationToken,
    mut act: impl FnMut(Change<K>),
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut updates = watcher::watcher(api, config).default_backoff().boxed();
    let mut listed = BTreeSet::new();
    loop {
        let update = tokio::select! {
            () = token.cancelled() => return,
            update = updates.next() => update,
        };
        match update {
            Some(Ok(watcher::Event::Apply(object))) => act(Change::Is(Box::new(object))),
            Some(Ok(watcher::Event::Delete(object))) => act(Change::Gone(object.name_any())),
            Some(Ok(watcher::Event::Init)) => listed.clear(),
            Some(Ok(watcher::Event::InitApply(object))) => {
                listed.insert(object.name_any());
                act(Change::Is(Box::new(object)));
            }
            Some(Ok(watcher::Event::InitDone)) => {
                act(Change::Complete(std::mem::take(&mut listed)));
            }
            Some(Err(error)) => {
                let kind = K::kind(&()).into_owned();
                tracing::warn!(
                    kind,
                    error = &error as &dyn std::error::Error,
                    "watching; trying again"
                );
            }
            // A watch has no end.
            None => return,
        }
    }
}

/// Projects, into the index and into bucket `projects`.
pub async fn projects(
    client: kube::Client,
    bus: Bus,
    index: Arc<Index>,
    lead: Lead,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let api: Api<AppProject> = Api::namespaced(client, &index.fixed().control_namespace);
    let follow = follow(api, watcher::Config::default(), token.clone(), |change| {
        match change {
            Change::Is(project) => {
                let name = project.name_any();
                index.configure_project(&name, Some(&Arc::new(*project)));
            }
            Change::Gone(name) => index.configure_project(&name, None),
            Change::Complete(names) => {
                let gone = index.projects().into_iter();
                for name in gone.filter(|name| !names.contains(name)) {
                    index.configure_project(&name, None);
                }
                index.started(Part::Projects);
                // Those that are on the bus and no longer exist.
                index.projects_changed.notify_one();
            }
        }
    });
    let publish = publish_projects(bus, Arc::clone(&index), lead);
    tokio::select! {
        () = follow => {}
        () = publish => {}
        () = token.cancelled() => {}
    }
    Ok(())
}

/// Makes the bucket say what the projects are, also when a broker lost it.
async fn publish_projects(bus: Bus, index: Arc<Index>, lead: Lead) {
    const RETRY: std::time::Duration = std::time::Duration::from_secs(2);
    let mut there = BTreeMap::<String, Project>::new();
    let mut watch = bus.watch_bucket::<Project>(Bucket::Projects, ">");
    let mut ready = false;
    let mut failed = false;
    let mut begun = false;
    loop {
        tokio::select! {
            () = lead.begun(), if !begun => begun = true,
            update = watch.next() => match update {
                Update::Put(stored) => {
                    there.insert(stored.value.name.clone(), stored.value);
                    continue;
                }
                Update::Deleted { subject } => {
                    if let Some(name) = Bucket::Projects.key(&subject) {
                        there.remove(&bus::subject::unescape(name));
                    }
                }
                Update::Ready if ready => there.clear(),
                Update::Ready => ready = true,
                Update::Unreadable { subject, error } => {
                    tracing::warn!(subject, error, "a project on the bus can't be read; writing it again");
                }
            },
            () = index.projects_changed.notified() => {}
            () = tokio::time::sleep(RETRY), if failed => {}
        }
        // Without the settings a project would say that its accounts don't count.
        let missing = index.missing();
        let unread = missing.contains(&Part::Projects) || missing.contains(&Part::Settings);
        if !begun || !ready || unread {
            continue;
        }
        if !lead.holds() {
            failed = true;
            continue;
        }
        let wanted = index.environment(|environment| {
            environment
                .projects
                .keys()
                .filter_map(|name| {
                    let project = environment.project(name)?;
                    Some((
                        name.clone(),
                        said(name, &project, environment.settings.impersonation),
                    ))
                })
                .collect::<Vec<_>>()
        });
        failed = false;
        let gone: Vec<String> = there
            .keys()
            .filter(|name| !wanted.iter().any(|(wanted, _)| wanted == *name))
            .cloned()
            .collect();
        for (name, project) in wanted {
            if there.get(&name) == Some(&project) {
                continue;
            }
            match bus
                .put(Bucket::Projects, &bus::subject::escape(&name), &project)
                .await
            {
                Ok(_) => drop(there.insert(name, project)),
                Err(error) => {
                    failed = true;
                    tracing::warn!(
                        name,
                        error = &error as &dyn std::error::Error,
                        "publishing a project; trying again"
                    );
                }
            }
        }
        for name in gone {
            match bus
                .delete(Bucket::Projects, &bus::subject::escape(&name))
                .await
            {
                Ok(()) => drop(there.remove(&name)),
                Err(error) => {
                    failed = true;
                    tracing::warn!(
                        name,
                        error = &error as &dyn std::error::Error,
                        "removing a project; trying again"
                    );
                }
            }
        }
    }
}

fn owned(list: Option<Vec<&str>>) -> Vec<String> {
    let list = list.unwrap_or_default();
    list.into_iter().map(str::to_owned).collect()
}

fn said(name: &str, project: &AppProject, impersonation: Impersonation) -> Project {
    Project {
        name: name.to_owned(),
        spec: project.spec.clone(),
        secret_paths: owned(project.secret_paths()),
        secret_kinds: owned(project.secret_kinds()),
        vault_secrets: project.vault_secrets(),
        impersonation,
    }
}

/// Repository, credential and cluster Secrets.
pub async fn secrets(
    client: kube::Client,
    index: Arc<Index>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let api: Api<Secret> = Api::namespaced(client, &index.fixed().control_namespace);
    let config = watcher::Config::default().labels(SECRET_TYPE);
    follow(api, config, token, |change| match change {
        Change::Is(secret) => {
            let name = secret.name_any();
            match read_secret(&secret) {
                Ok(Some(read)) => index.configure(|it| {
                    it.secrets.insert(name.clone(), read);
                }),
                Ok(None) => index.configure(|it| {
                    it.secrets.remove(&name);
                }),
                // What it said before still holds.
                Err(error) => tracing::warn!(%error, "a Secret can't be used"),
            }
        }
        Change::Gone(name) => index.configure(|it| {
            it.secrets.remove(&name);
        }),
        Change::Complete(names) => {
            index.configure(|it| it.secrets.retain(|name, _| names.contains(name)));
            index.started(Part::Secrets);
        }
    })
    .await;
    Ok(())
}

/// `argocd-cm`; what it says about objects goes to `about_objects`.
pub async fn settings(
    client: kube::Client,
    index: Arc<Index>,
    about_objects: tokio::sync::watch::Sender<Said>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let api: Api<ConfigMap> = Api::namespaced(client, &index.fixed().control_namespace);
    follow(api, named(settings::CONFIG_MAP), token, |change| {
        let data = match change {
            Change::Is(map) => map.data.unwrap_or_default(),
            Change::Gone(_) => BTreeMap::new(),
            Change::Complete(names) => {
                if names.is_empty() {
                    index.configure(|it| it.settings = Settings::default());
                    about_objects.send_replace(Some(Arc::default()));
                }
                index.started(Part::Settings);
                return;
            }
        };
        about_objects.send_replace(Some(Arc::new(bus::message::settings::Settings::of(&data))));
        let settings = Settings::read(&data);
        for problem in &settings.problems {
            tracing::warn!(problem, "a setting in argocd-cm has no effect");
        }
        index.configure(|it| it.settings = settings);
    })
    .await;
    Ok(())
}

/// Host keys that an administrator vouched for.
pub async fn known_hosts(
    client: kube::Client,
    index: Arc<Index>,
    home: Home,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let api: Api<ConfigMap> = Api::namespaced(client, &index.fixed().control_namespace);
    let (map, key) = settings::KNOWN_HOSTS;
    follow(api, named(map), token, |change| {
        let known = match change {
            Change::Is(map) => {
                let data = map.data.unwrap_or_default();
                KnownHosts::parse(data.get(key).map_or("", String::as_str))
            }
            Change::Gone(_) => KnownHosts::default(),
            Change::Complete(names) => {
                if names.is_empty() {
                    index.configure(|it| it.vouched.known_hosts = Arc::default());
                }
                index.started(Part::KnownHosts);
                return;
            }
        };
        if let Err(error) = home.prefer(&known) {
            tracing::warn!(%error, "can't tell libgit2 which kinds of host keys are known");
        }
        index.configure(|it| it.vouched.known_hosts = Arc::new(known));
    })
    .await;
    Ok(())
}

/// Certificate authorities of single hosts.
pub async fn authorities(
    client: kube::Client,
    index: Arc<Index>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let api: Api<ConfigMap> = Api::namespaced(client, &index.fixed().control_namespace);
    follow(api, named(settings::TLS_CERTS), token, |change| {
        let (authorities, problems) = match change {
            Change::Is(map) => Authorities::parse(&map.data.unwrap_or_default()),
            Change::Gone(_) => Default::default(),
            Change::Complete(names) => {
                if names.is_empty() {
                    index.configure(|it| it.vouched.authorities = Arc::default());
                }
                index.started(Part::Authorities);
                return;
            }
        };
        for problem in problems {
            tracing::warn!(%problem, "a host's certificates can't be used: the system's authorities decide");
        }
        index.configure(|it| it.vouched.authorities = Arc::new(authorities));
    })
    .await;
    Ok(())
}

pub(super) fn named(name: &str) -> watcher::Config {
    watcher::Config::default().fields(&format!("metadata.name={name}"))
}
