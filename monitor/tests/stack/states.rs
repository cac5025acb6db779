//! Objects and states of one application.

use bus::message::condition::{Condition, ConditionType};
use bus::message::desired::{Cause, Trigger};
use bus::message::state::{
    ApplierState, Health, HealthStatus, Operation, OperationPhase, ReleaseCause, ResourceState,
    SourceState, SyncStatus, Timeline, WatcherState,
};
use bus::{AppId, ClusterId, Digest, Generation, ReleaseId};
use serde_json::{Value, json};

const REPOSITORY: &str = "https://git.example.org/observatory/deploy";

pub(crate) fn app(name: &str) -> AppId {
    AppId::new("argocd", name).unwrap()
}

pub(crate) fn revision(generation: u64) -> String {
    Digest::of(generation.to_string().as_bytes()).as_str()[..40].to_owned()
}

pub(crate) fn object(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"namespace": "argocd", "name": name, "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {
            "project": "default",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "summit"},
            "source": {"repoURL": REPOSITORY, "path": name, "targetRevision": "main"}
        }
    })
}

pub(crate) fn watcher(name: &str, generation: u64, uid: &str) -> WatcherState {
    WatcherState {
        app: app(name),
        uid: uid.to_owned(),
        cluster: Some(ClusterId::in_cluster()),
        project: "default".to_owned(),
        generation: Some(Generation(generation)),
        sources: vec![SourceState {
            repo_url: REPOSITORY.to_owned(),
            target_revision: "main".to_owned(),
            revision: Some(revision(generation)),
            commit: None,
        }],
        conditions: Vec::new(),
        refreshed: None,
        deleting: false,
    }
}

pub(crate) fn render_error() -> Condition {
    let message = "dome/deployment.yaml:3: mapping values are not allowed here; correct the YAML";
    Condition::new(ConditionType::ComparisonError, message, 1_772_600_767_000)
}

pub(crate) fn applier(name: &str, generation: u64, uid: &str) -> ApplierState {
    let since = 1_772_600_767_000 + generation;
    ApplierState {
        app: app(name),
        cluster: ClusterId::in_cluster(),
        uid: uid.to_owned(),
        generation: Generation(generation),
        sync: SyncStatus::Synced,
        revisions: vec![revision(generation)],
        health: Health {
            status: HealthStatus::Healthy,
            message: String::new(),
            since,
        },
        resources: vec![ResourceState {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: "summit".to_owned(),
            name: name.to_owned(),
            sync: Some(SyncStatus::Synced),
            health: Some(HealthStatus::Healthy),
            message: String::new(),
            wave: 0,
            hook: false,
            prune: false,
        }],
        conditions: Vec::new(),
        operation: Some(Operation {
            release: ReleaseId(generation),
            generation: Generation(generation),
            phase: OperationPhase::Succeeded,
            message: "all objects are applied and healthy".to_owned(),
            revisions: vec![revision(generation)],
            digest: Digest::of(b"manifests"),
            cause: ReleaseCause::Automated,
            started: since,
            finished: Some(since + 100),
            retries: 0,
            timeline: Timeline {
                trigger: Some(Trigger {
                    cause: Cause::Webhook,
                    hard: false,
                    noticed: since,
                    fetched: since + 10,
                    published: since + 11,
                }),
                render_started: Some(since + 12),
                rendered: Some(since + 20),
                planned: Some(since + 21),
                applied: Some(since + 40),
                healthy: Some(since + 100),
            },
            results: Vec::new(),
            dry_run: false,
        }),
        history: Vec::new(),
        pin: None,
        images: Vec::new(),
        observe: false,
        deleted: None,
    }
}
