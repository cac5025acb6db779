//! Objects that others applied before, each made by the requests that its predecessor really makes.

use std::sync::atomic::{AtomicBool, Ordering};

use bus::message::state::{HealthStatus, SyncStatus};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually};

const NAMESPACE: &str = "predecessors";

/// How a predecessor writes.
#[derive(Clone, Copy)]
enum How {
    /// `POST`, later a patch: noted as operation Update.
    ClientSide,
    /// As [`How::ClientSide`], with the last form in an annotation.
    LastApplied,
    /// `POST` and nothing later.
    Created,
    /// Noted as operation Apply.
    ServerSide,
}

struct Predecessor {
    name: &'static str,
    manager: &'static str,
    how: How,
    /// Its own label and annotation.
    marks: (&'static str, &'static str),
}

const PREDECESSORS: [Predecessor; 9] = [
    Predecessor {
        name: "kubectl-apply",
        manager: "kubectl-client-side-apply",
        how: How::LastApplied,
        marks: ("by", "note"),
    },
    Predecessor {
        name: "kubectl-create",
        manager: "kubectl-create",
        how: How::Created,
        marks: ("by", "note"),
    },
    Predecessor {
        name: "kubectl-server-side",
        manager: "kubectl",
        how: How::ServerSide,
        marks: ("by", "note"),
    },
    Predecessor {
        name: "helm3",
        manager: "helm",
        how: How::ClientSide,
        marks: ("app.kubernetes.io/managed-by", "meta.helm.sh/release-name"),
    },
    Predecessor {
        name: "helm4",
        manager: "helm",
        how: How::ServerSide,
        marks: ("app.kubernetes.io/managed-by", "meta.helm.sh/release-name"),
    },
    Predecessor {
        name: "argo-client-side",
        manager: "argocd-controller",
        how: How::LastApplied,
        marks: ("app.kubernetes.io/instance", "note"),
    },
    Predecessor {
        name: "argo-server-side",
        manager: "argocd-controller",
        how: How::ServerSide,
        marks: ("app.kubernetes.io/instance", "note"),
    },
    Predecessor {
        name: "flux-kustomize",
        manager: "kustomize-controller",
        how: How::ServerSide,
        marks: ("kustomize.toolkit.fluxcd.io/name", "note"),
    },
    Predecessor {
        name: "flux-helm",
        manager: "helm-controller",
        how: How::ClientSide,
        marks: ("helm.toolkit.fluxcd.io/name", "meta.helm.sh/release-name"),
    },
];

/// What Git holds of a predecessor's objects. `first`: what it drops later is still there.
fn in_git(name: &str, first: bool) -> [Value; 3] {
    let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
            "name": "c", "image": "nginx:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}]}}}});
    let mut settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"kept": "1"}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
        "type": "NodePort", "selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}});
    if first {
        deployment["spec"]["minReadySeconds"] = 0.into();
        deployment["spec"]["revisionHistoryLimit"] = 3.into();
        deployment["metadata"]["annotations"] = json!({"dropped": "later"});
        settings["data"]["dropped"] = "later".into();
    }
    [deployment, settings, service]
}

