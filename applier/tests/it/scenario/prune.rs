use bus::message::condition::ConditionType;
use bus::message::desired::Cascade;
use bus::message::state::{ApplierState, OperationPhase, SyncStatus};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually, noted, timestamp};

const OPTIONS: &str = "argocd.argoproj.io/sync-options";
const WAVE: &str = "argocd.argoproj.io/sync-wave";
const APPROVED: &str = "argocd.argoproj.io/deletion-approved";

fn asks(state: &ApplierState) -> Option<&str> {
    let asks = |kind| kind == ConditionType::ConfirmationNeeded;
    let condition = state.conditions.iter().find(|one| asks(one.kind))?;
    Some(&condition.message)
}

async fn released(world: &World, app: &App, objects: Value) -> ApplierState {
    let generation = world.release(app, objects).await;
    world
        .state(app, "released", |state| {
            let operation = state.operation.as_ref();
            let done = operation.is_some_and(|one| {
                one.generation == generation && one.phase == OperationPhase::Succeeded
            });
            done && state.generation == generation
        })
        .await
}

pub(crate) async fn what_needs_a_word_is_pruned_only_with_it(world: &World) {
    world.namespace("word").await;
    let mut app = App::new("word", "word");
    let held = noted(config_map("held", "1"), &[(OPTIONS, "Prune=confirm")]);
    let first = noted(config_map("first", "1"), &[(WAVE, "-1")]);
    let all = json!([config_map("a", "1"), config_map("b", "1"), held, first]);
    released(world, &app, all).await;

    let rest = json!([config_map("a", "1")]);
    let state = released(world, &app, rest.clone()).await;
    assert!(asks(&state).is_some_and(|message| message.contains("ConfigMap word/held")));
    assert_eq!(state.sync, SyncStatus::OutOfSync);
    eventually("b is pruned", async || {
        world.config_map("word", "b").await.is_none()
    })
    .await;
    // What came before it may only go after it.
    assert!(world.config_map("word", "first").await.is_some());

    // A word from before the question counts for nothing.
    app.notes
        .insert(APPROVED.to_owned(), "2020-01-02T03:04:05Z".to_owned());
    let generation = world.release(&app, rest.clone()).await;
    let state = world
        .state(&app, "seen", |state| state.generation == generation)
        .await;
    assert!(asks(&state).is_some());
    assert!(world.config_map("word", "held").await.is_some());

    app.notes.insert(APPROVED.to_owned(), timestamp());
    let generation = world.release(&app, rest).await;
    world
        .state(&app, "synced", |state| {
            state.generation == generation
                && state.sync == SyncStatus::Synced
                && asks(state).is_none()
        })
        .await;
    for name in ["held", "first"] {
        assert!(world.config_map("word", name).await.is_none());
    }
    assert!(world.config_map("word", "a").await.is_some());
}

