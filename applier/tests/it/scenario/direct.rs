//! Going back while the broker is away.

use std::time::Duration;

use applier::direct::{DirectError, Direction, give};
use bus::ReleaseId;
use bus::message::state::{PinUntil, ReleaseCause};
use kube::api::ListParams;
use serde_json::json;

use crate::world::{App, World, config_map};

pub(crate) async fn a_rollback_past_the_broker_pins_and_shows_when_it_is_back(world: &mut World) {
    world.namespace("direct").await;
    let app = App::new("direct", "direct");
    for (at, text) in ["1", "2", "3"].into_iter().enumerate() {
        world.release(&app, json!([config_map("a", text)])).await;
        world
            .state(&app, "released", |state| state.history.len() == at + 1)
            .await;
    }
    world.stack.nats.as_mut().unwrap().kill().await;

    let to = |release: Option<u64>, id: &str| Direction {
        store_namespace: "towline".to_owned(),
        app: app.id.clone(),
        release: release.map(ReleaseId),
        until: PinUntil::Unpinned,
        id: id.to_owned(),
        patience: Duration::from_secs(30),
    };
    let config_maps = world.config_maps("direct");
    let value = async || {
        let found = config_maps.get("a").await.unwrap();
        found.data.unwrap()["value"].clone()
    };
    let told = give(world.client.clone(), &to(None, "one")).await.unwrap();
    assert_eq!(told.release, ReleaseId(2));
    assert!(!told.user.is_empty());
    assert_eq!(value().await, "2");
    let told = give(world.client.clone(), &to(Some(1), "two"))
        .await
        .unwrap();
    assert_eq!(told.release, ReleaseId(1));
    assert_eq!(value().await, "1");
    // Once more to what is live is nothing to do, and no failure.
    give(world.client.clone(), &to(Some(1), "three"))
        .await
        .unwrap();

    let unknown = give(world.client.clone(), &to(Some(99), "four")).await;
    let Err(DirectError::NoRelease(why)) = unknown else {
        panic!("{unknown:?}")
    };
    assert!(why.contains("99") && why.contains("1, 2, 3"), "{why}");
    let elsewhere = Direction {
        app: App::new("nobody", "direct").id,
        ..to(None, "five")
    };
    let unknown = give(world.client.clone(), &elsewhere).await;
    assert!(
        matches!(unknown, Err(DirectError::NoRecord { .. })),
        "{unknown:?}"
    );

    // Nobody who leads: it is withdrawn, and not carried out later.
    world.kill_applier();
    let hasty = Direction {
        patience: Duration::from_secs(1),
        ..to(Some(3), "six")
    };
    let withdrawn = give(world.client.clone(), &hasty).await;
    assert!(
        matches!(withdrawn, Err(DirectError::NobodyTook(1))),
        "{withdrawn:?}"
    );
    let orders = ListParams::default().labels("towline.dev/part=order");
    let left = world.config_maps("towline").list(&orders).await.unwrap();
    assert!(left.items.is_empty());

    world
        .stack
        .nats
        .as_mut()
        .unwrap()
        .start_again()
        .await
        .unwrap();
    world.start_applier();
    let state = world
        .state(&app, "shown as pinned", |state| {
            state
                .pin
                .as_ref()
                .is_some_and(|pin| pin.release == ReleaseId(1))
        })
        .await;
    assert!(state.pin.unwrap().user.ends_with("(direct)"));
    assert!(matches!(
        state.operation.unwrap().cause,
        ReleaseCause::Rollback {
            to: ReleaseId(1),
            ..
        }
    ));
    assert_eq!(value().await, "1");
}
