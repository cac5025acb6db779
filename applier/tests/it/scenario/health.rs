//! Health by scripts of `argocd-cm`, and of applications as a whole, on the real API server.

use bus::message::condition::ConditionType;
use bus::message::settings::Settings;
use bus::message::state::{ApplierState, HealthStatus, SyncStatus};
use bus::subject::Bucket;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::world::{App, World, config_map, noted};

const KEY: &str = "resource.customizations.health.PodTemplate";

/// A kind that has no rule, with a word for scripts.
fn template(name: &str, word: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name},
        "template": {
            "metadata": {"labels": {"word": word}},
            "spec": {"containers": [{"name": "a", "image": "example.org/a"}]},
        },
    })
}

async fn say(world: &World, keys: &[(&str, &str)]) {
    let data = keys
        .iter()
        .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    let settings = Settings {
        data: data.collect(),
        outdated: None,
    };
    let put = world.bus.put(Bucket::Settings, Settings::KEY, &settings);
    put.await.unwrap();
}

async fn is(world: &World, app: &App, status: HealthStatus, message: &str) -> ApplierState {
    let what = format!("{} ({message})", status.as_str());
    world
        .state(app, &what, |state| {
            state.sync == SyncStatus::Synced
                && state.health.status == status
                && state.health.message.contains(message)
        })
        .await
}

fn warnings(state: &ApplierState) -> Vec<&str> {
    let conditions = state.conditions.iter();
    let warnings =
        conditions.filter(|condition| condition.kind == ConditionType::CustomizationWarning);
    warnings
        .map(|condition| condition.message.as_str())
        .collect()
}

pub(crate) async fn a_script_of_argocd_cm_says_how_objects_are_as_soon_as_it_is_there(
    world: &World,
) {
    world.namespace("scripts").await;
    let app = App::new("scripts", "scripts");
    let objects = json!([template("a", "fine"), config_map("b", "1")]);
    world.release(&app, objects).await;
    is(world, &app, HealthStatus::Healthy, "").await;
    // Nothing about the objects changes from here on.
    say(
        world,
        &[(
            KEY,
            "return {status = 'Degraded', message = 'is ' .. obj.template.metadata.labels.word}",
        )],
    )
    .await;
    let state = is(world, &app, HealthStatus::Degraded, "is fine").await;
    assert_eq!(warnings(&state), [""; 0]);
    say(world, &[(KEY, "return {status = string.lower('Healthy')}")]).await;
    let state = is(
        world,
        &app,
        HealthStatus::Unknown,
        "attempt to index a nil value",
    )
    .await;
    assert_eq!(warnings(&state).len(), 1, "{:?}", warnings(&state));
    assert!(warnings(&state)[0].starts_with("health of PodTemplate: line 1: "));
    say(
        world,
        &[(
            KEY,
            "while true do pcall(function() while true do end end) end",
        )],
    )
    .await;
    is(world, &app, HealthStatus::Unknown, "it took too many steps").await;
    let open = "resource.customizations.useOpenLibs.PodTemplate";
    say(
        world,
        &[
            (KEY, "return {status = ('SSuspended'):sub(2)}"),
            (open, "true"),
            ("resource.customizations.helth.Pod", ""),
        ],
    )
    .await;
    let state = is(world, &app, HealthStatus::Suspended, "").await;
    assert!(
        warnings(&state)[0].contains("`helth`"),
        "{:?}",
        warnings(&state)
    );
    say(world, &[]).await;
    let state = is(world, &app, HealthStatus::Healthy, "").await;
    assert_eq!(warnings(&state), [""; 0]);
}

pub(crate) async fn a_release_waits_for_what_a_script_says(world: &World) {
    world.namespace("script-waits").await;
    let waits = "return {status = 'Progressing', message = 'not yet'}";
    say(world, &[(KEY, waits)]).await;
    let app = App::new("script-waits", "script-waits");
    let second = noted(
        config_map("second", "1"),
        &[("argocd.argoproj.io/sync-wave", "1")],
    );
    world
        .release(&app, json!([template("first", "x"), second]))
        .await;
    let waiting = world
        .state(&app, "waiting", |state| {
            state.health.message.contains("not yet")
        })
        .await;
    assert_eq!(waiting.health.status, HealthStatus::Progressing);
    assert!(world.config_map("script-waits", "second").await.is_none());
    say(world, &[(KEY, "return {status = 'Healthy'}")]).await;
    is(world, &app, HealthStatus::Healthy, "").await;
    assert!(world.config_map("script-waits", "second").await.is_some());
    say(world, &[]).await;
}

pub(crate) async fn an_application_is_missing_only_when_all_of_it_is(world: &World) {
    world.namespace("missing").await;
    let mut app = App::new("missing", "missing");
    app.spec["syncPolicy"] = json!({});
    world
        .release(&app, json!([config_map("a", "1"), config_map("b", "1")]))
        .await;
    let state = world
        .state(&app, "out of sync", |state| {
            state.sync == SyncStatus::OutOfSync
        })
        .await;
    assert_eq!(state.health.status, HealthStatus::Missing);
    let mut half = App::new("half-missing", "missing");
    half.spec["syncPolicy"]["automated"]["selfHeal"] = false.into();
    world
        .release(&half, json!([config_map("c", "1"), config_map("d", "1")]))
        .await;
    is(world, &half, HealthStatus::Healthy, "").await;
    let api = world.config_maps("missing");
    api.delete("d", &DeleteParams::default()).await.unwrap();
    let state = world
        .state(&half, "half of it there", |state| {
            state.sync == SyncStatus::OutOfSync
        })
        .await;
    assert_eq!(state.health.status, HealthStatus::Healthy);
}
