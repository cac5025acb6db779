use bus::message::condition::ConditionType;
use bus::message::desired::{Cascade, Desired};
use bus::message::event::Event;
use bus::message::state::SyncStatus;
use bus::subject::{self, Stream};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::world::{App, World, cluster, config_map, noted};

pub(crate) async fn a_cascade_removes_objects_but_not_kept_ones(world: &World) {
    world.namespace("deletion").await;
    let app = App::new("deletion", "deletion");
    let kept = noted(
        config_map("kept", "1"),
        &[("argocd.argoproj.io/sync-options", "Delete=false")],
    );
    world
        .release(&app, json!([config_map("a", "1"), kept]))
        .await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    world.delete(&app, Cascade::Foreground).await;
    world
        .state(&app, "deleted", |state| {
            state.deleted.as_deref() == Some("uid-deletion")
        })
        .await;
    let desired = subject::desired(&cluster(), &app.id);
    let desired = world.bus.last::<Desired>(Stream::Desired, &desired).await;
    let generation = desired.unwrap().map(|stored| stored.value.generation);
    let carried_out = |event: &Event| event.generation == generation;
    world.said(&app, "application.deleted", carried_out).await;
    assert!(world.config_map("deletion", "a").await.is_none());
    assert!(world.config_map("deletion", "kept").await.is_some());
    let record = format!(
        "app-{}",
        api::tracking::application_label("argocd", "deletion")
    );
    assert!(world.config_map("towline", &record).await.is_none());
}

pub(crate) async fn an_object_that_does_not_go_is_named(world: &World) {
    world.namespace("stuck").await;
    let app = App::new("stuck", "stuck");
    let mut object = config_map("held", "1");
    object["metadata"]["finalizers"] = json!(["example.com/held"]);
    world.release(&app, json!([object])).await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    world.delete(&app, Cascade::Foreground).await;
    world
        .state(&app, "waiting for the object", |state| {
            state.conditions.iter().any(|condition| {
                condition.kind == ConditionType::DeletionError
                    && condition.message.contains("ConfigMap stuck/held")
            })
        })
        .await;
    let released = json!({"metadata": {"finalizers": null}});
    world
        .config_maps("stuck")
        .patch("held", &PatchParams::default(), &Patch::Merge(released))
        .await
        .unwrap();
    world
        .state(&app, "deleted", |state| {
            state.deleted.as_deref() == Some("uid-stuck")
        })
        .await;
}
