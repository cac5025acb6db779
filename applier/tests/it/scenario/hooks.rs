use bus::message::condition::ConditionType;
use bus::message::desired::Cascade;
use bus::message::state::{ApplierState, OperationPhase, ResultStatus, SyncStatus};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually, noted, timestamp};

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
    let with = |object: Value| json!([config_map("a", "1"), kept, tell, after, check, object]);
    let bad = with(refused());

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

    let generation = world.release(&app, with(config_map("good", "1"))).await;
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
    let both = hook(job("both"), "PreSync,PostSync", "BeforeHookCreation");
    let jobs = world.objects("Job", "jobs", "batch", "twice");
    let mark = async || {
        let notes = jobs.get("both").await.unwrap().metadata.annotations;
        notes.unwrap()["towline.dev/attempt"].clone()
    };
    world.release(&app, json!([both, gate()])).await;
    waits_for_gate(world, &app).await;
    assert!(mark().await.ends_with(".PreSync"));
    let generation = world
        .release(&app, json!([both, config_map("a", "1")]))
        .await;
    world
        .state(&app, "released", |state| {
            state.generation == generation
                && state.sync == SyncStatus::Synced
                && ended(state, OperationPhase::Succeeded)
        })
        .await;
    assert!(mark().await.ends_with(".PostSync"));
}

/// Never Ready: no such node.
fn gate() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gate"}, "spec": {
        "nodeSelector": {"no": "such"}, "containers": [{"name": "c", "image": "x"}]}})
}

async fn waits_for_gate(world: &World, app: &App) {
    world
        .state(app, "waiting", |state| {
            let operation = state.operation.as_ref();
            operation.is_some_and(|operation| operation.message.contains("gate"))
        })
        .await;
}

/// A restart while a release waits: what has run is known, though its object is gone by then.
pub(crate) async fn a_killed_applier_runs_no_hook_again(world: &mut World) {
    world.namespace("once").await;
    let app = App::new("once", "once");
    let check = hook(job("check"), "PreSync", "HookSucceeded");
    world.release(&app, json!([check, gate()])).await;
    waits_for_gate(world, &app).await;
    world.kill_applier();
    let jobs = world.objects("Job", "jobs", "batch", "once");
    let orphans = kube::api::DeleteParams::background();
    jobs.delete("check", &orphans).await.unwrap();
    eventually("the hook is gone", async || {
        jobs.get_opt("check").await.unwrap().is_none()
    })
    .await;
    world.start_applier();
    waits_for_gate(world, &app).await;
    assert!(jobs.get_opt("check").await.unwrap().is_none());
}

pub(crate) async fn hooks_of_a_deletion_run_before_and_after_it(world: &World) {
    world.namespace("parting").await;
    let mut app = App::new("parting", "parting");
    let before = hook(job("before"), "PreDelete", "BeforeHookCreation");
    let mut after = hook(config_map("after", "1"), "PostDelete", "HookFailed");
    // Kept, so that there is something to look at.
    after["metadata"]["finalizers"] = json!(["example.com/look"]);
    let held = noted(
        config_map("held", "1"),
        &[("argocd.argoproj.io/sync-options", "Delete=confirm")],
    );
    let objects = json!([config_map("a", "1"), held, before, after]);
    let generation = world.release(&app, objects).await;
    world
        .state(&app, "released", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    let jobs = world.objects("Job", "jobs", "batch", "parting");
    assert!(jobs.get_opt("before").await.unwrap().is_none());

    // Nothing goes, and nothing runs, before somebody agrees.
    app.deleted = Some(bus::clock::now_ms());
    world.delete(&app, Cascade::Foreground).await;
    world
        .state(&app, "asked", |state| {
            state.conditions.iter().any(|condition| {
                condition.kind == ConditionType::ConfirmationNeeded
                    && condition.message.contains("ConfigMap parting/held")
            })
        })
        .await;
    assert!(world.config_map("parting", "a").await.is_some());
    assert!(jobs.get_opt("before").await.unwrap().is_none());

    let approved = "argocd.argoproj.io/deletion-approved".to_owned();
    app.notes.insert(approved, timestamp());
    world.delete(&app, Cascade::Foreground).await;
    world
        .state(&app, "deleted", |state| {
            state.deleted.as_deref() == Some("uid-parting")
        })
        .await;
    for name in ["a", "held"] {
        assert!(world.config_map("parting", name).await.is_none());
    }
    assert!(world.config_map("parting", "after").await.is_some());
    world
        .said(&app, "hook.started", |event| {
            event.message.contains("PostDelete ConfigMap parting/after")
        })
        .await;
    eventually("the hook before it is cleared away", async || {
        jobs.get_opt("before").await.unwrap().is_none()
    })
    .await;
}

pub(crate) async fn a_hook_without_a_name_leaves_nothing_of_earlier_releases(world: &World) {
    world.namespace("unnamed").await;
    let app = App::new("unnamed", "unnamed");
    let unnamed = |prefix: &str, policy: &str| {
        let mut object = config_map("", "1");
        object["metadata"] = json!({ "generateName": prefix });
        hook(object, "PreSync", policy)
    };
    let left = async |prefix: &str| {
        let maps = world.config_maps("unnamed");
        let maps = maps.list(&ListParams::default()).await.unwrap();
        let names = maps.items.into_iter().filter_map(|map| map.metadata.name);
        names.filter(|name| name.starts_with(prefix)).count()
    };
    for value in ["1", "2", "3"] {
        let objects = json!([
            unnamed("tell-", "BeforeHookCreation"),
            unnamed("keep-", "HookFailed"),
            config_map("a", value),
        ]);
        let generation = world.release(&app, objects).await;
        world
            .state(&app, "released", |state| {
                state.generation == generation && ended(state, OperationPhase::Succeeded)
            })
            .await;
    }
    eventually("only the last one is there", async || {
        left("tell-").await == 1
    })
    .await;
    assert_eq!(left("keep-").await, 3, "which only a failure takes away");
}
