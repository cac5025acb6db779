//! All services' states of one application → one [`View`]. Pure: the same states make the same view.
//!
//! The applier says what is live; watcher, renderer and agent say why it may not be what was asked for. While the newest
//! desired state can't be compared, the last good one stays live and is shown, with the sync status unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::application::{ApplicationDestination, ApplicationSource};
use bus::message::condition::{Condition, ConditionType};
use bus::message::state::{
    AgentState, ApplierState, Health, HealthStatus, HistoryEntry, Operation, RendererState,
    ResourceState, SyncStatus, WatcherState,
};
use bus::message::verified::Verified;
use bus::{AppId, ClusterId, subject};

use crate::declared::Declared;
use crate::view::{Requested, SourceView, View, prevents_comparison};

/// More conditions than this help nobody.
const MAX_CONDITIONS: usize = 50;

/// What is known of one application, by who said it.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    pub declared: Option<Arc<Declared>>,
    /// By the cluster in its key; of several (a destination that changed) the one heard last counts.
    /// Boxed, as below: of these maps each is a node with room for eleven values, mostly for one.
    pub watcher: BTreeMap<Option<ClusterId>, Box<Heard<WatcherState>>>,
    pub clusters: BTreeMap<ClusterId, Box<InCluster>>,
    pub requested: Option<Arc<Requested>>,
}

/// A state, and how many were heard before it.
#[derive(Clone, Debug)]
pub struct Heard<T> {
    pub order: u64,
    pub state: T,
}

/// What is known of one application in one cluster.
#[derive(Clone, Debug, Default)]
pub struct InCluster {
    pub renderer: Option<RendererState>,
    pub agent: Option<AgentState>,
    pub applier: Option<Live>,
}

/// An applier's state, its large parts ready to be shared.
#[derive(Clone, Debug)]
pub struct Live {
    /// Without the parts below.
    pub state: ApplierState,
    pub resources: Arc<Vec<ResourceState>>,
    pub operation: Option<Arc<Operation>>,
    pub history: Arc<Vec<HistoryEntry>>,
    pub images: Arc<Vec<String>>,
}

impl From<ApplierState> for Live {
    fn from(mut state: ApplierState) -> Self {
        Self {
            resources: Arc::new(std::mem::take(&mut state.resources)),
            operation: state.operation.take().map(Arc::new),
            history: Arc::new(std::mem::take(&mut state.history)),
            images: Arc::new(std::mem::take(&mut state.images)),
            state,
        }
    }
}

impl InCluster {
    pub fn is_empty(&self) -> bool {
        self.renderer.is_none() && self.agent.is_none() && self.applier.is_none()
    }
}

impl Parts {
    pub fn is_empty(&self) -> bool {
        self.declared.is_none() && self.watcher.is_empty() && self.clusters.is_empty()
    }

    /// Whether `uid` is the object's; true while the object isn't known.
    fn is_of(&self, uid: &str) -> bool {
        self.declared
            .as_ref()
            .is_none_or(|declared| declared.uid == uid)
    }

    pub fn watcher(&self) -> Option<&WatcherState> {
        let last = self.watcher.values().max_by_key(|heard| heard.order)?;
        Some(&last.state).filter(|state| self.is_of(&state.uid))
    }

    fn appliers(&self) -> impl Iterator<Item = &Live> {
        let all = self
            .clusters
            .values()
            .filter_map(|here| here.applier.as_ref());
        all.filter(|live| self.is_of(&live.state.uid))
    }

    /// The watcher's word, else where something is live.
    fn cluster(&self) -> Option<ClusterId> {
        if let Some(watcher) = self.watcher() {
            return watcher.cluster.clone();
        }
        let live = self.appliers().filter(|live| live.state.deleted.is_none());
        let newest = live.max_by_key(|live| live.state.generation)?;
        Some(newest.state.cluster.clone())
    }

    /// The UID whose deletion every cluster that held it has carried out.
    fn deleted(&self) -> Option<String> {
        let mut done = None;
        for live in self.appliers() {
            if live.state.deleted.as_deref() != Some(&live.state.uid) {
                return None;
            }
            done = Some(live.state.uid.clone());
        }
        done
    }
}

