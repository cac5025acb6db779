//! Made-up states of an observatory's applications, for tests and for looking at the page.

use std::sync::Arc;

use bus::message::condition::{Condition, ConditionType};
use bus::message::desired::{Cause, Commit, Trigger};
use bus::message::manifests::SourceType;
use bus::message::state::{
    ApplierState, Health, HealthStatus, HistoryEntry, Operation, OperationPhase, Pin, PinUntil,
    ReleaseCause, RendererState, ResourceResult, ResourceState, ResultStatus, SourceState,
    SyncStatus, Timeline, WatcherState,
};
use bus::{AppId, ClusterId, Digest, Generation, ReleaseId};
use serde_json::{Value, json};

use crate::declared::Declared;
use crate::fold::{Heard, InCluster, Live, Parts, fold};
use crate::view::View;

pub(crate) const NOW: u64 = 1_772_600_767_000;
pub(crate) const REPOSITORY: &str = "https://git.example.org/observatory/deploy";

pub(crate) fn app(name: &str) -> AppId {
    AppId::new("argocd", name).unwrap()
}

pub(crate) fn revision(number: u64) -> String {
    Digest::of(number.to_string().as_bytes()).as_str()[..40].to_owned()
}

pub(crate) fn object(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"namespace": "argocd", "name": name, "uid": format!("uid-{name}"), "resourceVersion": "100"},
        "spec": {
            "project": "telescopes",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "summit"},
            "source": {"repoURL": REPOSITORY, "path": name, "targetRevision": "main"},
            "syncPolicy": {"automated": {"prune": true}}
        }
    })
}

pub(crate) fn declared(object: &Value) -> Declared {
    Declared::read(&serde_json::from_value(object.clone()).unwrap()).unwrap()
}

fn commit(subject: &str) -> Commit {
    Commit {
        author: "Vera R.".to_owned(),
        subject: subject.to_owned(),
        time: NOW - 60_000,
    }
}

pub(crate) fn watcher(name: &str, generation: u64) -> WatcherState {
    WatcherState {
        app: app(name),
        uid: format!("uid-{name}"),
        cluster: Some(ClusterId::in_cluster()),
        project: "telescopes".to_owned(),
        generation: Some(Generation(generation)),
        sources: vec![SourceState {
            repo_url: REPOSITORY.to_owned(),
            target_revision: "main".to_owned(),
            revision: Some(revision(generation)),
            commit: Some(commit("Open the dome slower in wind")),
        }],
        conditions: Vec::new(),
        refreshed: None,
        deleting: false,
    }
}

pub(crate) fn renderer(name: &str, generation: u64) -> RendererState {
    RendererState {
        app: app(name),
        cluster: ClusterId::in_cluster(),
        generation: Generation(generation),
        source_types: vec![SourceType::Directory],
        digest: Some(Digest::of(b"manifests")),
        waits_for: Vec::new(),
        conditions: Vec::new(),
        reused: false,
        started: NOW - 5_000,
        finished: NOW - 4_950,
    }
}

pub(crate) fn operation(release: u64) -> Operation {
    Operation {
        release: ReleaseId(release),
        generation: Generation(release),
        phase: OperationPhase::Succeeded,
        message: "successfully synced (all objects applied and healthy)".to_owned(),
        revisions: vec![revision(release)],
        digest: Digest::of(b"manifests"),
        cause: ReleaseCause::Automated,
        started: NOW - 4_900,
        finished: Some(NOW - 2_000),
        retries: 0,
        timeline: Timeline {
            trigger: Some(Trigger {
                cause: Cause::Webhook,
                hard: false,
                noticed: NOW - 5_200,
                fetched: NOW - 5_080,
                published: NOW - 5_060,
            }),
            render_started: Some(NOW - 5_055),
            rendered: Some(NOW - 4_950),
            planned: Some(NOW - 4_900),
            applied: Some(NOW - 4_600),
            healthy: Some(NOW - 2_000),
        },
        results: vec![ResourceResult {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: "summit".to_owned(),
            name: "dome".to_owned(),
            status: ResultStatus::Synced,
            message: "applied".to_owned(),
            phase: "Sync".to_owned(),
            hook_phase: None,
        }],
        dry_run: false,
    }
}

fn resource(kind: &str, name: &str, group: &str, wave: i64) -> ResourceState {
    ResourceState {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: "summit".to_owned(),
        name: name.to_owned(),
        sync: Some(SyncStatus::Synced),
        health: (kind != "ConfigMap").then_some(HealthStatus::Healthy),
        message: String::new(),
        wave,
        hook: false,
        prune: false,
    }
}

fn release(number: u64) -> HistoryEntry {
    HistoryEntry {
        release: ReleaseId(number),
        generation: Generation(number),
        digest: Digest::of(b"manifests"),
        revisions: vec![revision(number)],
        commits: vec![Some(commit("Open the dome slower in wind"))],
        sources: vec![json!({"repoURL": REPOSITORY, "path": "dome", "targetRevision": "main"})],
        cause: if number.is_multiple_of(2) {
            ReleaseCause::Automated
        } else {
            ReleaseCause::Command {
                user: "vera".to_owned(),
                id: "1".to_owned(),
            }
        },
        started: NOW - 86_400_000 / number.max(1),
        finished: NOW - 86_400_000 / number.max(1) + 4_000,
        healthy: true,
    }
}

pub(crate) fn applier(name: &str, generation: u64) -> ApplierState {
    ApplierState {
        app: app(name),
        cluster: ClusterId::in_cluster(),
        uid: format!("uid-{name}"),
        generation: Generation(generation),
        sync: SyncStatus::Synced,
        revisions: vec![revision(generation)],
        health: Health {
            status: HealthStatus::Healthy,
            message: String::new(),
            since: NOW - 2_000,
        },
        resources: vec![
            resource("ConfigMap", &format!("{name}-settings"), "", -1),
            resource("Deployment", name, "apps", 0),
            resource("Service", name, "", 0),
        ],
        conditions: Vec::new(),
        operation: Some(operation(generation)),
        history: (1..=generation).map(release).collect(),
        pin: None,
        images: vec!["registry.example.org/dome:1.4".to_owned()],
        observe: false,
        deleted: None,
    }
}

/// A healthy application, by all services.
pub(crate) fn parts(name: &str) -> Parts {
    let here = InCluster {
        renderer: Some(renderer(name, 3)),
        agent: None,
        applier: Some(Live::from(applier(name, 3))),
    };
    Parts {
        declared: Some(Arc::new(declared(&object(name)))),
        watcher: [(
            Some(ClusterId::in_cluster()),
            Box::new(Heard {
                order: 1,
                state: watcher(name, 3),
            }),
        )]
        .into(),
        clusters: [(ClusterId::in_cluster(), Box::new(here))].into(),
        requested: None,
    }
}

pub(crate) fn view(name: &str) -> View {
    fold(&app(name), &parts(name))
}

pub(crate) fn render_error() -> Condition {
    Condition::new(
        ConditionType::ComparisonError,
        "rendering dome/templates/deployment.yaml:14: function \"lowr\" not defined; correct the template",
        NOW - 30_000,
    )
}

pub(crate) fn pin(release: u64) -> Pin {
    Pin {
        release: ReleaseId(release),
        user: "vera".to_owned(),
        since: NOW - 3_600_000,
        until: PinUntil::Unpinned,
    }
}