pub(crate) async fn an_application_says_how_many_may_go_at_once(world: &World) {
    world.namespace("few").await;
    let mut app = App::new("few", "few");
    let limit = "towline.dev/max-deletions";
    app.notes.insert(limit.to_owned(), "1".to_owned());
    let names = ["a", "b", "c", "d"];
    let objects = |names: &[&str]| -> Value {
        let all = names.iter().map(|name| config_map(name, "1"));
        all.collect::<Vec<_>>().into()
    };
    released(world, &app, objects(&names)).await;
    let state = released(world, &app, objects(&names[..3])).await;
    assert_eq!(asks(&state), None);
    // There is nothing else to do, so no release begins; and the word counts all the same.
    world.release(&app, objects(&names[..1])).await;
    world
        .state(&app, "asked", |state| {
            asks(state).is_some_and(|message| message.contains("2 of "))
        })
        .await;
    assert!(world.config_map("few", "c").await.is_some());
    app.notes.insert(APPROVED.to_owned(), timestamp());
    let generation = world.release(&app, objects(&names[..1])).await;
    world
        .state(&app, "pruned", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    assert!(world.config_map("few", "c").await.is_none());
}

pub(crate) async fn what_is_pruned_last_stays_until_all_is_healthy(world: &World) {
    world.namespace("last").await;
    let app = App::new("last", "last");
    let last = noted(config_map("last", "1"), &[(OPTIONS, "PruneLast=true")]);
    let plain = config_map("plain", "1");
    let kept = config_map("a", "1");
    released(world, &app, json!([last, plain, kept])).await;
    // Never Ready: no such node.
    let gate = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gate"}, "spec": {
        "nodeSelector": {"no": "such"}, "containers": [{"name": "c", "image": "x"}]}});
    world
        .release(&app, json!([kept, noted(gate, &[(WAVE, "1")])]))
        .await;
    world
        .state(&app, "waiting", |state| {
            let operation = state.operation.as_ref();
            operation.is_some_and(|operation| operation.message.contains("gate"))
        })
        .await;
    assert!(world.config_map("last", "plain").await.is_none());
    assert!(world.config_map("last", "last").await.is_some());
    released(world, &app, json!([kept])).await;
    eventually("the last one is pruned", async || {
        world.config_map("last", "last").await.is_none()
    })
    .await;
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.held.io"},
        "spec": {"group": "held.io", "scope": "Namespaced", "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

/// Whether it is there, and nobody has asked for its deletion.
async fn stays(world: &World, kind: &str, plural: &str, group: &str, name: &str) -> bool {
    use kube::api::{ApiResource, DynamicObject};
    let resource = ApiResource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{group}/v1").trim_start_matches('/').to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    let api: kube::Api<DynamicObject> = kube::Api::all_with(world.client.clone(), &resource);
    let found = api.get_opt(name).await.unwrap();
    found.is_some_and(|object| object.metadata.deletion_timestamp.is_none())
}

async fn namespace_stays(world: &World, name: &str) -> bool {
    stays(world, "Namespace", "namespaces", "", name).await
}

async fn definition_stays(world: &World) -> bool {
    let group = "apiextensions.k8s.io";
    stays(
        world,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        group,
        "gadgets.held.io",
    )
    .await
}

pub(crate) async fn what_would_take_others_along_goes_only_with_a_word(world: &World) {
    world.namespace("holders").await;
    let mut app = App::new("holders", "holders");
    let kept = config_map("a", "1");
    let all = json!([
        kept,
        namespace("held-full"),
        namespace("held-empty"),
        definition()
    ]);
    released(world, &app, all).await;
    let by_hand = config_map("by-hand", "1");
    let maps = world.config_maps("held-full");
    let made = serde_json::from_value(by_hand).unwrap();
    maps.create(&PostParams::default(), &made).await.unwrap();
    let gadgets = world.objects("Gadget", "gadgets", "held.io", "holders");
    let gadget = json!({"apiVersion": "held.io/v1", "kind": "Gadget", "metadata": {"name": "g"}});
    let gadget = serde_json::from_value(gadget).unwrap();
    gadgets
        .create(&PostParams::default(), &gadget)
        .await
        .unwrap();

    let state = released(world, &app, json!([kept])).await;
    let asked = asks(&state).unwrap();
    assert!(
        asked.contains("would take along") && asked.contains("2 objects are kept"),
        "{asked}"
    );
    assert!(
        asked.contains("held-full/by-hand") || asked.contains("Gadget.held.io holders/g"),
        "{asked}"
    );
    eventually("a namespace that holds nothing is pruned", async || {
        !namespace_stays(world, "held-empty").await
    })
    .await;
    assert!(namespace_stays(world, "held-full").await && definition_stays(world).await);

    app.notes.insert(APPROVED.to_owned(), timestamp());
    world.release(&app, json!([kept])).await;
    eventually("both are pruned", async || {
        !namespace_stays(world, "held-full").await && !definition_stays(world).await
    })
    .await;
}

pub(crate) async fn a_deleted_application_asks_before_its_namespace_takes_others_along(
    world: &World,
) {
    let mut app = App::new("holder", "held-home");
    released(
        world,
        &app,
        json!([namespace("held-home"), config_map("a", "1")]),
    )
    .await;
    let maps = world.config_maps("held-home");
    let made = serde_json::from_value(config_map("by-hand", "1")).unwrap();
    maps.create(&PostParams::default(), &made).await.unwrap();
    app.deleted = Some(bus::clock::now_ms());
    world.delete(&app, Cascade::Foreground).await;
    let asked = |state: &ApplierState| {
        asks(state).is_some_and(|message| message.contains("ConfigMap held-home/by-hand"))
    };
    world.state(&app, "asked", asked).await;
    assert!(world.config_map("held-home", "a").await.is_some());
    assert!(namespace_stays(world, "held-home").await);
    app.notes.insert(APPROVED.to_owned(), timestamp());
    world.delete(&app, Cascade::Foreground).await;
    eventually("the namespace goes", async || {
        !namespace_stays(world, "held-home").await
    })
    .await;
}