pub(crate) async fn whoever_applied_it_before_it_is_taken_over_without_a_restart(world: &World) {
    world.namespace(NAMESPACE).await;
    for predecessor in &PREDECESSORS {
        for object in in_git(predecessor.name, true) {
            write_as(world, predecessor, object).await;
        }
    }
    let deployments = world.objects("Deployment", "deployments", "apps", NAMESPACE);
    eventually("every predecessor's pod runs", async || {
        let list = deployments.list(&ListParams::default()).await.unwrap();
        list.items
            .iter()
            .all(|one| one.data["status"]["availableReplicas"] == 1)
    })
    .await;
    let before = essence(world).await;
    let pods = names(&world.objects("Pod", "pods", "", NAMESPACE)).await;
    assert_eq!(pods.len(), PREDECESSORS.len());

    let app = App::new("predecessors", NAMESPACE);
    let objects = |first| -> Value {
        PREDECESSORS
            .iter()
            .flat_map(|predecessor| in_git(predecessor.name, first))
            .collect()
    };
    let generation = world.release(&app, objects(true)).await;
    world
        .state(&app, "taken over", |state| {
            state.generation == generation
                && state.sync == SyncStatus::Synced
                && state.health.status == HealthStatus::Healthy
        })
        .await;
    assert_eq!(
        essence(world).await,
        before,
        "uid, spec and allocated addresses are what they were"
    );
    assert_eq!(
        names(&world.objects("Pod", "pods", "", NAMESPACE)).await,
        pods,
        "no pod is another"
    );
    for predecessor in &PREDECESSORS {
        let (label, note) = predecessor.marks;
        for (object, managers) in managed(world, predecessor.name).await {
            assert!(
                !managers.contains(&predecessor.manager.to_owned()),
                "{} still holds {}: {managers:?}",
                predecessor.manager,
                object.name_any()
            );
            assert!(
                !object.labels().contains_key(label),
                "{:?}",
                object.labels()
            );
            for gone in [note, "kubectl.kubernetes.io/last-applied-configuration"] {
                assert!(
                    !object.annotations().contains_key(gone),
                    "{:?}",
                    object.annotations()
                );
            }
        }
    }

    // What Git drops now goes, whoever had put it there.
    let generation = world.release(&app, objects(false)).await;
    world
        .state(&app, "released again", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    for predecessor in &PREDECESSORS {
        let name = predecessor.name;
        let settings = world.config_map(NAMESPACE, name).await.unwrap();
        assert_eq!(settings.data.unwrap().len(), 1, "{name}");
        let deployment = deployments.get(name).await.unwrap();
        assert!(!deployment.annotations().contains_key("dropped"), "{name}");
        assert_eq!(
            deployment.data["spec"]["revisionHistoryLimit"], 10,
            "{name}: the default again"
        );
    }
    assert_eq!(
        names(&world.objects("Pod", "pods", "", NAMESPACE)).await,
        pods
    );
    let sets = world.objects("ReplicaSet", "replicasets", "apps", NAMESPACE);
    assert_eq!(names(&sets).await.len(), PREDECESSORS.len());
}

pub(crate) async fn what_changes_while_it_is_taken_over_is_taken_over_all_the_same(world: &World) {
    const COUNT: usize = 20;
    world.namespace("busy").await;
    let name = |at: usize| format!("busy-{at}");
    let maps = world.config_maps("busy");
    let kubectl = PostParams {
        field_manager: Some("kubectl-client-side-apply".to_owned()),
        ..PostParams::default()
    };
    for at in 0..COUNT {
        let mut map = config_map(&name(at), "1");
        map["data"]["old"] = "x".into();
        maps.create(&kubectl, &serde_json::from_value(map).unwrap())
            .await
            .unwrap();
    }
    let over = AtomicBool::new(false);
    // A controller that never rests: whoever read an object a moment ago has an old version of it.
    let disturb = async {
        let controller = PatchParams {
            field_manager: Some("restless".to_owned()),
            ..PatchParams::default()
        };
        let mut round = 0_u64;
        while !over.load(Ordering::Relaxed) {
            round += 1;
            let patch =
                Patch::Merge(json!({"metadata": {"annotations": {"round": round.to_string()}}}));
            for at in 0..COUNT {
                maps.patch(&name(at), &controller, &patch).await.unwrap();
            }
        }
    };
    let app = App::new("busy", "busy");
    let release = async {
        let objects: Value = (0..COUNT).map(|at| config_map(&name(at), "1")).collect();
        let generation = world.release(&app, objects).await;
        world
            .state(&app, "taken over", |state| {
                state.generation == generation && state.sync == SyncStatus::Synced
            })
            .await;
        let failures = world.events(&app).await;
        assert!(
            failures
                .iter()
                .all(|event| event.kind.token() != "release.failed"),
            "{failures:#?}"
        );
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(disturb, release);
    for at in 0..COUNT {
        let map = world.config_map("busy", &name(at)).await.unwrap();
        assert!(!map.data.clone().unwrap().contains_key("old"), "{map:?}");
        assert!(
            map.annotations().contains_key("round"),
            "it is the controller's"
        );
    }
}

async fn write_as(world: &World, predecessor: &Predecessor, object: Value) {
    let mut object = object;
    let (label, note) = predecessor.marks;
    object["metadata"]["namespace"] = NAMESPACE.into();
    object["metadata"]["labels"][label] = "them".into();
    object["metadata"]["annotations"][note] = "them".into();
    let (kind, plural, group) = match object["kind"].as_str().unwrap() {
        "Deployment" => ("Deployment", "deployments", "apps"),
        "Service" => ("Service", "services", ""),
        _ => ("ConfigMap", "configmaps", ""),
    };
    let api = world.objects(kind, plural, group, NAMESPACE);
    let manager = Some(predecessor.manager.to_owned());
    if let How::ServerSide = predecessor.how {
        let params = PatchParams {
            force: true,
            field_manager: manager,
            ..PatchParams::default()
        };
        api.patch(predecessor.name, &params, &Patch::Apply(&object))
            .await
            .unwrap();
        return;
    }
    if let How::LastApplied = predecessor.how {
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
            object.to_string().into();
    }
    let post = PostParams {
        field_manager: manager.clone(),
        ..PostParams::default()
    };
    let made: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&post, &made).await.unwrap();
    if let How::Created = predecessor.how {
        return;
    }
    // An upgrade of its own.
    let params = PatchParams {
        field_manager: manager,
        ..PatchParams::default()
    };
    let patch = Patch::Strategic(json!({"metadata": {"annotations": {note: "them again"}}}));
    api.patch(predecessor.name, &params, &patch).await.unwrap();
}

/// What must not change when an object changes hands.
async fn essence(world: &World) -> Vec<Value> {
    let mut all = Vec::new();
    for (kind, plural, group) in [
        ("Deployment", "deployments", "apps"),
        ("Service", "services", ""),
        ("ConfigMap", "configmaps", ""),
    ] {
        let api = world.objects(kind, plural, group, NAMESPACE);
        for object in api.list(&ListParams::default()).await.unwrap() {
            all.push(json!([
                kind,
                object.name_any(),
                object.uid(),
                object.data["spec"],
                object.data["data"],
            ]));
        }
    }
    all
}

/// The predecessor's objects with who manages fields of them, subresources aside.
async fn managed(world: &World, name: &str) -> Vec<(DynamicObject, Vec<String>)> {
    let mut all = Vec::new();
    for (kind, plural, group) in [
        ("Deployment", "deployments", "apps"),
        ("Service", "services", ""),
        ("ConfigMap", "configmaps", ""),
    ] {
        let api = world.objects(kind, plural, group, NAMESPACE);
        let object = api.get(name).await.unwrap();
        let entries = object.managed_fields().iter();
        let managers = entries
            .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
            .filter_map(|entry| entry.manager.clone())
            .collect();
        all.push((object, managers));
    }
    all
}

async fn names(api: &Api<DynamicObject>) -> Vec<String> {
    let list = api.list(&ListParams::default()).await.unwrap();
    let mut names: Vec<String> = list.iter().map(ResourceExt::name_any).collect();
    names.sort();
    names
}
