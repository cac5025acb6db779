//! Fields of custom resources that a controller writes again in its own way.

use bus::message::settings::Settings;
use bus::message::state::SyncStatus;
use bus::subject::Bucket;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::diff::differences;
use crate::world::{App, World, eventually};

const KNOWN: &str = "resource.customizations.knownTypeFields.example.org_Telescope";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "telescopes.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced",
            "names": {"kind": "Telescope", "plural": "telescopes", "singular": "telescope"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    })
}

fn telescope() -> Value {
    json!({
        "apiVersion": "example.org/v1", "kind": "Telescope", "metadata": {"name": "a"},
        "spec": {
            "exposure": "90m", "site": "summit",
            "pod": {"containers": [{"name": "dome", "image": "x", "args": [], "resources": {"limits": {"cpu": "1000m"}}}]},
        },
    })
}

/// As a controller that knows the types writes it.
fn written_again() -> Value {
    json!({"spec": {
        "exposure": "1h30m0s",
        "pod": {"containers": [{"name": "dome", "image": "x", "resources": {"limits": {"cpu": "1"}}}]},
    }})
}

async fn write(api: &Api<DynamicObject>, manager: &str, change: Value) {
    let by = PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    };
    api.patch("a", &by, &Patch::Merge(change)).await.unwrap();
}

async fn spec(api: &Api<DynamicObject>) -> Value {
    api.get("a").await.unwrap().data["spec"].clone()
}

async fn say(world: &World, text: &str) {
    let settings = Settings {
        data: [(KNOWN.to_owned(), text.to_owned())].into(),
        outdated: None,
    };
    world
        .bus
        .put(Bucket::Settings, Settings::KEY, &settings)
        .await
        .unwrap();
}

pub(crate) async fn what_a_controller_writes_again_in_its_own_way_is_no_drift(world: &World) {
    world.namespace("known").await;
    let app = App::new("known", "known");
    let api = world.objects("Telescope", "telescopes", "example.org", "known");
    world
        .release(&app, json!([definition(), telescope()]))
        .await;
    world
        .state(&app, "released", |state| {
            state.sync == SyncStatus::Synced && state.history.len() == 1
        })
        .await;

    // As long as nobody says what the fields are, it is a change like any other.
    write(&api, "observatory", written_again()).await;
    eventually("it is written as in Git", async || {
        spec(&api).await == telescope()["spec"]
    })
    .await;

    say(
        world,
        "- field: spec.pod\n  type: core/v1/PodSpec\n- field: spec.exposure\n  type: meta/v1/Duration\n",
    )
    .await;
    // What was applied before anybody said it is compared as before, until it is applied again.
    write(&api, "kubectl-edit", json!({"spec": {"site": "valley"}})).await;
    eventually("it is healed", async || {
        spec(&api).await["site"] == "summit"
    })
    .await;
    world
        .state(&app, "in sync", |state| state.sync == SyncStatus::Synced)
        .await;

    write(&api, "observatory", written_again()).await;
    let version = api.get("a").await.unwrap().resource_version();
    // Another change, after which the one before has been looked at.
    write(&api, "observatory", json!({"spec": {"note": "theirs"}})).await;
    assert_ne!(api.get("a").await.unwrap().resource_version(), version);
    assert_eq!(differences(world, &app, None).await, []);
    let state = world
        .state(&app, "in sync", |state| state.sync == SyncStatus::Synced)
        .await;
    assert!(state.conditions.is_empty(), "{:#?}", state.conditions);

    // A value that means something else is healed, and only that is shown to differ.
    let mut proposed = telescope();
    proposed["spec"]["site"] = "valley".into();
    let found = differences(world, &app, Some(json!([definition(), proposed]))).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    let (live, target) = (found[0].live.as_ref().unwrap(), found[0].target.as_ref());
    assert_eq!(live["spec"]["pod"], target.unwrap()["spec"]["pod"]);
    assert_eq!(
        live["spec"]["exposure"],
        target.unwrap()["spec"]["exposure"]
    );
    let still = spec(&api).await;
    assert_eq!(still["exposure"], "1h30m0s", "{still}");
    write(&api, "kubectl-edit", json!({"spec": {"exposure": "91m"}})).await;
    eventually("what means something else is healed", async || {
        spec(&api).await["exposure"] == "90m"
    })
    .await;
    say(world, "").await;
}
