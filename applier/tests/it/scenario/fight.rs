//! Somebody changes an object again each time that it is healed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bus::message::condition::ConditionType;
use bus::message::state::SyncStatus;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::world::{App, World, config_map, eventually};

const RIVAL: &str = "scaler";

/// Sets the value as soon as it is another one, as a controller does, and counts how often.
async fn set_again_and_again(api: Api<ConfigMap>, sets: &AtomicUsize) {
    let by = PatchParams {
        field_manager: Some(RIVAL.to_owned()),
        ..PatchParams::default()
    };
    loop {
        let live = api.get("fought-over").await.unwrap();
        if live.data.unwrap()["value"] != "theirs" {
            let patch = Patch::Merge(json!({"data": {"value": "theirs"}}));
            api.patch("fought-over", &by, &patch).await.unwrap();
            sets.fetch_add(1, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn a_rival_is_named_and_left_alone_for_longer_and_longer(world: &World) {
    world.namespace("fight").await;
    let app = App::new("fight", "fight");
    let objects = json!([config_map("fought-over", "1"), config_map("beside", "1")]);
    world.release(&app, objects).await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    let api = world.config_maps("fight");
    let sets = AtomicUsize::new(0);
    let begun = Instant::now();
    let story = async {
        let state = world
            .state(&app, "fought over", |state| {
                let mut kinds = state.conditions.iter().map(|condition| condition.kind);
                kinds.any(|kind| kind == ConditionType::ContestedResourceWarning)
            })
            .await;
        let warning = state
            .conditions
            .iter()
            .find(|condition| condition.kind == ConditionType::ContestedResourceWarning)
            .unwrap();
        for part in ["fought-over", RIVAL, "data.value"] {
            assert!(warning.message.contains(part), "{}", warning.message);
        }
        assert!(!warning.message.contains("beside"), "{}", warning.message);
        let told = world.said(&app, "drift.contested", |_| true).await;
        assert_eq!(told.detail["managers"], RIVAL);
        let gauge = "towline_applier_contested_objects 1";
        eventually("it is counted", async || {
            world.metrics().iter().any(|line| line == gauge)
        })
        .await;
        let by = PatchParams {
            field_manager: Some("kubectl-edit".to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"data": {"value": "by hand"}}));
        api.patch("beside", &by, &patch).await.unwrap();
        let before = sets.load(Ordering::SeqCst);
        eventually("what is beside it is healed", async || {
            let data = world.config_map("fight", "beside").await.unwrap().data;
            data.unwrap()["value"] == "1"
        })
        .await;
        let rounds = sets.load(Ordering::SeqCst) - before;
        assert!(rounds <= 1, "it waited for {rounds} rounds of the fight");
        // Long enough for hundreds of rounds.
        let left = Duration::from_secs(10).saturating_sub(begun.elapsed());
        tokio::time::sleep(left).await;
    };
    tokio::select! {
        () = set_again_and_again(api.clone(), &sets) => {}
        () = story => {}
    }
    // At once, at once, then after 1, 2 and 4 s: one more is a matter of when the clock is looked at.
    let sets = sets.load(Ordering::SeqCst);
    assert!(
        (4..=7).contains(&sets),
        "it was healed {sets} times in 10 s"
    );
    // Its rival is gone: the next heal is the last one.
    world
        .state(&app, "in sync", |state| state.sync == SyncStatus::Synced)
        .await;
}
