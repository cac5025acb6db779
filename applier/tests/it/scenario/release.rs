use bus::message::condition::ConditionType;
use bus::message::state::{HealthStatus, OperationPhase, SyncStatus};
use serde_json::json;

use crate::world::{App, World, config_map, eventually, noted};

pub(crate) async fn objects_are_applied_and_told_of(world: &World) {
    let mut app = App::new("plain", "plain");
    app.spec["syncPolicy"]["syncOptions"] = json!(["CreateNamespace=true"]);
    let generation = world
        .release(&app, json!([config_map("a", "1"), config_map("b", "1")]))
        .await;
    let state = world
        .state(&app, "released", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    assert_eq!(state.health.status, HealthStatus::Healthy);
    assert_eq!(state.resources.len(), 2);
    let operation = state.operation.unwrap();
    assert_eq!(operation.phase, OperationPhase::Succeeded);
    assert!(operation.timeline.applied.is_some() && operation.timeline.healthy.is_some());
    let live = world.config_map("plain", "a").await.unwrap();
    let labels = live.metadata.labels.unwrap();
    assert_eq!(
        labels["towline.dev/application"],
        api::tracking::application_label("argocd", "plain")
    );
    assert_eq!(
        live.metadata.annotations.unwrap()["argocd.argoproj.io/tracking-id"],
        "plain:/ConfigMap:plain/a"
    );
    world.event(&app, "release.succeeded").await;

    // The next one changes one object, and costs the other no request.
    let before = world
        .config_map("plain", "b")
        .await
        .unwrap()
        .metadata
        .resource_version;
    world
        .release(&app, json!([config_map("a", "2"), config_map("b", "1")]))
        .await;
    eventually("a is 2", async || {
        world.config_map("plain", "a").await.unwrap().data.unwrap()["value"] == "2"
    })
    .await;
    assert_eq!(
        world
            .config_map("plain", "b")
            .await
            .unwrap()
            .metadata
            .resource_version,
        before
    );
}

pub(crate) async fn waves_and_hooks_follow_each_other(world: &World) {
    world.namespace("waves").await;
    let app = App::new("waves", "waves");
    let job = |name: &str, hook: &str, policy: &str| {
        noted(
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}}}),
            &[
                ("argocd.argoproj.io/hook", hook),
                ("argocd.argoproj.io/hook-delete-policy", policy),
            ],
        )
    };
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}}});
    let generation = world
        .release(
            &app,
            json!([
                noted(
                    config_map("last", "1"),
                    &[("argocd.argoproj.io/sync-wave", "5")]
                ),
                deployment,
                job("migrate", "PreSync", "HookSucceeded"),
                job("check", "PostSync", "BeforeHookCreation"),
            ]),
        )
        .await;
    let state = world
        .state(&app, "released", |state| {
            state.generation == generation
                && state
                    .operation
                    .as_ref()
                    .is_some_and(|operation| operation.phase == OperationPhase::Succeeded)
        })
        .await;
    assert_eq!(state.health.status, HealthStatus::Healthy, "{state:#?}");
    let jobs = world.objects("Job", "jobs", "batch", "waves");
    eventually("the PreSync hook is deleted", async || {
        jobs.get_opt("migrate")
            .await
            .unwrap()
            .is_none_or(|job| job.metadata.deletion_timestamp.is_some())
    })
    .await;
    let check = jobs.get("check").await.unwrap();
    let last = world.config_map("waves", "last").await.unwrap();
    let ready = world
        .objects("Deployment", "deployments", "apps", "waves")
        .get("web")
        .await
        .unwrap();
    let time = |meta: &kube::api::ObjectMeta| meta.creation_timestamp.clone().unwrap().0;
    assert!(
        time(&ready.metadata) <= time(&last.metadata)
            && time(&last.metadata) <= time(&check.metadata)
    );
    assert!(state.images.contains(&"nginx:1".to_owned()));
}

pub(crate) async fn what_leaves_the_manifests_is_pruned(world: &World) {
    world.namespace("prune").await;
    let app = App::new("prune", "prune");
    let kept = noted(
        config_map("kept", "1"),
        &[("argocd.argoproj.io/sync-options", "Prune=false")],
    );
    world
        .release(
            &app,
            json!([config_map("a", "1"), config_map("b", "1"), kept]),
        )
        .await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    let generation = world.release(&app, json!([config_map("a", "1")])).await;
    eventually("b is gone", async || {
        world.config_map("prune", "b").await.is_none()
    })
    .await;
    world
        .state(&app, "released again", |state| {
            state.generation == generation
        })
        .await;
    assert!(world.config_map("prune", "kept").await.is_some());
    assert!(world.config_map("prune", "a").await.is_some());

    // An empty render deletes nothing.
    let state_of_empty = world.release(&app, json!([])).await;
    let state = world
        .state(&app, "empty", |state| state.generation == state_of_empty)
        .await;
    assert!(
        state
            .conditions
            .iter()
            .any(|condition| condition.kind == ConditionType::ConfirmationNeeded),
        "{state:#?}"
    );
    assert!(world.config_map("prune", "a").await.is_some());
}

