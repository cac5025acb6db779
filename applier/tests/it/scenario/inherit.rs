//! What another tool, or a record that was lost, had of an application.

use api::annotations;
use bus::message::cluster::Head;
use bus::message::state::SyncStatus;
use bus::subject::{self, Bucket};
use bus::{ReleaseId, Update};
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::world::{App, World, cluster, config_map, eventually, noted};

/// As Argo CD's annotation says it.
fn tracked(app: &str, namespace: &str, name: &str) -> String {
    format!("{app}:/ConfigMap:{namespace}/{name}")
}

pub(crate) async fn what_another_tool_had_is_taken_over_if_it_is_proven(world: &World) {
    const NAMESPACE: &str = "inherited";
    world.namespace(NAMESPACE).await;
    let id = |name: &str| tracked("inherited", NAMESPACE, name);
    let argo = PostParams {
        field_manager: Some("argocd-controller".to_owned()),
        ..PostParams::default()
    };
    let objects = [
        ("in-git", id("in-git"), ""),
        ("left", id("left"), ""),
        ("stays", id("stays"), "Prune=false"),
        ("others", tracked("another", NAMESPACE, "others"), ""),
        // As a controller copies annotations.
        ("copied", id("left"), ""),
    ];
    for (name, tracking, options) in &objects {
        let object = noted(
            config_map(name, "1"),
            &[
                (annotations::TRACKING_ID, tracking),
                (annotations::SYNC_OPTIONS, options),
                // Only of what stays it is asked.
                (annotations::COMPARE_OPTIONS, "IgnoreExtraneous"),
            ],
        );
        world
            .config_maps(NAMESPACE)
            .create(&argo, &serde_json::from_value(object).unwrap())
            .await
            .unwrap();
    }
    let mut app = App::new("inherited", NAMESPACE);
    app.had = objects
        .iter()
        .map(|(name, _, _)| format!("/ConfigMap/{NAMESPACE}/{name}"))
        .collect();
    for odd in ["/ConfigMap/inherited/gone", "nonsense", "no.such/Kind/a/b"] {
        app.had.push(odd.to_owned());
    }
    let generation = world
        .release(&app, json!([config_map("in-git", "2")]))
        .await;
    world
        .state(&app, "taken over", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    eventually("what left Git is pruned", async || {
        world.config_map(NAMESPACE, "left").await.is_none()
    })
    .await;
    for name in ["stays", "others", "copied"] {
        assert!(world.config_map(NAMESPACE, name).await.is_some(), "{name}");
    }
    let map = world.config_map(NAMESPACE, "in-git").await.unwrap();
    assert!(map.labels().contains_key(annotations::APPLICATION));
    // One release did all that, and none followed by itself.
    let generation = world
        .release(&app, json!([config_map("in-git", "3")]))
        .await;
    let state = world
        .state(&app, "released again", |state| {
            state.generation == generation
                && state.sync == SyncStatus::Synced
                && state.history.len() > 1
        })
        .await;
    assert_eq!(state.operation.unwrap().release, ReleaseId(2));
}

pub(crate) async fn objects_that_nobody_released_yet_are_shown_as_they_are(world: &World) {
    const NAMESPACE: &str = "unreleased";
    world.namespace(NAMESPACE).await;
    let object = noted(
        config_map("a", "1"),
        &[(
            annotations::TRACKING_ID,
            &tracked("unreleased", NAMESPACE, "a"),
        )],
    );
    let maps = world.config_maps(NAMESPACE);
    let made = serde_json::from_value(object).unwrap();
    maps.create(&PostParams::default(), &made).await.unwrap();
    let mut app = App::new("unreleased", NAMESPACE);
    app.spec["syncPolicy"] = json!({});
    app.had = vec![format!("/ConfigMap/{NAMESPACE}/a")];
    world.release(&app, json!([config_map("a", "1")])).await;
    let healthy = |state: &bus::message::state::ApplierState| {
        state.resources.first().and_then(|one| one.health)
    };
    let missing = Some(bus::message::state::HealthStatus::Missing);
    world
        .state(&app, "there", |state| {
            state.resources.len() == 1 && healthy(state) != missing
        })
        .await;
    // Nothing of it carries our label, and yet it is seen to go.
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    world
        .state(&app, "missing", |state| healthy(state) == missing)
        .await;
}

pub(crate) async fn a_record_that_was_lost_is_made_anew_from_what_was_shown(world: &mut World) {
    const NAMESPACE: &str = "lost-record";
    world.namespace(NAMESPACE).await;
    let mut app = App::new("lost-record", NAMESPACE);
    world
        .release(&app, json!([config_map("a", "1"), config_map("b", "1")]))
        .await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    world.kill_applier();
    let record = format!(
        "app-{}",
        api::tracking::application_label("argocd", "lost-record")
    );
    world
        .config_maps("towline")
        .delete(&record, &DeleteParams::default())
        .await
        .unwrap();
    let key = subject::application(&cluster(), &app.id);
    let mut heads = world.bus.watch_bucket::<Head>(Bucket::Heads, &key);
    while !matches!(heads.next().await, Update::Ready) {}
    world.start_applier();
    // It says that it holds nothing, which makes the watcher say what the application had.
    tokio::time::timeout(crate::world::PATIENCE, async {
        while !matches!(heads.next().await, Update::Deleted { .. }) {}
    })
    .await
    .unwrap();
    app.had = vec![format!("/ConfigMap/{NAMESPACE}/b")];
    let generation = world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "released", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    eventually("what left Git is pruned", async || {
        world.config_map(NAMESPACE, "b").await.is_none()
    })
    .await;
    assert!(world.config_map(NAMESPACE, "a").await.is_some());
}
