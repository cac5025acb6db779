//! `towline.dev/rollback: on-failure`.

use bus::ReleaseId;
use bus::message::command::Action;
use bus::message::condition::ConditionType;
use bus::message::state::{ApplierState, HealthStatus, OperationPhase, ReleaseCause, SyncStatus};
use serde_json::{Value, json};

use crate::world::{App, World};

fn deployment(image: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": 1, "progressDeadlineSeconds": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}}])
}

fn refused(state: &ApplierState) -> Option<&str> {
    state
        .conditions
        .iter()
        .find(|condition| condition.kind == ConditionType::RefusedRevisionError)
        .map(|condition| &*condition.message)
}

/// Back at a release, by a release with this id.
fn is_back(state: &ApplierState, to: u64, release: u64) -> bool {
    refused(state).is_some()
        && state.health.status == HealthStatus::Healthy
        && state.operation.as_ref().is_some_and(|operation| {
            operation.release == ReleaseId(release)
                && operation.phase == OperationPhase::Succeeded
                && operation.cause == ReleaseCause::OnFailure { to: ReleaseId(to) }
        })
}

pub(crate) async fn a_release_that_turns_degraded_is_gone_back_from_once(world: &mut World) {
    world.namespace("back").await;
    let mut app = App::new("back", "back");
    app.annotate("towline.dev/rollback", "on-failure");
    let good = deployment("nginx:1");
    world.release(&app, good.clone()).await;
    world
        .state(&app, "good", |state| {
            state.history.last().is_some_and(|entry| entry.healthy)
        })
        .await;
    let bad = deployment("nginx:broken");
    let generation = world.release(&app, bad.clone()).await;
    let state = world
        .state(&app, "back at the first", |state| is_back(state, 1, 3))
        .await;
    assert_eq!(state.sync, SyncStatus::OutOfSync);
    assert_eq!(state.generation, generation);
    assert!(state.pin.is_none());
    assert!(
        refused(&state).unwrap().contains("back at release 1"),
        "{:?}",
        refused(&state)
    );
    assert!(
        world
            .event(&app, "revision.refused")
            .await
            .contains("going back to release 1")
    );
    assert_eq!(state.images, ["nginx:1"]);

    // Neither a restart nor the same manifests under a newer generation brings it again.
    world.kill_applier();
    world.start_applier();
    let generation = world.release(&app, bad).await;
    let state = world
        .state(&app, "still back", |state| {
            state.generation == generation && refused(state).is_some()
        })
        .await;
    assert_eq!(state.operation.as_ref().unwrap().release, ReleaseId(3));
    // Drift of what it is back at is healed, though nobody pinned it.
    let deployments = world.objects("Deployment", "deployments", "apps", "back");
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:hand"}]}}}});
    deployments
        .patch(
            "web",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Strategic(patch),
        )
        .await
        .unwrap();
    world.event(&app, "drift.healed").await;

    // A newer revision is released by itself: automated sync was on all the while.
    let generation = world.release(&app, deployment("nginx:2")).await;
    let state = world
        .state(&app, "newer", |state| {
            state.generation == generation
                && state.sync == SyncStatus::Synced
                && refused(state).is_none()
        })
        .await;
    assert_eq!(state.operation.unwrap().cause, ReleaseCause::Automated);
}

pub(crate) async fn a_release_that_times_out_is_gone_back_from_until_a_person_tries_it_again(
    world: &World,
) {
    world.namespace("slow").await;
    let mut app = App::new("slow", "slow");
    app.annotate("towline.dev/rollback", "on-failure");
    app.annotate("towline.dev/sync-timeout", "2s");
    world.release(&app, deployment("nginx:1")).await;
    world
        .state(&app, "good", |state| {
            state.history.last().is_some_and(|entry| entry.healthy)
        })
        .await;
    let mut stuck = deployment("nginx:2");
    stuck[0]["spec"]["progressDeadlineSeconds"] = 600.into();
    stuck[0]["spec"]["template"]["spec"]["nodeSelector"] = json!({"no": "such"});
    world.release(&app, stuck).await;
    let state = world
        .state(&app, "back at the first", |state| is_back(state, 1, 3))
        .await;
    assert!(refused(&state).unwrap().contains("timed out after 2s"));
    let sync = Action::Sync {
        prune: false,
        dry_run: false,
        force: false,
        resources: Vec::new(),
    };
    world.order(&app, sync).await;
    // Which is no better this time. What it was back at is the last healthy one now.
    world
        .state(&app, "back again", |state| is_back(state, 3, 5))
        .await;
}
