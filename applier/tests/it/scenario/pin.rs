use bus::ReleaseId;
use bus::message::command::Action;
use bus::message::condition::ConditionType;
use bus::message::state::{PinUntil, ReleaseCause, SyncStatus};
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
                until: PinUntil::Unpinned,
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

pub(crate) async fn a_pin_until_a_newer_revision_ends_with_it_and_not_before(world: &World) {
    world.namespace("until").await;
    let app = App::new("until", "until");
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "first", |state| state.history.len() == 1)
        .await;
    world
        .release_at(&app, "bad", json!([config_map("a", "2")]))
        .await;
    world
        .state(&app, "second", |state| state.history.len() == 2)
        .await;
    let until = PinUntil::NewerRevision;
    let back = Action::Rollback {
        release: None,
        until,
    };
    world.order(&app, back).await;
    let value =
        async || world.config_map("until", "a").await.unwrap().data.unwrap()["value"].clone();
    eventually("a is 1 again", async || value().await == "1").await;
    let state = world
        .state(&app, "pinned", |state| state.pin.is_some())
        .await;
    assert_eq!(state.pin.as_ref().unwrap().until, until);
    let held = |condition: &bus::message::condition::Condition| {
        condition.kind == ConditionType::Pinned && condition.message.contains("until a newer")
    };
    assert!(state.conditions.iter().any(held), "{:?}", state.conditions);

    // Another parameter of the same revision is no newer one.
    let generation = world
        .release_at(&app, "bad", json!([config_map("a", "3")]))
        .await;
    let state = world
        .state(&app, "told", |state| state.generation == generation)
        .await;
    assert!(state.pin.is_some());
    assert_eq!(value().await, "1");

    world
        .release_at(&app, "good", json!([config_map("a", "4")]))
        .await;
    eventually("a is 4", async || value().await == "4").await;
    let state = world
        .state(&app, "unpinned", |state| {
            state.pin.is_none() && state.sync == SyncStatus::Synced
        })
        .await;
    assert_eq!(state.operation.unwrap().cause, ReleaseCause::Automated);
    assert!(
        world
            .event(&app, "application.unpinned")
            .await
            .contains("good ended the pin")
    );
}

pub(crate) async fn an_application_may_say_that_its_pins_end_with_a_newer_revision(world: &World) {
    world.namespace("policy").await;
    let mut app = App::new("policy", "policy");
    app.annotate("towline.dev/pin-policy", "until-newer-revision");
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "first", |state| state.history.len() == 1)
        .await;
    world.order(&app, Action::Pin).await;
    world
        .state(&app, "pinned", |state| {
            state
                .pin
                .as_ref()
                .is_some_and(|pin| pin.until == PinUntil::NewerRevision)
        })
        .await;
    world
        .release_at(&app, "newer", json!([config_map("a", "2")]))
        .await;
    world
        .state(&app, "unpinned and released", |state| {
            state.pin.is_none() && state.history.len() == 2
        })
        .await;
}