pub(crate) async fn a_forbidden_namespace_applies_nothing(world: &World) {
    world.namespace("allowed").await;
    world.namespace("forbidden").await;
    let mut app = App::new("forbidden", "allowed");
    app.spec["project"] = "narrow".into();
    let project = bus::message::project::Project {
        name: "narrow".to_owned(),
        spec: serde_json::from_value(
            json!({"destinations": [{"server": "*", "namespace": "allowed"}]}),
        )
        .unwrap(),
        ..bus::message::project::Project::default()
    };
    world
        .bus
        .put(bus::subject::Bucket::Projects, "narrow", &project)
        .await
        .unwrap();
    let mut outside = config_map("b", "1");
    outside["metadata"]["namespace"] = "forbidden".into();
    world
        .release(&app, json!([config_map("a", "1"), outside]))
        .await;
    let state = world
        .state(&app, "refused", |state| {
            state
                .conditions
                .iter()
                .any(|condition| condition.message.contains("doesn't allow namespace"))
        })
        .await;
    assert_eq!(state.sync, SyncStatus::OutOfSync);
    assert!(world.config_map("allowed", "a").await.is_none());
}

pub(crate) async fn a_bad_release_is_degraded_by_its_pods_reason_and_overtaken(world: &World) {
    world.namespace("bad").await;
    let app = App::new("bad", "bad");
    let deployment = |image: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "replicas": 1, "progressDeadlineSeconds": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}})
    };
    world.release(&app, json!([deployment("nginx:1")])).await;
    world
        .state(&app, "good", |state| {
            state.health.status == HealthStatus::Healthy && state.history.len() == 1
        })
        .await;
    world
        .release(&app, json!([deployment("nginx:broken")]))
        .await;
    let state = world
        .state(&app, "bad", |state| {
            state.health.status == HealthStatus::Degraded
        })
        .await;
    eprintln!(
        "bad release: {} / {}",
        state.health.message,
        state.operation.as_ref().unwrap().message
    );
    let generation = world.release(&app, json!([deployment("nginx:1")])).await;
    world
        .state(&app, "good again", |state| {
            state.generation == generation
                && state.health.status == HealthStatus::Healthy
                && state
                    .operation
                    .as_ref()
                    .is_some_and(|operation| operation.phase == OperationPhase::Succeeded)
        })
        .await;
}

pub(crate) async fn a_definition_and_its_objects_come_in_one_release(world: &World) {
    world.namespace("definition").await;
    let app = App::new("definition", "definition");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.x.io"},
        "spec": {"group": "x.io", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    let widget = json!({"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
    world.release(&app, json!([widget, definition])).await;
    world
        .state(&app, "released", |state| {
            state.sync == SyncStatus::Synced && state.history.len() == 1
        })
        .await;
    assert!(
        world
            .objects("Widget", "widgets", "x.io", "definition")
            .get_opt("a")
            .await
            .unwrap()
            .is_some()
    );
}

pub(crate) async fn what_another_application_holds_is_not_taken_over(world: &World) {
    world.namespace("shared").await;
    let (first, second) = (App::new("first", "shared"), App::new("second", "shared"));
    world.release(&first, json!([config_map("a", "1")])).await;
    world
        .state(&first, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    world
        .release(&second, json!([config_map("a", "2"), config_map("b", "2")]))
        .await;
    let state = world
        .state(&second, "warned", |state| !state.history.is_empty())
        .await;
    assert!(
        state
            .conditions
            .iter()
            .any(|condition| condition.kind == ConditionType::SharedResourceWarning),
        "{state:#?}"
    );
    assert_eq!(
        world.config_map("shared", "a").await.unwrap().data.unwrap()["value"],
        "1"
    );
    assert!(world.config_map("shared", "b").await.is_some());
}

pub(crate) async fn a_manual_application_waits_for_a_command(world: &World) {
    use bus::message::command::Action;
    world.namespace("manual").await;
    let mut app = App::new("manual", "manual");
    app.spec["syncPolicy"] = json!({});
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "out of sync", |state| {
            state.sync == SyncStatus::OutOfSync
        })
        .await;
    assert!(world.config_map("manual", "a").await.is_none());
    let sync = Action::Sync {
        prune: false,
        dry_run: false,
        force: false,
        resources: Vec::new(),
    };
    world.order(&app, sync).await;
    let state = world
        .state(&app, "synced", |state| state.sync == SyncStatus::Synced)
        .await;
    assert_eq!(state.operation.unwrap().cause.user(), Some("jane"));
    // A release that fails says what the server said.
    let bad = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bad"}, "spec": {"ports": [{"port": 0}]}});
    world
        .release(&app, json!([config_map("a", "1"), bad]))
        .await;
    world
        .state(&app, "out of sync again", |state| {
            state.sync == SyncStatus::OutOfSync
        })
        .await;
    world
        .order(
            &app,
            Action::Sync {
                prune: false,
                dry_run: false,
                force: false,
                resources: Vec::new(),
            },
        )
        .await;
    let state = world
        .state(&app, "failed", |state| {
            state
                .conditions
                .iter()
                .any(|condition| condition.kind == ConditionType::SyncError)
        })
        .await;
    assert!(
        state
            .conditions
            .iter()
            .any(|condition| condition.message.contains("Service manual/bad")),
        "{state:#?}"
    );
}

pub(crate) async fn a_field_of_the_wrong_type_is_named(world: &World) {
    world.namespace("mistyped").await;
    let app = App::new("mistyped", "mistyped");
    let labelled = |value: serde_json::Value| {
        let mut object = config_map("labelled", "1");
        object["metadata"]["labels"] = json!({"enabled": value});
        json!([object])
    };
    let generation = world.release(&app, labelled("yes".into())).await;
    world
        .state(&app, "released", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    let generation = world.release(&app, labelled(true.into())).await;
    let state = world
        .state(&app, "failed", |state| {
            state.generation == generation
                && state
                    .operation
                    .as_ref()
                    .is_some_and(|operation| operation.phase == OperationPhase::Failed)
        })
        .await;
    let message = state.operation.unwrap().message;
    assert!(message.contains("metadata.labels.enabled"), "{message}");
    assert!(!message.contains("apiVersion"), "{message}");
}
