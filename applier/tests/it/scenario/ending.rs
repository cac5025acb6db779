//! How releases end that don't reach their goal.

use bus::message::command::Action;
use bus::message::condition::ConditionType;
use bus::message::state::{ApplierState, OperationPhase};
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually, noted};

/// A pod that is never ready: there is no such node.
fn gate(wave: &str) -> Value {
    noted(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gate"}, "spec": {
            "nodeSelector": {"no": "such"}, "containers": [{"name": "c", "image": "x"}]}}),
        &[("argocd.argoproj.io/sync-wave", wave)],
    )
}

/// A Job as a hook, whose pods have these labels.
fn hook(name: &str, phase: &str, spec: Value, labels: &Value) -> Value {
    let mut spec = spec;
    spec["restartPolicy"] = "Never".into();
    spec["containers"] = json!([{"name": "c", "image": "x"}]);
    noted(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {
            "backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": spec}}}),
        &[("argocd.argoproj.io/hook", phase)],
    )
}

fn failed(state: &ApplierState, message: &str) -> bool {
    state.operation.as_ref().is_some_and(|operation| {
        operation.phase == OperationPhase::Failed && operation.message.contains(message)
    })
}

pub(crate) async fn a_release_that_takes_too_long_fails_and_is_not_tried_again(world: &World) {
    world.namespace("late").await;
    let mut app = App::new("late", "late");
    app.annotate("towline.dev/sync-timeout", "2s");
    let last = noted(
        config_map("last", "1"),
        &[("argocd.argoproj.io/sync-wave", "2")],
    );
    world
        .release(&app, json!([config_map("first", "1"), gate("1"), last]))
        .await;
    let state = world
        .state(&app, "timed out", |state| {
            failed(state, "timed out after 2s")
        })
        .await;
    let operation = state.operation.unwrap();
    assert!(operation.message.contains("gate"), "{}", operation.message);
    assert!(operation.finished.unwrap() - operation.started >= 2_000);
    let said = |condition: &bus::message::condition::Condition| {
        condition.kind == ConditionType::SyncError && condition.message.contains("timed out")
    };
    assert!(state.conditions.iter().any(said), "{:?}", state.conditions);
    assert!(
        world
            .event(&app, "release.failed")
            .await
            .contains("timed out after 2s")
    );
    assert!(
        world
            .metrics()
            .contains(&"towline_applier_releases_total{outcome=\"timed_out\"} 1".to_owned())
    );
    assert!(world.config_map("late", "last").await.is_none());
    // What comes next is released all the same, in a time of its own.
    let generation = world.release(&app, json!([config_map("first", "2")])).await;
    let state = world
        .state(&app, "newer", |state| {
            state.generation == generation
                && state
                    .operation
                    .as_ref()
                    .is_some_and(|operation| operation.phase == OperationPhase::Succeeded)
        })
        .await;
    assert_eq!(state.operation.unwrap().release, bus::ReleaseId(2));
}

pub(crate) async fn a_terminated_release_takes_its_hook_with_it_and_stays_ended(world: &World) {
    world.namespace("ended").await;
    let app = App::new("ended", "ended");
    let endless = hook(
        "endless",
        "PreSync",
        json!({"nodeSelector": {"no": "such"}}),
        &json!({}),
    );
    world
        .release(&app, json!([config_map("a", "1"), endless]))
        .await;
    let jobs = world.objects("Job", "jobs", "batch", "ended");
    world
        .state(&app, "waiting", |state| {
            state
                .operation
                .as_ref()
                .is_some_and(|operation| operation.message.contains("endless"))
        })
        .await;
    assert!(jobs.get_opt("endless").await.unwrap().is_some());
    world.order(&app, Action::Terminate).await;
    world
        .state(&app, "terminated", |state| {
            failed(state, "terminated by jane")
        })
        .await;
    eventually("the hook is gone", async || {
        jobs.get_opt("endless")
            .await
            .unwrap()
            .is_none_or(|job| job.metadata.deletion_timestamp.is_some())
    })
    .await;
    // Nothing is left to be ended, and nothing of it was applied.
    let id = world.order(&app, Action::Terminate).await;
    let about = |event: &bus::message::event::Event| event.detail.get("command") == Some(&id);
    world.said(&app, "command.refused", about).await;
    assert!(world.config_map("ended", "a").await.is_none());
    world.release(&app, json!([config_map("a", "2")])).await;
    eventually("the next one is live", async || {
        world.config_map("ended", "a").await.is_some()
    })
    .await;
}

pub(crate) async fn tries_without_end_are_ended_by_a_person(world: &World) {
    world.namespace("endless").await;
    let mut app = App::new("endless", "endless");
    app.spec["syncPolicy"]["retry"] =
        json!({"limit": -1, "backoff": {"duration": "100ms", "factor": 1}});
    let bad = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bad"}, "spec": {"ports": [{"port": 0}]}});
    world.release(&app, json!([bad])).await;
    world
        .state(&app, "tried again", |state| {
            state
                .operation
                .as_ref()
                .is_some_and(|operation| operation.retries > 2)
        })
        .await;
    world.order(&app, Action::Terminate).await;
    let state = world
        .state(&app, "terminated", |state| {
            failed(state, "terminated by jane")
        })
        .await;
    assert_eq!(state.operation.unwrap().release, bus::ReleaseId(1));
    let id = world.order(&app, Action::Terminate).await;
    let about = |event: &bus::message::event::Event| event.detail.get("command") == Some(&id);
    world.said(&app, "command.refused", about).await;
}

pub(crate) async fn a_hook_that_fails_last_fails_the_release_and_is_tried_again(world: &World) {
    world.namespace("after").await;
    let mut app = App::new("after", "after");
    app.spec["syncPolicy"]["retry"] =
        json!({"limit": 1, "backoff": {"duration": "100ms", "factor": 1}});
    let check = hook(
        "check",
        "PostSync",
        json!({}),
        &json!({"towline.dev/demo-fail": "exit"}),
    );
    world
        .release(&app, json!([config_map("a", "1"), check]))
        .await;
    let state = world
        .state(&app, "failed twice", |state| {
            failed(state, "check")
                && state
                    .operation
                    .as_ref()
                    .is_some_and(|operation| operation.retries == 1)
        })
        .await;
    assert!(!state.history.last().unwrap().healthy);
    // Its objects are well all the while, and are looked after.
    world
        .config_maps("after")
        .delete("a", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    eventually("a is back", async || {
        world.config_map("after", "a").await.is_some()
    })
    .await;
    let state = world.state(&app, "still failed", |_| true).await;
    assert!(failed(&state, "check"), "{:?}", state.operation);
}
