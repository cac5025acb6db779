//! `towline.dev/depends-on`. The watcher is played by the test.

use bus::message::command::Action;
use bus::message::predecessors::{Predecessor, Predecessors};
use bus::message::state::{ApplierState, OperationPhase, PinUntil};
use bus::subject::{self, Bucket};
use bus::{AppId, Generation, ReleaseId};
use serde_json::json;

use crate::world::{App, World, cluster, config_map, eventually};

/// As the watcher says it: what is desired of the other, and at which generation it is Healthy.
async fn says(
    world: &World,
    app: &App,
    generation: Generation,
    desired: u64,
    healthy: Option<u64>,
) {
    let row = Predecessors {
        app: app.id.clone(),
        cluster: cluster(),
        generation,
        problem: None,
        on: vec![Predecessor {
            app: AppId::new("argocd", "db").unwrap(),
            desired: Some(Generation(desired)),
            healthy: healthy.map(Generation),
            says: if healthy.is_some() {
                "is Healthy"
            } else {
                "is Progressing"
            }
            .to_owned(),
        }],
    };
    let key = subject::application(&cluster(), &app.id);
    world
        .bus
        .put(Bucket::Predecessors, &key, &row)
        .await
        .unwrap();
}

fn follower(name: &str) -> App {
    let mut app = App::new(name, name);
    app.annotate(api::annotations::DEPENDS_ON, "argocd/db");
    app
}

fn waits(state: &ApplierState) -> bool {
    state.operation.as_ref().is_some_and(|operation| {
        operation.phase == OperationPhase::Running
            && operation.message == "waiting: argocd/db is Progressing"
    })
}

fn released(value: &'static str) -> impl Fn(&ApplierState) -> bool {
    move |state| {
        let last = state.operation.as_ref();
        last.is_some_and(|last| {
            last.phase == OperationPhase::Succeeded && state.revisions == [value]
        })
    }
}

async fn value(world: &World, app: &App) -> Option<String> {
    let found = world.config_map(app.id.name(), "a").await?;
    Some(found.data.unwrap()["value"].clone())
}

pub(crate) async fn a_release_waits_for_what_it_depends_on_and_a_newer_one_for_it_instead(
    world: &World,
) {
    world.namespace("follower").await;
    let app = follower("follower");
    // Nothing is said of the generation yet, and what was said of an earlier one is not enough.
    says(world, &app, Generation(1), 1, Some(1)).await;
    let first = world
        .release_at(&app, "one", json!([config_map("a", "1")]))
        .await;
    world
        .state(&app, "waiting for the watcher", |state| {
            state
                .operation
                .as_ref()
                .is_some_and(|operation| operation.message.contains("the watcher has not said"))
        })
        .await;
    says(world, &app, first, 7, None).await;
    world.state(&app, "waiting for db", waits).await;
    assert!(value(world, &app).await.is_none());
    assert!(world.event(&app, "release.waiting").await.contains("one"));

    // A newer one comes meanwhile: it waits for what is desired by now, and the first is never applied.
    let second = world
        .release_at(&app, "two", json!([config_map("a", "2")]))
        .await;
    says(world, &app, second, 8, None).await;
    world
        .state(&app, "the newer waits", |state| {
            waits(state) && state.revisions == ["two"]
        })
        .await;
    says(world, &app, second, 8, Some(7)).await;
    world
        .state(&app, "waiting for the generation in question", |state| {
            state.operation.as_ref().is_some_and(|operation| {
                operation
                    .message
                    .contains("Healthy at an earlier generation")
            })
        })
        .await;
    assert!(value(world, &app).await.is_none());
    // What comes to be desired of the other from now on isn't waited for.
    says(world, &app, second, 9, Some(8)).await;
    let state = world.state(&app, "released", released("two")).await;
    assert_eq!(value(world, &app).await.as_deref(), Some("2"));
    assert_eq!(state.history.len(), 1);
    assert_eq!(state.history[0].release, ReleaseId(1));

    // Once released, how the other is doesn't matter.
    says(world, &app, second, 9, None).await;
    let patch = kube::api::Patch::Merge(json!({"data": {"value": "edited"}}));
    world
        .config_maps("follower")
        .patch("a", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("what was edited is healed", async || {
        value(world, &app).await.as_deref() == Some("2")
    })
    .await;
}

pub(crate) async fn what_a_person_asks_for_waits_too_and_a_person_can_end_it(world: &World) {
    world.namespace("asked").await;
    let mut app = follower("asked");
    app.spec["syncPolicy"] = json!({});
    let generation = world
        .release_at(&app, "one", json!([config_map("a", "1")]))
        .await;
    says(world, &app, generation, 1, None).await;
    world
        .state(&app, "known", |state| state.generation == generation)
        .await;
    let sync = || Action::Sync {
        prune: false,
        dry_run: false,
        force: false,
        resources: Vec::new(),
    };
    world.order(&app, sync()).await;
    world.state(&app, "waiting", waits).await;
    let told = world.said(&app, "release.waiting", |_| true).await;
    assert_eq!(told.user.as_deref(), Some("jane"));
    world.order(&app, Action::Terminate).await;
    let state = world
        .state(&app, "ended", |state| {
            let last = state.operation.as_ref();
            last.is_some_and(|last| last.phase == OperationPhase::Failed)
        })
        .await;
    let message = state.operation.unwrap().message;
    assert!(
        message.contains("terminated by jane; it waited: argocd/db is Progressing"),
        "{message}"
    );
    world.order(&app, sync()).await;
    world.state(&app, "waiting again", waits).await;
    says(world, &app, generation, 1, Some(1)).await;
    world.state(&app, "released", released("one")).await;
    assert_eq!(value(world, &app).await.as_deref(), Some("1"));
}

pub(crate) async fn a_killed_applier_waits_on(world: &mut World) {
    world.namespace("patient").await;
    let app = follower("patient");
    let generation = world
        .release_at(&app, "one", json!([config_map("a", "1")]))
        .await;
    says(world, &app, generation, 1, None).await;
    world.state(&app, "waiting", waits).await;
    world.kill_applier();
    // What it showed when it was killed must not be taken for what the next one shows.
    let key = subject::state("applier", Some(&cluster()), &app.id);
    world.bus.delete(Bucket::State, &key).await.unwrap();
    world.start_applier();
    world.state(&app, "waiting again", waits).await;
    assert!(value(world, &app).await.is_none());
    world.kill_applier();
    says(world, &app, generation, 1, Some(1)).await;
    world.start_applier();
    world.state(&app, "released", released("one")).await;
}

pub(crate) async fn the_way_back_waits_for_nobody(world: &World) {
    world.namespace("back-at-once").await;
    let app = follower("back-at-once");
    for text in ["1", "2"] {
        let generation = world
            .release_at(&app, text, json!([config_map("a", text)]))
            .await;
        says(world, &app, generation, 1, Some(1)).await;
        eventually("it is live", async || {
            value(world, &app).await.as_deref() == Some(text)
        })
        .await;
    }
    let state = world
        .state(&app, "both released", |state| state.history.len() == 2)
        .await;
    says(world, &app, state.generation, 2, None).await;
    world
        .order(
            &app,
            Action::Rollback {
                release: None,
                until: PinUntil::Unpinned,
            },
        )
        .await;
    eventually("a is 1 again", async || {
        value(world, &app).await.as_deref() == Some("1")
    })
    .await;
}