pub fn fold(app: &AppId, parts: &Parts) -> View {
    let declared = parts.declared.as_deref();
    let watcher = parts.watcher();
    let cluster = parts.cluster();
    let here = cluster
        .as_ref()
        .and_then(|cluster| parts.clusters.get(cluster))
        .map(|here| &**here);
    let live = here
        .and_then(|here| here.applier.as_ref())
        .filter(|live| parts.is_of(&live.state.uid) && live.state.deleted.is_none());
    let held = live.map(|live| live.state.generation);
    // What was said of an older generation than the live one is over.
    let renderer = here
        .and_then(|here| here.renderer.as_ref())
        .filter(|state| Some(state.generation) >= held);
    let agent = here
        .and_then(|here| here.agent.as_ref())
        .filter(|state| Some(state.generation) >= held);

    let upstream: Vec<&Condition> = (watcher.iter().flat_map(|state| &state.conditions))
        .chain(renderer.iter().flat_map(|state| &state.conditions))
        .collect();
    let blocked = upstream
        .iter()
        .any(|condition| prevents_comparison(condition.kind));
    let conditions = conditions(
        (upstream.into_iter())
            .chain(agent.iter().flat_map(|state| &state.conditions))
            .chain(live.iter().flat_map(|live| &live.state.conditions)),
        live.and_then(|live| live.state.pin.as_ref()),
    );
    let generation = watcher.and_then(|state| state.generation);
    let sources = sources(declared, watcher);
    let revisions = match live {
        Some(live) if !live.state.revisions.is_empty() => live.state.revisions.clone(),
        _ => sources
            .iter()
            .filter_map(|source| source.revision.clone())
            .collect(),
    };
    let health = match live {
        Some(live) => live.state.health.clone(),
        None if generation.is_some() && !blocked => nothing_live(HealthStatus::Missing),
        // It is unclear even what should be there.
        None => nothing_live(HealthStatus::Unknown),
    };
    let destination = declared
        .map(|declared| declared.destination.clone())
        .unwrap_or_default();
    let environment = declared
        .and_then(|declared| declared.environment.clone())
        .unwrap_or_else(|| place(cluster.as_ref(), &destination));
    View {
        app: app.clone(),
        uid: declared
            .map(|declared| declared.uid.clone())
            .or_else(|| watcher.map(|state| state.uid.clone())),
        project: declared
            .map(|declared| declared.project.clone())
            .or_else(|| watcher.map(|state| state.project.clone()))
            .unwrap_or_default(),
        service: declared
            .and_then(|declared| declared.service.clone())
            .unwrap_or_else(|| without_environment(app.name(), &environment)),
        environment,
        destination,
        automated: declared.is_some_and(|declared| declared.automated),
        sync: match live {
            Some(live) if !blocked => live.state.sync,
            _ => SyncStatus::Unknown,
        },
        revisions,
        sources,
        source_types: renderer
            .map(|state| state.source_types.clone())
            .unwrap_or_default(),
        health,
        conditions,
        resources: live
            .map(|live| Arc::clone(&live.resources))
            .unwrap_or_default(),
        operation: live.and_then(|live| live.operation.clone()),
        requested: parts.requested.clone(),
        history: live
            .map(|live| Arc::clone(&live.history))
            .unwrap_or_default(),
        pin: live.and_then(|live| live.state.pin.clone()),
        images: live
            .map(|live| Arc::clone(&live.images))
            .unwrap_or_default(),
        generation,
        live_generation: held,
        deleting: declared.map_or_else(
            || watcher.is_some_and(|state| state.deleting),
            |declared| declared.deleting,
        ),
        observe: live.is_some_and(|live| live.state.observe),
        deleted: parts.deleted().or_else(|| nothing_deployed(parts, watcher)),
        cluster,
    }
}

const fn nothing_live(status: HealthStatus) -> Health {
    Health {
        status,
        message: String::new(),
        since: 0,
    }
}

/// Where an application goes, for one that doesn't say what it calls that.
fn place(cluster: Option<&ClusterId>, destination: &ApplicationDestination) -> String {
    let cluster = cluster.map(ClusterId::as_str).or(destination.name());
    format!(
        "{}/{}",
        cluster.unwrap_or("unknown"),
        destination.namespace()
    )
}

/// The UID of an object that is being deleted and whose destination never matched a cluster: no applier will ever speak for it.
fn nothing_deployed(parts: &Parts, watcher: Option<&WatcherState>) -> Option<String> {
    let watcher = watcher?;
    let nowhere = watcher.cluster.is_none() && watcher.generation.is_none();
    (watcher.deleting && nowhere && parts.appliers().next().is_none()).then(|| watcher.uid.clone())
}

