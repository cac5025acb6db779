//! Sync options, on the real server.

use bus::message::condition::ConditionType;
use bus::message::state::{HealthStatus, OperationPhase, SyncStatus};
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually, noted};

const OPTIONS: &str = "argocd.argoproj.io/sync-options";

fn with(object: Value, options: &str) -> Value {
    noted(object, &[(OPTIONS, options)])
}

fn job(name: &str, image: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}}})
}

async fn released(world: &World, app: &App, objects: Value) -> bus::message::state::ApplierState {
    let generation = world.release(app, objects).await;
    world
        .state(app, "released", |state| {
            state.generation == generation
                && state.sync == SyncStatus::Synced
                && state.operation.as_ref().is_some_and(|operation| {
                    operation.generation == generation
                        && operation.phase == OperationPhase::Succeeded
                })
        })
        .await
}

async fn failed(world: &World, app: &App, objects: Value, sign: &str) {
    let generation = world.release(app, objects).await;
    world
        .state(app, "failed", |state| {
            state.operation.as_ref().is_some_and(|operation| {
                operation.generation == generation
                    && operation.phase == OperationPhase::Failed
                    && operation.message.contains(sign)
            })
        })
        .await;
}

pub(crate) async fn replace_writes_the_whole_object(world: &World) {
    world.namespace("replace").await;
    let app = App::new("replace", "replace");
    let map = |value: &str| with(config_map("a", value), "Replace=true");
    released(world, &app, json!([map("1")])).await;
    let uid = world.config_map("replace", "a").await.unwrap().uid();
    let edit = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    let theirs = Patch::Merge(json!({"data": {"theirs": "x"}}));
    let maps = world.config_maps("replace");
    maps.patch("a", &edit, &theirs).await.unwrap();
    released(world, &app, json!([map("2")])).await;
    let live = world.config_map("replace", "a").await.unwrap();
    assert_eq!(live.uid(), uid, "written, not made anew");
    let data = live.data.unwrap();
    assert_eq!((data.len(), data["value"].as_str()), (1, "2"));

    // Without Force, what can't be changed is a failure; a definition is written with its version.
    let app = App::new("replace-kinds", "replace");
    let definition = with(
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gadgets.y.io"},
            "spec": {"group": "y.io", "scope": "Namespaced", "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
        }),
        "Replace=true,Force=true",
    );
    released(world, &app, json!([definition])).await;
    let gadget = json!({"apiVersion": "y.io/v1", "kind": "Gadget", "metadata": {"name": "kept"}});
    let gadgets = world.objects("Gadget", "gadgets", "y.io", "replace");
    let made = serde_json::from_value(gadget).unwrap();
    gadgets.create(&PostParams::default(), &made).await.unwrap();
    let mut changed = definition.clone();
    changed["metadata"]["labels"]["changed"] = "yes".into();
    released(world, &app, json!([changed])).await;
    assert!(
        gadgets.get_opt("kept").await.unwrap().is_some(),
        "a definition is never made anew, whatever is forced"
    );
}

pub(crate) async fn force_makes_anew_what_cannot_be_changed(world: &World) {
    world.namespace("force").await;
    let app = App::new("force", "force");
    released(world, &app, json!([job("plain", "busybox:1")])).await;
    failed(world, &app, json!([job("plain", "busybox:2")]), "immutable").await;
    let jobs = world.objects("Job", "jobs", "batch", "force");
    let uid = jobs.get("plain").await.unwrap().uid();
    let forced = with(job("plain", "busybox:2"), "Force=true");
    released(world, &app, json!([forced])).await;
    let live = jobs.get("plain").await.unwrap();
    assert_ne!(live.uid(), uid);
    let image = "/spec/template/spec/containers/0/image";
    assert_eq!(live.data.pointer(image).unwrap(), "busybox:2");

    // What the server wouldn't make isn't given the old one for.
    let mut wrong = forced.clone();
    wrong["spec"]["template"]["spec"]["restartPolicy"] = "Sometimes".into();
    failed(world, &app, json!([wrong]), "restartPolicy").await;
    assert_eq!(jobs.get("plain").await.unwrap().uid(), live.uid());

    // An old one that stays for its finalizer is waited for, and not patched on its way out.
    let held = |value: &str| {
        let mut object = with(job("held", value), "Force=true");
        object["metadata"]["finalizers"] = json!(["example.org/held"]);
        object
    };
    let app = App::new("force-held", "force");
    released(world, &app, json!([held("busybox:1")])).await;
    let old = jobs.get("held").await.unwrap().uid();
    let release = released(world, &app, json!([held("busybox:2")]));
    let let_go = async {
        eventually("it is on its way out", async || {
            let live = jobs.get("held").await.unwrap();
            live.metadata.deletion_timestamp.is_some()
        })
        .await;
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        jobs.patch("held", &PatchParams::default(), &free)
            .await
            .unwrap();
    };
    tokio::join!(release, let_go);
    let live = jobs.get("held").await.unwrap();
    assert_ne!(live.uid(), old);
    assert_eq!(live.data.pointer(image).unwrap(), "busybox:2");
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    jobs.patch("held", &PatchParams::default(), &free)
        .await
        .unwrap();
}

