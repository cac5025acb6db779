use bus::ReleaseId;
use bus::message::command::Action;
use bus::message::condition::ConditionType;
use bus::message::state::SyncStatus;
use serde_json::json;

use crate::world::{App, World, config_map, eventually};

pub(crate) async fn a_rollback_pins_and_an_unpin_returns(world: &World) {
    world.namespace("pin").await;
    let app = App::new("pin", "pin");
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "first", |state| state.history.len() == 1)
        .await;
    world.release(&app, json!([config_map("a", "2")])).await;
    world
        .state(&app, "second", |state| state.history.len() == 2)
        .await;
    world
        .order(
            &app,
            Action::Rollback {
                release: Some(ReleaseId(1)),
            },
        )
        .await;
    let value = async || world.config_map("pin", "a").await.unwrap().data.unwrap()["value"].clone();
    eventually("a is 1 again", async || value().await == "1").await;
    let generation = world.release(&app, json!([config_map("a", "3")])).await;
    let state = world
        .state(&app, "pinned", |state| state.generation == generation)
        .await;
    assert_eq!(state.pin.as_ref().unwrap().release, ReleaseId(1));
    assert_eq!(state.sync, SyncStatus::OutOfSync);
    assert!(
        state
            .conditions
            .iter()
            .any(|condition| condition.kind == ConditionType::Pinned)
    );
    assert_eq!(value().await, "1");
    world.order(&app, Action::Unpin).await;
    eventually("a is 3", async || value().await == "3").await;
    world
        .state(&app, "unpinned", |state| {
            state.pin.is_none() && state.sync == SyncStatus::Synced
        })
        .await;
}
