//! What projects say: when, and as whom.

use api::settings::Impersonation;
use bus::message::command::Action;
use bus::message::condition::ConditionType;
use bus::message::project::Project;
use bus::message::state::{ApplierState, OperationPhase, SyncStatus};
use bus::subject::Bucket;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually};

async fn say(world: &World, name: &str, more: Value, impersonation: Impersonation) {
    let mut spec = json!({
        "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let project = Project {
        name: name.to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        impersonation,
        ..Project::default()
    };
    world
        .bus
        .put(Bucket::Projects, name, &project)
        .await
        .unwrap();
}

fn of_project(name: &str, project: &str) -> App {
    let mut app = App::new(name, name);
    app.spec["project"] = project.into();
    app
}

fn is_held(state: &ApplierState) -> bool {
    state.conditions.iter().any(|condition| {
        condition.kind == ConditionType::HeldBySyncWindow && condition.message.contains("CHG-1")
    })
}

pub(crate) async fn a_closed_window_holds_releases_and_healing_but_not_people_it_lets_through(
    world: &World,
) {
    world.namespace("windowed").await;
    // Open for no minute of any day.
    let closed = |manual: bool| {
        json!({"syncWindows": [{"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["windowed"],
            "manualSync": manual, "description": "CHG-1"}]})
    };
    say(world, "windowed", closed(false), Impersonation::Off).await;
    let app = of_project("windowed", "windowed");
    world.release(&app, json!([config_map("a", "1")])).await;
    world.state(&app, "held", is_held).await;
    assert!(world.config_map("windowed", "a").await.is_none());

    // A person's word waits too, until windows let people through.
    let sync = || Action::Sync {
        prune: false,
        dry_run: false,
        force: false,
        resources: Vec::new(),
    };
    world.order(&app, sync()).await;
    world.state(&app, "still held", is_held).await;
    assert!(world.config_map("windowed", "a").await.is_none());
    say(world, "windowed", closed(true), Impersonation::Off).await;
    world
        .state(&app, "released by hand", |state| {
            state.sync == SyncStatus::Synced
                && state
                    .operation
                    .as_ref()
                    .is_some_and(|operation| operation.cause.user() == Some("jane"))
        })
        .await;

    // What is deleted by hand isn't healed while it is closed, and is at once when it opens.
    let maps = world.config_maps("windowed");
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    world.state(&app, "held again", is_held).await;
    assert!(world.config_map("windowed", "a").await.is_none());
    say(world, "windowed", json!({}), Impersonation::Off).await;
    world
        .state(&app, "healed", |state| {
            state.sync == SyncStatus::Synced && !is_held(state)
        })
        .await;
    assert!(world.config_map("windowed", "a").await.is_some());
}

pub(crate) async fn objects_are_written_as_the_account_that_the_project_names(world: &World) {
    world.namespace("acting").await;
    let object =
        |kind: &str, plural: &str, group: &str| world.objects(kind, plural, group, "acting");
    let make = async |kind: &str, plural: &str, group: &str, body: Value| {
        let made = serde_json::from_value(body).unwrap();
        object(kind, plural, group)
            .create(&PostParams::default(), &made)
            .await
            .unwrap();
    };
    let rbac = "rbac.authorization.k8s.io";
    make(
        "ServiceAccount",
        "serviceaccounts",
        "",
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer"}}),
    )
    .await;
    make("Role", "roles", rbac, json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "deployer"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "delete"]}]})).await;
    make("RoleBinding", "rolebindings", rbac, json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "deployer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": "acting"}]})).await;
    let named = json!({"destinationServiceAccounts": [
        {"server": "https://kubernetes.default.svc", "namespace": "acting", "defaultServiceAccount": "deployer"}]});
    say(world, "acting", named, Impersonation::Enforced).await;
    let app = of_project("acting", "acting");
    world
        .release(&app, json!([config_map("a", "1"), config_map("b", "1")]))
        .await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    world.release(&app, json!([config_map("a", "1")])).await;
    eventually("b is pruned by the account", async || {
        world.config_map("acting", "b").await.is_none()
    })
    .await;

    // What the account may not do isn't done, and the message says which account and what; of a Secret nothing else.
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hunter2"}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    for (object, sign) in [
        (secret, "Secret acting/s"),
        (service, "cannot patch resource \"services\""),
    ] {
        let generation = world
            .release(&app, json!([config_map("a", "1"), object]))
            .await;
        let state = world
            .state(&app, "refused", |state| {
                state.operation.as_ref().is_some_and(|operation| {
                    operation.generation == generation && operation.phase == OperationPhase::Failed
                })
            })
            .await;
        let message = state.operation.unwrap().message;
        assert!(
            message.contains("service account acting:deployer may not"),
            "{message}"
        );
        assert!(
            message.contains(sign) && !message.contains("hunter2"),
            "{message}"
        );
    }

    // A destination for which the project names none has nothing applied.
    world.namespace("elsewhere").await;
    let app = of_project("elsewhere", "acting");
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "refused", |state| {
            state.conditions.iter().any(|condition| {
                condition.kind == ConditionType::InvalidSpecError
                    && condition.message.contains("names no account")
            })
        })
        .await;
    assert!(world.config_map("elsewhere", "a").await.is_none());
}

pub(crate) async fn a_namespace_is_made_only_where_the_project_allows_the_kind(world: &World) {
    say(
        world,
        "narrow-kinds",
        json!({"clusterResourceWhitelist": []}),
        Impersonation::Off,
    )
    .await;
    let mut app = of_project("unmade", "narrow-kinds");
    app.spec["syncPolicy"]["syncOptions"] = json!(["CreateNamespace=true"]);
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "refused", |state| {
            state.operation.as_ref().is_some_and(|operation| {
                operation.phase == OperationPhase::Failed
                    && operation.message.contains("clusterResourceWhitelist")
            })
        })
        .await;
    // One that is there needs no leave.
    world.namespace("unmade").await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
}

pub(crate) async fn what_nobody_has_in_the_namespace_is_told_where_the_project_asks(world: &World) {
    world.namespace("orphans").await;
    let maps = world.config_maps("orphans");
    for name in ["left", "ignored"] {
        let map = serde_json::from_value(config_map(name, "1")).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let asked = json!({"orphanedResources": {"warn": true, "ignore": [{"kind": "ConfigMap", "name": "ign*"}]}});
    say(world, "orphans", asked, Impersonation::Off).await;
    let app = of_project("orphans", "orphans");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}}});
    let orphaned = |state: &ApplierState| {
        let mut conditions = state.conditions.iter();
        conditions
            .find(|condition| condition.kind == ConditionType::OrphanedResourceWarning)
            .map(|condition| condition.message.clone())
    };
    world
        .release(&app, json!([config_map("a", "1"), deployment]))
        .await;
    let state = world
        .state(&app, "warned", |state| {
            state.sync == SyncStatus::Synced && orphaned(state).is_some()
        })
        .await;
    assert_eq!(
        orphaned(&state).unwrap(),
        "Application has 1 orphaned resources: ConfigMap orphans/left"
    );
    // It is looked at again after a release.
    maps.delete("left", &DeleteParams::default()).await.unwrap();
    let generation = world
        .release(&app, json!([config_map("a", "2"), deployment]))
        .await;
    world
        .state(&app, "no longer warned", |state| {
            state.generation == generation && orphaned(state).is_none()
        })
        .await;
}