pub(crate) async fn what_is_replaced_by_force_is_made_anew_by_each_release(world: &World) {
    world.namespace("again").await;
    let mut app = App::new("again", "again");
    let objects = |value: &str| {
        json!([
            config_map("a", value),
            with(job("migrate", "busybox"), "Force=true,Replace=true")
        ])
    };
    let jobs = world.objects("Job", "jobs", "batch", "again");
    released(world, &app, objects("1")).await;
    let first = jobs.get("migrate").await.unwrap().uid();
    released(world, &app, objects("2")).await;
    let second = jobs.get("migrate").await.unwrap().uid();
    assert_ne!(first, second);
    app.spec["syncPolicy"]["syncOptions"] = json!(["ApplyOutOfSyncOnly=true"]);
    released(world, &app, objects("3")).await;
    assert_eq!(jobs.get("migrate").await.unwrap().uid(), second);
}

pub(crate) async fn client_side_apply_keeps_what_others_added(world: &World) {
    world.namespace("client-side").await;
    let mut app = App::new("client-side", "client-side");
    app.spec["syncPolicy"]["syncOptions"] = json!(["ServerSideApply=false"]);
    let deployment = |image: &str, env: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "c", "image": image, "env": env}]}}}})
    };
    let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": data});
    let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]);
    released(
        world,
        &app,
        json!([
            deployment("nginx:1", env),
            secret(json!({"kept": "1", "dropped": "1"}))
        ]),
    )
    .await;
    let deployments = world.objects("Deployment", "deployments", "apps", "client-side");
    let live = deployments.get("web").await.unwrap();
    let entry = live
        .managed_fields()
        .iter()
        .find(|entry| entry.manager.as_deref() == Some("towline"));
    assert_eq!(entry.unwrap().operation.as_deref(), Some("Update"));
    assert!(
        live.annotations()
            .contains_key("kubectl.kubernetes.io/last-applied-configuration")
    );
    let sidecar = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "sidecar", "image": "proxy:1"}]}}}}));
    let mesh = PatchParams {
        field_manager: Some("mesh".to_owned()),
        ..PatchParams::default()
    };
    deployments.patch("web", &mesh, &sidecar).await.unwrap();
    released(
        world,
        &app,
        json!([
            deployment("nginx:2", json!([{"name": "A", "value": "1"}])),
            secret(json!({"kept": "2"}))
        ]),
    )
    .await;
    let live = deployments.get("web").await.unwrap();
    let containers = live.data["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    let named = |name: &str| containers.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(named("sidecar")["image"], "proxy:1");
    assert_eq!(named("c")["image"], "nginx:2");
    assert_eq!(
        named("c")["env"].as_array().unwrap().len(),
        1,
        "B was dropped"
    );
    let secret = world
        .objects("Secret", "secrets", "", "client-side")
        .get("s")
        .await
        .unwrap();
    assert_eq!(secret.data["data"], json!({"kept": "Mg=="}));
    let remembered = "kubectl.kubernetes.io/last-applied-configuration";
    assert!(
        !secret.annotations().contains_key(remembered),
        "values rest nowhere else"
    );
}

pub(crate) async fn what_server_side_apply_refuses_is_applied_with_a_warning_unless_asked_for(
    world: &World,
) {
    world.namespace("lenient").await;
    let odd = |name: &str| {
        let mut map = config_map(name, "1");
        map["unheardOf"] = json!({"a": 1});
        map
    };
    let strict = App::new("strict", "lenient");
    let state = released(world, &strict, json!([odd("strict")])).await;
    let warned = |state: &bus::message::state::ApplierState| {
        state
            .conditions
            .iter()
            .any(|condition| condition.kind == ConditionType::ClientSideApplyWarning)
    };
    assert!(warned(&state), "{state:#?}");
    let lenient = App::new("lenient", "lenient");
    let state = released(
        world,
        &lenient,
        json!([with(odd("lenient"), "Validate=false")]),
    )
    .await;
    assert!(!warned(&state), "{state:#?}");
    assert!(world.config_map("lenient", "lenient").await.is_some());
}

