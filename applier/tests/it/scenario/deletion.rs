use bus::message::desired::Cascade;
use bus::message::state::SyncStatus;
use serde_json::json;

use crate::world::{App, World, config_map, noted};

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
    assert!(world.config_map("deletion", "a").await.is_none());
    assert!(world.config_map("deletion", "kept").await.is_some());
    let record = format!(
        "app-{}",
        api::tracking::application_label("argocd", "deletion")
    );
    assert!(world.config_map("towline", &record).await.is_none());
}
