use bus::message::state::{ApplierState, OperationPhase, ResultStatus, SyncStatus};
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually, noted};

fn hook(object: Value, types: &str, policy: &str) -> Value {
    noted(
        object,
        &[
            ("argocd.argoproj.io/hook", types),
            ("argocd.argoproj.io/hook-delete-policy", policy),
        ],
    )
}

fn job(name: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}}})
}

/// The server refuses it.
fn refused() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bad"}, "spec": {"ports": [{"port": 0}]}})
}

fn ended(state: &ApplierState, phase: OperationPhase) -> bool {
    let operation = state.operation.as_ref();
    operation.is_some_and(|operation| operation.phase == phase)
}

pub(crate) async fn a_failed_release_runs_its_hooks_for_failures(world: &World) {
    world.namespace("failing").await;
    let mut app = App::new("failing", "failing");
    app.spec["syncPolicy"]["retry"] = json!({"limit": 0});
    let kept = hook(job("clean-up"), "SyncFail", "BeforeHookCreation");
    let tell = hook(config_map("told", "1"), "SyncFail", "HookSucceeded");
    let after = hook(config_map("after", "1"), "PostSync", "BeforeHookCreation");
    let check = hook(config_map("check", "1"), "PreSync", "HookSucceeded");
    let good = json!([config_map("a", "1"), kept, tell, after, check]);
    let mut bad = good.clone();
    bad.as_array_mut().unwrap().push(refused());

    world.release(&app, bad).await;
    let state = world
        .state(&app, "failed", |state| ended(state, OperationPhase::Failed))
        .await;
    let operation = state.operation.unwrap();
    let result = |name: &str| operation.results.iter().find(|one| one.name == name);
    assert!(operation.message.contains("Service failing/bad"));
    assert_eq!(result("clean-up").unwrap().phase, "SyncFail");
    assert_eq!(
        result("clean-up").unwrap().hook_phase,
        Some(OperationPhase::Succeeded)
    );
    assert_eq!(result("bad").unwrap().status, ResultStatus::SyncFailed);
    let jobs = world.objects("Job", "jobs", "batch", "failing");
    assert!(jobs.get_opt("clean-up").await.unwrap().is_some());
    // The hook for failures has done its work; the one before the release goes with one that succeeds.
    eventually("the hook for failures is deleted", async || {
        world.config_map("failing", "told").await.is_none()
    })
    .await;
    assert!(world.config_map("failing", "check").await.is_some());
    assert!(world.config_map("failing", "after").await.is_none());

    let generation = world.release(&app, good).await;
    world
        .state(&app, "released", |state| {
            state.generation == generation && ended(state, OperationPhase::Succeeded)
        })
        .await;
    assert!(world.config_map("failing", "after").await.is_some());
    assert!(world.config_map("failing", "told").await.is_none());
    eventually("the hook before the release is deleted", async || {
        world.config_map("failing", "check").await.is_none()
    })
    .await;
}

pub(crate) async fn one_hook_runs_in_each_of_its_phases(world: &World) {
    world.namespace("twice").await;
    let app = App::new("twice", "twice");
    let generation = world
        .release(
            &app,
            json!([
                hook(job("both"), "PreSync,PostSync", "BeforeHookCreation"),
                noted(
                    config_map("a", "1"),
                    &[("argocd.argoproj.io/sync-wave", "1")]
                ),
            ]),
        )
        .await;
    world
        .state(&app, "released", |state| {
            state.generation == generation
                && state.sync == SyncStatus::Synced
                && ended(state, OperationPhase::Succeeded)
        })
        .await;
    let started: Vec<String> = world
        .events(&app)
        .await
        .into_iter()
        .filter(|event| event.kind.token() == "hook.started")
        .map(|event| event.message)
        .collect();
    assert_eq!(
        started,
        [
            "PreSync Job twice/both started",
            "PostSync Job twice/both started"
        ]
    );
    let jobs = world.objects("Job", "jobs", "batch", "twice");
    let both = jobs.get("both").await.unwrap();
    let a = world.config_map("twice", "a").await.unwrap();
    let time = |meta: kube::api::ObjectMeta| meta.creation_timestamp.unwrap().0;
    assert!(time(a.metadata) <= time(both.metadata));
}
