//! Fields that don't count, on the real API server.

use bus::message::settings::Settings;
use bus::message::state::SyncStatus;
use bus::subject::Bucket;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually};

fn shared(name: &str, value: &str) -> Value {
    let mut object = config_map(name, value);
    object["data"]["theirs"] = "git".into();
    object
}

async fn edit(world: &World, namespace: &str, name: &str, data: Value) {
    let by = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({ "data": data }));
    let api = world.config_maps(namespace);
    api.patch(name, &by, &patch).await.unwrap();
}

async fn data(world: &World, namespace: &str, name: &str, field: &str) -> String {
    let data = world.config_map(namespace, name).await.unwrap().data;
    data.unwrap()[field].clone()
}

fn ignoring(app: &mut App) {
    app.spec["ignoreDifferences"] = json!([
        {"kind": "ConfigMap", "name": "a", "jsonPointers": ["/data/theirs"]},
        {"kind": "ConfigMap", "name": "b", "jqPathExpressions": [".data | .[keys[] | select(startswith(\"their\"))]"]},
        {"kind": "ConfigMap", "name": "c", "managedFieldsManagers": ["kubectl-edit"]},
    ]);
}

pub(crate) async fn a_field_that_does_not_count_is_nobodys_drift(world: &World) {
    world.namespace("ignored").await;
    let mut app = App::new("ignored", "ignored");
    ignoring(&mut app);
    let objects = ["a", "b", "c", "counted"].map(|name| shared(name, "1"));
    world.release(&app, json!(objects)).await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    for name in ["a", "b", "c"] {
        edit(world, "ignored", name, json!({"theirs": "by hand"})).await;
    }
    // Later than the others, so that they were looked at when it is healed.
    edit(world, "ignored", "counted", json!({"theirs": "by hand"})).await;
    eventually("what counts is healed", async || {
        data(world, "ignored", "counted", "theirs").await == "git"
    })
    .await;
    for name in ["a", "b", "c"] {
        assert_eq!(
            data(world, "ignored", name, "theirs").await,
            "by hand",
            "{name}"
        );
    }
    world
        .state(&app, "in sync", |state| state.sync == SyncStatus::Synced)
        .await;
    // A field beside it still counts; healing writes the whole object.
    edit(world, "ignored", "a", json!({"value": "by hand"})).await;
    eventually("the field beside it is healed", async || {
        data(world, "ignored", "a", "value").await == "1"
    })
    .await;
}

pub(crate) async fn what_does_not_count_is_not_written_where_that_is_respected(world: &World) {
    world.namespace("respected").await;
    let mut app = App::new("respected", "respected");
    ignoring(&mut app);
    app.spec["syncPolicy"]["syncOptions"] = json!(["RespectIgnoreDifferences=true"]);
    let objects = |value: &str| {
        let mut list = vec![shared("a", value), shared("b", value), shared("c", value)];
        for (name, option) in [("a2", "ServerSideApply=false"), ("a3", "Replace=true")] {
            let note = [("argocd.argoproj.io/sync-options", option)];
            list.push(crate::world::noted(shared(name, value), &note));
        }
        json!(list)
    };
    for name in ["a2", "a3"] {
        let rule = json!({"kind": "ConfigMap", "name": name, "jsonPointers": ["/data/theirs"]});
        app.spec["ignoreDifferences"]
            .as_array_mut()
            .unwrap()
            .push(rule);
    }
    world.release(&app, objects("1")).await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    // What was never changed by others stays, too, though a release leaves it out.
    world.release(&app, objects("2")).await;
    for name in ["a", "b", "c", "a2", "a3"] {
        eventually(&format!("{name} is released"), async || {
            data(world, "respected", name, "value").await == "2"
        })
        .await;
        assert_eq!(
            data(world, "respected", name, "theirs").await,
            "git",
            "{name}"
        );
        edit(world, "respected", name, json!({"theirs": "by hand"})).await;
    }
    world.release(&app, objects("3")).await;
    for name in ["a", "b", "c", "a2", "a3"] {
        eventually(&format!("{name} is released again"), async || {
            data(world, "respected", name, "value").await == "3"
        })
        .await;
        assert_eq!(
            data(world, "respected", name, "theirs").await,
            "by hand",
            "{name}"
        );
    }
}

pub(crate) async fn argocd_cm_says_what_counts_from_the_moment_that_it_says_so(world: &World) {
    world.namespace("ignored-by-all").await;
    let mut app = App::new("ignored-by-all", "ignored-by-all");
    app.spec["syncPolicy"]["automated"]["selfHeal"] = false.into();
    world.release(&app, json!([shared("a", "1")])).await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    edit(world, "ignored-by-all", "a", json!({"theirs": "by hand"})).await;
    world
        .state(&app, "drifted", |state| state.sync == SyncStatus::OutOfSync)
        .await;
    let say = async |text: &str| {
        let key = "resource.customizations.ignoreDifferences._ConfigMap".to_owned();
        let settings = Settings {
            data: [(key, text.to_owned())].into(),
            outdated: None,
        };
        world
            .bus
            .put(Bucket::Settings, Settings::KEY, &settings)
            .await
            .unwrap();
    };
    say("jsonPointers: [/data/theirs]").await;
    world
        .state(&app, "in sync", |state| state.sync == SyncStatus::Synced)
        .await;
    say("").await;
    world
        .state(&app, "drifted again", |state| {
            state.sync == SyncStatus::OutOfSync
        })
        .await;
}
