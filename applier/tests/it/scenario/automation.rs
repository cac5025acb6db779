//! What `syncPolicy` says of releases that nobody asked for, and how an application's end is asked for.

use bus::message::command::Action;
use bus::message::condition::ConditionType;
use bus::message::desired::Cascade;
use bus::message::state::{ApplierState, SyncStatus};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually};

async fn synced(world: &World, app: &App, objects: Value) -> ApplierState {
    let generation = world.release(app, objects).await;
    world
        .state(app, "synced", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await
}

fn sync() -> Action {
    Action::Sync {
        prune: false,
        dry_run: false,
        force: false,
        resources: Vec::new(),
    }
}

pub(crate) async fn an_empty_render_prunes_only_where_that_is_allowed(world: &World) {
    world.namespace("empty").await;
    let mut app = App::new("empty", "empty");
    synced(world, &app, json!([config_map("a", "1")])).await;
    let generation = world.release(&app, json!([])).await;
    let kept = |state: &ApplierState| {
        let asks = |one: &bus::message::condition::Condition| {
            one.kind == ConditionType::ConfirmationNeeded && one.message.contains("allowEmpty")
        };
        state.generation == generation && state.conditions.iter().any(asks)
    };
    world.state(&app, "kept", kept).await;
    assert!(world.config_map("empty", "a").await.is_some());
    app.spec["syncPolicy"]["automated"]["allowEmpty"] = true.into();
    synced(world, &app, json!([])).await;
    eventually("it is pruned", async || {
        world.config_map("empty", "a").await.is_none()
    })
    .await;
}

pub(crate) async fn automation_that_is_switched_off_releases_and_heals_nothing(world: &World) {
    world.namespace("off").await;
    let mut app = App::new("off", "off");
    synced(world, &app, json!([config_map("a", "1")])).await;
    app.spec["syncPolicy"]["automated"]["enabled"] = false.into();
    synced(world, &app, json!([config_map("a", "1")])).await;
    let by_hand = Patch::Merge(json!({"data": {"value": "by hand"}}));
    let maps = world.config_maps("off");
    let kubectl = PatchParams::default();
    maps.patch("a", &kubectl, &by_hand).await.unwrap();
    world.event(&app, "drift.detected").await;
    let generation = world.release(&app, json!([config_map("a", "2")])).await;
    let waits = |state: &ApplierState| {
        state.generation == generation && state.sync == SyncStatus::OutOfSync
    };
    world.state(&app, "waiting", waits).await;
    let value = async || world.config_map("off", "a").await.unwrap().data.unwrap()["value"].clone();
    assert_eq!(value().await, "by hand");
    world.order(&app, sync()).await;
    eventually("a person's sync releases", async || value().await == "2").await;
}

pub(crate) async fn fields_of_kubectl_stay_without_migration(world: &World) {
    world.namespace("unmigrated").await;
    let mut app = App::new("unmigrated", "unmigrated");
    app.spec["syncPolicy"]["syncOptions"] = json!(["ClientSideApplyMigration=false"]);
    let kubectl = PostParams {
        field_manager: Some("kubectl-client-side-apply".to_owned()),
        ..PostParams::default()
    };
    let mut before = config_map("a", "1");
    before["data"]["old"] = "x".into();
    let maps = world.config_maps("unmigrated");
    let made = serde_json::from_value(before).unwrap();
    maps.create(&kubectl, &made).await.unwrap();
    synced(world, &app, json!([config_map("a", "2")])).await;
    let data = maps.get("a").await.unwrap().data.unwrap();
    assert_eq!(data["value"], "2");
    assert_eq!(data["old"], "x", "kubectl's still");
}

pub(crate) async fn a_deletion_in_the_background_takes_dependents_along(world: &World) {
    world.namespace("background").await;
    let app = App::new("background", "background");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}}});
    synced(world, &app, json!([deployment])).await;
    let sets = world.objects("ReplicaSet", "replicasets", "apps", "background");
    let count = async || sets.list(&ListParams::default()).await.unwrap().items.len();
    eventually("it has a ReplicaSet", async || count().await == 1).await;
    world.delete(&app, Cascade::Background).await;
    let gone = |state: &ApplierState| state.deleted.is_some();
    world.state(&app, "deleted", gone).await;
    let deployments = world.objects("Deployment", "deployments", "apps", "background");
    assert!(deployments.get_opt("web").await.unwrap().is_none());
    eventually("its ReplicaSet follows", async || count().await == 0).await;
}

pub(crate) async fn a_deletion_that_does_not_cascade_leaves_every_object(world: &World) {
    world.namespace("left-alone").await;
    let app = App::new("left-alone", "left-alone");
    synced(world, &app, json!([config_map("a", "1")])).await;
    world.delete(&app, Cascade::None).await;
    let gone = |state: &ApplierState| state.deleted.is_some();
    world.state(&app, "deleted", gone).await;
    let map = world.config_map("left-alone", "a").await.unwrap();
    assert!(map.metadata.deletion_timestamp.is_none());
}
