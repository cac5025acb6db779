use bus::message::state::SyncStatus;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::world::{App, World, config_map, eventually, noted};

pub(crate) async fn a_hand_edit_is_healed_and_told_of(world: &World) {
    world.namespace("drift").await;
    let app = App::new("drift", "drift");
    world
        .release(&app, json!([config_map("a", "1"), config_map("b", "1")]))
        .await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    let edit = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"data": {"value": "by hand", "extra": "theirs"}}));
    world
        .config_maps("drift")
        .patch("a", &edit, &patch)
        .await
        .unwrap();
    eventually("a is healed", async || {
        world.config_map("drift", "a").await.unwrap().data.unwrap()["value"] == "1"
    })
    .await;
    // What isn't ours is left alone.
    assert_eq!(
        world.config_map("drift", "a").await.unwrap().data.unwrap()["extra"],
        "theirs"
    );
    assert!(
        world
            .event(&app, "drift.detected")
            .await
            .contains("kubectl-edit")
    );
    world.event(&app, "drift.healed").await;
    world
        .config_maps("drift")
        .delete("b", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    eventually("b is back", async || {
        world.config_map("drift", "b").await.is_some()
    })
    .await;
    world
        .state(&app, "in sync again", |state| {
            state.sync == SyncStatus::Synced
        })
        .await;
}

pub(crate) async fn fields_of_kubectl_go_when_git_drops_them(world: &World) {
    world.namespace("adopt").await;
    let app = App::new("adopt", "adopt");
    let kubectl = PatchParams {
        field_manager: Some("kubectl-client-side-apply".to_owned()),
        ..PatchParams::default()
    };
    let before = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"value": "1", "old": "x"}});
    let created: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_value(before).unwrap();
    let post = kube::api::PostParams {
        field_manager: kubectl.field_manager.clone(),
        ..Default::default()
    };
    world
        .config_maps("adopt")
        .create(&post, &created)
        .await
        .unwrap();
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "taken over", |state| state.sync == SyncStatus::Synced)
        .await;
    let data = world.config_map("adopt", "a").await.unwrap().data.unwrap();
    assert!(!data.contains_key("old"), "{data:?}");
    assert!(
        world
            .event(&app, "object.adopted")
            .await
            .contains("kubectl-client-side-apply")
    );
}

pub(crate) async fn a_hand_edit_is_healed_however_the_object_was_written(world: &World) {
    world.namespace("written").await;
    let app = App::new("written", "written");
    let option = |name: &str, option: &str| {
        let note = [("argocd.argoproj.io/sync-options", option)];
        noted(config_map(name, "1"), &note)
    };
    let objects = json!([
        option("merged", "ServerSideApply=false"),
        option("replaced", "Replace=true")
    ]);
    world.release(&app, objects).await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    let edit = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    for name in ["merged", "replaced"] {
        let patch = Patch::Merge(json!({"data": {"value": "by hand"}}));
        let api = world.config_maps("written");
        api.patch(name, &edit, &patch).await.unwrap();
        eventually(&format!("{name} is healed"), async || {
            let data = world.config_map("written", name).await.unwrap().data;
            data.unwrap()["value"] == "1"
        })
        .await;
    }
    let told = world.event(&app, "drift.detected").await;
    assert!(told.contains("kubectl-edit"), "{told}");
}