fn sources(declared: Option<&Declared>, watcher: Option<&WatcherState>) -> Vec<SourceView> {
    let specified: &[ApplicationSource] = declared.map_or(&[], |declared| &declared.sources);
    if let Some(watcher) = watcher {
        let view = |(number, source): (usize, &bus::message::state::SourceState)| SourceView {
            branch: subject::branch(&source.repo_url, &source.target_revision),
            repo_url: api::git_url::without_credentials(&source.repo_url),
            part: specified.get(number).map(part).unwrap_or_default(),
            target_revision: source.target_revision.clone(),
            revision: source.revision.clone(),
            commit: source.commit.clone(),
        };
        return watcher.sources.iter().enumerate().map(view).collect();
    }
    let view = |source: &ApplicationSource| SourceView {
        branch: subject::branch(&source.repo_url, source.target_revision()),
        repo_url: api::git_url::without_credentials(&source.repo_url),
        part: part(source),
        target_revision: source.target_revision().to_owned(),
        revision: None,
        commit: None,
    };
    specified.iter().map(view).collect()
}

/// What of its repository a source is.
fn part(source: &ApplicationSource) -> String {
    match &source.reference {
        Some(reference) if source.is_reference_only() => format!("${reference}"),
        _ => source.chart().unwrap_or(source.path()).to_owned(),
    }
}

/// The union, each said once and since it was first said, errors before the rest.
fn conditions<'a>(
    all: impl Iterator<Item = &'a Condition>,
    pin: Option<&bus::message::state::Pin>,
) -> Vec<Condition> {
    let mut union: Vec<Condition> = Vec::new();
    for condition in all {
        match union.iter_mut().find(|known| known.says(condition)) {
            Some(known) => known.since = known.since.min(condition.since),
            None => union.push(condition.clone()),
        }
    }
    if let Some(pin) = pin
        && !union
            .iter()
            .any(|condition| condition.kind == ConditionType::Pinned)
    {
        let message = format!("held at release {} by {}", pin.release, pin.user);
        union.push(Condition::new(ConditionType::Pinned, &message, pin.since));
    }
    union.sort_by(|one, other| {
        let key = |condition: &Condition| (!crate::view::is_error(condition.kind), condition.kind);
        key(one)
            .cmp(&key(other))
            .then_with(|| one.message.cmp(&other.message))
    });
    union.truncate(MAX_CONDITIONS);
    union
}

/// `shop-prod` in environment `prod` is service `shop`; a name that doesn't say its environment is a service by itself.
fn without_environment(name: &str, environment: &str) -> String {
    let last = environment.rsplit('/').next().unwrap_or_default();
    let rest = (name
        .strip_suffix(last)
        .and_then(|rest| rest.strip_suffix('-')))
    .or_else(|| {
        name.strip_prefix(last)
            .and_then(|rest| rest.strip_prefix('-'))
    });
    match rest {
        Some(rest) if !last.is_empty() && !rest.is_empty() => rest.to_owned(),
        _ => name.to_owned(),
    }
}

impl View {
    /// The view with the newest commits that were checked and changed nothing of it.
    #[must_use]
    pub fn joined<'a>(&self, verified: impl Fn(&str) -> Option<&'a Verified>) -> Self {
        let mut view = self.clone();
        view.revisions = self.joined_revisions(verified);
        view
    }

    pub fn joined_revisions<'a>(
        &self,
        verified: impl Fn(&str) -> Option<&'a Verified>,
    ) -> Vec<String> {
        let mut revisions = self.revisions.clone();
        let (true, Some(generation)) = (self.is_current(), self.generation) else {
            return revisions;
        };
        if revisions.len() != self.sources.len() {
            return revisions;
        }
        for (shown, source) in revisions.iter_mut().zip(&self.sources) {
            // A pinned application is live at another revision than the newest desired one: nothing was checked for it.
            if source.revision.as_ref() == Some(shown)
                && let Some(verified) = verified(&source.branch)
                // A commit that changed the application can be live before its branch is said to be checked up to it: what
                // was checked before this generation was published is older than what is shown.
                && verified.time >= generation.0
            {
                shown.clone_from(&verified.revision);
            }
        }
        revisions
    }
}

#[cfg(test)]
mod tests;
