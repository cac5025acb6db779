//! `sync` as a dry run.

use bus::message::command::Action;
use bus::message::state::{OperationPhase, ResultStatus};
use serde_json::json;

use crate::world::{App, World, config_map, eventually};

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
pub(crate) async fn a_dry_run_says_what_would_be_done_and_does_nothing(world: &World) {
    world.namespace("trial").await;
    let mut app = App::new("trial", "trial");
    world
        .release(
            &app,
            json!([
                config_map("same", "1"),
                config_map("other", "1"),
                config_map("leaves", "1")
            ]),
        )
        .await;
    world
        .state(&app, "released", |state| state.history.len() == 1)
        .await;
    app.spec["syncPolicy"] = json!({});
    let wrong = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wrong"}, "data": {"value": 1}});
    let objects = json!([
        config_map("same", "1"),
        config_map("other", "2"),
        config_map("new", "1"),
        wrong
    ]);
    let generation = world.release(&app, objects).await;
    let before = world
        .state(&app, "known", |state| state.generation == generation)
        .await;

    let dry = |resources: Vec<String>| Action::Sync {
        prune: true,
        dry_run: true,
        force: false,
        resources,
    };
    world.order(&app, dry(Vec::new())).await;
    let state = world
        .state(&app, "tried", |state| {
            state.operation.as_ref().is_some_and(|last| last.dry_run)
        })
        .await;
    let tried = state.operation.unwrap();
    assert_eq!(tried.phase, OperationPhase::Failed);
    let of = |name: &str| {
        let found = tried.results.iter().find(|one| one.name == name);
        let one = found.unwrap_or_else(|| panic!("{name}: {:?}", tried.results));
        (one.status, one.message.clone())
    };
    let said = |text: &str| text.to_owned();
    assert_eq!(
        of("same"),
        (ResultStatus::Synced, said("unchanged (dry run)"))
    );
    assert_eq!(
        of("other"),
        (ResultStatus::Synced, said("configured (dry run)"))
    );
    assert_eq!(of("new"), (ResultStatus::Synced, said("created (dry run)")));
    assert_eq!(
        of("leaves"),
        (ResultStatus::Pruned, said("pruned (dry run)"))
    );
    let (status, why) = of("wrong");
    assert_eq!(status, ResultStatus::SyncFailed);
    assert!(why.contains("wrong"), "{why}");
    assert!(
        world
            .event(&app, "release.tried")
            .await
            .contains("1 would fail")
    );

    // Only what is named, and nothing was done.
    world
        .order(&app, dry(vec!["/ConfigMap/trial/new".to_owned()]))
        .await;
    let state = world
        .state(&app, "tried in part", |state| {
            let last = state.operation.as_ref();
            last.is_some_and(|last| last.dry_run && last.results.len() == 1)
        })
        .await;
    assert_eq!(state.operation.unwrap().phase, OperationPhase::Succeeded);
    assert_eq!(state.history, before.history);
    assert!(world.config_map("trial", "new").await.is_none());
    assert!(world.config_map("trial", "leaves").await.is_some());
    let other = world.config_map("trial", "other").await.unwrap();
    assert_eq!(other.data.unwrap()["value"], "1");

    // A release takes its place.
    let generation = world
        .release(
            &app,
            json!([config_map("same", "1"), config_map("other", "3")]),
        )
        .await;
    world
        .state(&app, "known", |state| state.generation == generation)
        .await;
    let sync = Action::Sync {
        prune: false,
        dry_run: false,
        force: false,
        resources: Vec::new(),
    };
    world.order(&app, sync).await;
    world
        .state(&app, "released", |state| {
            state
                .operation
                .as_ref()
                .is_some_and(|last| !last.dry_run && last.phase == OperationPhase::Succeeded)
                && state.history.len() == 2
        })
        .await;
    eventually("other is 3", async || {
        let found = world.config_map("trial", "other").await.unwrap();
        found.data.unwrap()["value"] == "3"
    })
    .await;
}
