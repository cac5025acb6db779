use bus::message::cluster::{ClusterInfo, Head};
use bus::message::command::Action;
use bus::message::state::{OperationPhase, SyncStatus};
use bus::subject::Bucket;
use serde_json::json;

use crate::world::{App, World, cluster, commit, config_map, eventually, noted};

pub(crate) async fn a_killed_applier_goes_on_where_it_was(world: &mut World) {
    world.namespace("crash").await;
    let app = App::new("crash", "crash");
    // Never Ready: no such node.
    let pod = noted(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gate"}, "spec": {
            "nodeSelector": {"no": "such"}, "containers": [{"name": "c", "image": "x"}]}}),
        &[("argocd.argoproj.io/sync-wave", "1")],
    );
    let objects = json!([
        config_map("first", "1"),
        pod,
        noted(
            config_map("last", "1"),
            &[("argocd.argoproj.io/sync-wave", "2")]
        )
    ]);
    world.release(&app, objects).await;
    world
        .state(&app, "waiting", |state| {
            state
                .operation
                .as_ref()
                .is_some_and(|operation| operation.message.contains("gate"))
        })
        .await;
    world.kill_applier();
    assert!(world.config_map("crash", "last").await.is_none());
    world.start_applier();
    // A newer generation overtakes what waits.
    let generation = world
        .release(
            &app,
            json!([config_map("first", "2"), config_map("last", "2")]),
        )
        .await;
    eventually("the newer one is live", async || {
        world
            .config_map("crash", "last")
            .await
            .is_some_and(|map| map.data.unwrap()["value"] == "2")
    })
    .await;
    let state = world
        .state(&app, "synced", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    assert_eq!(state.operation.unwrap().phase, OperationPhase::Succeeded);
    let pods = world.objects("Pod", "pods", "", "crash");
    eventually("the pod is pruned", async || {
        pods.get_opt("gate").await.unwrap().is_none()
    })
    .await;
}

pub(crate) async fn a_wiped_broker_deletes_nothing_and_keeps_the_pin(world: &mut World) {
    world.namespace("wiped").await;
    let app = App::new("wiped", "wiped");
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "released", |state| state.history.len() == 1)
        .await;
    world.order(&app, Action::Pin).await;
    world
        .state(&app, "pinned", |state| state.pin.is_some())
        .await;
    world.kill_applier();
    world.wipe_broker().await;
    world.start_applier();
    let state = world
        .state(&app, "still pinned", |state| {
            state.pin.is_some() && state.sync == SyncStatus::Synced
        })
        .await;
    assert_eq!(state.history.len(), 1);
    assert!(world.config_map("wiped", "a").await.is_some());
    // Drift is healed with what the cluster keeps.
    world
        .config_maps("wiped")
        .delete("a", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    eventually("a is back", async || {
        world.config_map("wiped", "a").await.is_some()
    })
    .await;
    // A broker that forgets while the applier runs is told everything again.
    world.wipe_broker().await;
    let state = world
        .state(&app, "told again", |state| state.pin.is_some())
        .await;
    assert_eq!(state.history[0].commit(), Some(&commit()));
    let key = bus::subject::application(&cluster(), &app.id);
    eventually("head and cluster are told again", async || {
        let head = world.bus.get::<Head>(Bucket::Heads, &key).await;
        let info = world
            .bus
            .get::<ClusterInfo>(Bucket::Clusters, cluster().as_str())
            .await;
        head.unwrap().is_some() && info.unwrap().is_some()
    })
    .await;
    // A refusal says which command it is about.
    let id = world
        .order(
            &app,
            Action::Rollback {
                release: Some(bus::ReleaseId(77)),
                until: bus::message::state::PinUntil::Unpinned,
            },
        )
        .await;
    let about = |event: &bus::message::event::Event| event.detail.get("command") == Some(&id);
    world.said(&app, "command.refused", about).await;
    // An older generation is refused.
    world.publish_desired(&app, bus::Generation(5)).await;
    assert!(world.event(&app, "desired.refused").await.contains('5'));
    let generation = world.release(&app, json!([config_map("a", "2")])).await;
    let state = world
        .state(&app, "newer known", |state| state.generation == generation)
        .await;
    assert!(state.pin.is_some());
    assert_eq!(
        world.config_map("wiped", "a").await.unwrap().data.unwrap()["value"],
        "1"
    );
}