pub(crate) async fn an_object_waits_for_its_kind_where_it_says_so(world: &World) {
    world.namespace("missing").await;
    let app = App::new("missing", "missing");
    let thing = with(
        json!({"apiVersion": "z.io/v1", "kind": "Thing", "metadata": {"name": "a"}}),
        "SkipDryRunOnMissingResource=true",
    );
    let generation = world
        .release(&app, json!([config_map("first", "1"), thing]))
        .await;
    world
        .state(&app, "waiting for the kind", |state| {
            state.operation.as_ref().is_some_and(|operation| {
                operation.phase == OperationPhase::Running
                    && operation.message.contains("its kind is not served yet")
            })
        })
        .await;
    assert!(world.config_map("missing", "first").await.is_some());
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.z.io"},
        "spec": {"group": "z.io", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    let api: kube::Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        kube::Api::all(world.client.clone());
    api.create(
        &PostParams::default(),
        &serde_json::from_value(definition).unwrap(),
    )
    .await
    .unwrap();
    world
        .state(&app, "released", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    let things = world.objects("Thing", "things", "z.io", "missing");
    assert!(things.get_opt("a").await.unwrap().is_some());
}

pub(crate) async fn a_namespaces_metadata_are_kept_as_they_are_said(world: &World) {
    let mut app = App::new("managed", "managed");
    app.spec["syncPolicy"]["syncOptions"] = json!(["CreateNamespace=true"]);
    let say = |app: &mut App, labels: Value| {
        app.spec["syncPolicy"]["managedNamespaceMetadata"] =
            json!({"labels": labels, "annotations": {"owner": "shop"}});
    };
    say(&mut app, json!({"tier": "web", "dropped": "later"}));
    released(world, &app, json!([config_map("a", "1")])).await;
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
        kube::Api::all(world.client.clone());
    let live = namespaces.get("managed").await.unwrap();
    assert_eq!(live.labels()["tier"], "web");
    assert_eq!(live.annotations()["owner"], "shop");
    let theirs = Patch::Merge(json!({"metadata": {"labels": {"theirs": "1"}}}));
    namespaces
        .patch("managed", &PatchParams::default(), &theirs)
        .await
        .unwrap();

    // Only the application's words about it change; no manifest does.
    say(&mut app, json!({"tier": "api"}));
    world.release(&app, json!([config_map("a", "1")])).await;
    eventually("the label follows", async || {
        namespaces.get("managed").await.unwrap().labels()["tier"] == "api"
    })
    .await;
    let live = namespaces.get("managed").await.unwrap();
    assert!(!live.labels().contains_key("dropped"));
    assert_eq!(live.labels()["theirs"], "1");
}

pub(crate) async fn a_shared_object_fails_the_release_where_asked(world: &World) {
    world.namespace("strictly-shared").await;
    let first = App::new("owner", "strictly-shared");
    released(world, &first, json!([config_map("a", "1")])).await;
    let mut second = App::new("intruder", "strictly-shared");
    second.spec["syncPolicy"]["syncOptions"] = json!(["FailOnSharedResource=true"]);
    world
        .release(&second, json!([config_map("a", "2"), config_map("b", "2")]))
        .await;
    world
        .state(&second, "refused", |state| {
            state.conditions.iter().any(|condition| {
                condition.kind == ConditionType::SyncError
                    && condition.message.contains("FailOnSharedResource")
            })
        })
        .await;
    assert!(world.config_map("strictly-shared", "b").await.is_none());
}

pub(crate) async fn what_is_extraneous_by_its_own_word_leaves_the_application_in_sync(
    world: &World,
) {
    world.namespace("extraneous").await;
    let mut app = App::new("extraneous", "extraneous");
    app.spec["syncPolicy"] = json!({"automated": {"prune": false}});
    let extra = noted(
        config_map("extra", "1"),
        &[("argocd.argoproj.io/compare-options", "IgnoreExtraneous")],
    );
    released(world, &app, json!([config_map("a", "1"), extra])).await;
    let state = released(world, &app, json!([config_map("a", "2")])).await;
    assert!(world.config_map("extraneous", "extra").await.is_some());
    assert!(
        state
            .resources
            .iter()
            .any(|resource| resource.name == "extra" && resource.prune)
    );
    assert_eq!(state.health.status, HealthStatus::Healthy);
}

pub(crate) async fn dependents_stay_when_pruning_orphans_them(world: &World) {
    world.namespace("orphan").await;
    let mut app = App::new("orphan", "orphan");
    app.spec["syncPolicy"]["syncOptions"] = json!(["PrunePropagationPolicy=orphan"]);
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}}});
    released(world, &app, json!([config_map("a", "1"), deployment])).await;
    released(world, &app, json!([config_map("a", "1")])).await;
    let deployments = world.objects("Deployment", "deployments", "apps", "orphan");
    eventually("the Deployment is gone", async || {
        deployments.get_opt("web").await.unwrap().is_none()
    })
    .await;
    let sets = world.objects("ReplicaSet", "replicasets", "apps", "orphan");
    let sets = sets.list(&ListParams::default()).await.unwrap();
    assert!(
        sets.items[0].owner_references().is_empty(),
        "left to itself"
    );
}

pub(crate) async fn an_option_without_a_meaning_is_said_and_does_no_harm(world: &World) {
    world.namespace("unknown").await;
    let mut app = App::new("unknown", "unknown");
    app.spec["syncPolicy"]["syncOptions"] = json!(["CreateNameSpace=true"]);
    let state = released(
        world,
        &app,
        json!([with(config_map("a", "1"), "Prune=never")]),
    )
    .await;
    for sign in ["CreateNameSpace=true", "Prune=never"] {
        assert!(
            state.conditions.iter().any(|condition| {
                condition.kind == ConditionType::UnknownFieldWarning
                    && condition.message.contains(sign)
            }),
            "{:#?}",
            state.conditions
        );
    }
}
