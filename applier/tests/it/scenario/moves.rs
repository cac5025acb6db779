//! Objects that move from one application to another.

use api::annotations;
use bus::message::condition::ConditionType;
use bus::message::desired::Cascade;
use bus::message::state::{ApplierState, SyncStatus};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually};

fn is_synced(state: &ApplierState, generation: bus::Generation) -> bool {
    state.generation == generation && state.sync == SyncStatus::Synced
}

async fn synced(world: &World, app: &App, objects: Value) {
    let generation = world.release(app, objects).await;
    let is = |state: &ApplierState| is_synced(state, generation);
    world.state(app, "synced", is).await;
}

/// Its UID, and whom it names as its owner.
async fn whose(world: &World, namespace: &str, name: &str) -> (String, String) {
    let map = world.config_map(namespace, name).await.unwrap();
    let id = &map.annotations()[annotations::TRACKING_ID];
    let owner = id.split(':').next().unwrap_or_default();
    (map.uid().unwrap(), owner.to_owned())
}

async fn is_taken_over(world: &World, namespace: &str, uid: &str, by: &str) {
    eventually("the object has another owner", async || {
        whose(world, namespace, "moves").await == (uid.to_owned(), by.to_owned())
    })
    .await;
}

pub(crate) async fn who_wants_an_object_takes_it_over_when_its_owner_lets_it_go(world: &World) {
    const NAMESPACE: &str = "moves-late";
    world.namespace(NAMESPACE).await;
    let (from, to) = (App::new("late-a", NAMESPACE), App::new("late-b", NAMESPACE));
    let (stays, moves) = (config_map("stays", "1"), config_map("moves", "1"));
    synced(world, &from, json!([stays, moves])).await;
    let (uid, _) = whose(world, NAMESPACE, "moves").await;
    let generation = world.release(&to, json!([config_map("moves", "2")])).await;
    let shared = |state: &ApplierState| {
        let of = |kind| kind == ConditionType::SharedResourceWarning;
        state.generation == generation && state.conditions.iter().any(|one| of(one.kind))
    };
    world.state(&to, "warned", shared).await;
    assert_eq!(whose(world, NAMESPACE, "moves").await.1, "late-a");

    synced(world, &from, json!([stays])).await;
    let is = |state: &ApplierState| is_synced(state, generation);
    let state = world.state(&to, "synced", is).await;
    assert!(!shared(&state), "{state:#?}");
    is_taken_over(world, NAMESPACE, &uid, "late-b").await;
    let map = world.config_map(NAMESPACE, "moves").await.unwrap();
    assert_eq!(map.data.unwrap()["value"], "2");

    // It is the new owner's from now on, whatever becomes of the old one.
    world.delete(&from, Cascade::Foreground).await;
    let gone = |state: &ApplierState| state.deleted.is_some();
    world.state(&from, "deleted", gone).await;
    assert_eq!(whose(world, NAMESPACE, "moves").await.0, uid);
    synced(world, &to, json!([config_map("other", "1")])).await;
    eventually("it is pruned", async || {
        world.config_map(NAMESPACE, "moves").await.is_none()
    })
    .await;
}

pub(crate) async fn what_leaves_is_kept_for_an_application_that_is_still_rendered(
    world: &mut World,
) {
    const NAMESPACE: &str = "moves-early";
    world.namespace(NAMESPACE).await;
    let (from, to) = (
        App::new("early-a", NAMESPACE),
        App::new("early-b", NAMESPACE),
    );
    let (stays, moves, leaves) = (
        config_map("stays", "1"),
        config_map("moves", "1"),
        config_map("leaves", "1"),
    );
    synced(world, &from, json!([stays, moves, leaves])).await;
    let (uid, _) = whose(world, NAMESPACE, "moves").await;
    synced(world, &to, json!([config_map("own", "1")])).await;

    // One commit: the new owner's manifests are on their way when the old owner's are there.
    let generation = to.next();
    world.publish_desired(&to, generation).await;
    world.release(&from, json!([stays])).await;
    let waits = |state: &ApplierState| {
        let operation = state.operation.as_ref();
        operation.is_some_and(|one| one.message.contains("argocd/early-b"))
    };
    world.state(&from, "waiting", waits).await;
    world.kill_applier();
    world.start_applier();
    world.state(&from, "waiting again", waits).await;
    assert_eq!(whose(world, NAMESPACE, "moves").await.0, uid);

    let objects = json!([config_map("own", "1"), config_map("moves", "2")]);
    world.publish_manifests(&to, generation, &objects).await;
    let is = |state: &ApplierState| is_synced(state, generation);
    world.state(&to, "synced", is).await;
    is_taken_over(world, NAMESPACE, &uid, "early-b").await;
    eventually("what nobody wants is pruned", async || {
        world.config_map(NAMESPACE, "leaves").await.is_none()
    })
    .await;
    let is = |state: &ApplierState| state.sync == SyncStatus::Synced && state.resources.len() == 1;
    world.state(&from, "synced", is).await;
    assert!(world.config_map(NAMESPACE, "stays").await.is_some());
}

pub(crate) async fn a_deleted_application_leaves_what_another_wants(world: &mut World) {
    const NAMESPACE: &str = "moves-whole";
    world.namespace(NAMESPACE).await;
    let (from, to) = (
        App::new("whole-a", NAMESPACE),
        App::new("whole-b", NAMESPACE),
    );
    synced(
        world,
        &from,
        json!([config_map("goes", "1"), config_map("moves", "1")]),
    )
    .await;
    let (uid, _) = whose(world, NAMESPACE, "moves").await;
    let generation = to.next();
    world.publish_desired(&to, generation).await;
    world.delete(&from, Cascade::Foreground).await;
    world.kill_applier();
    world.start_applier();
    world
        .publish_manifests(&to, generation, &json!([config_map("moves", "2")]))
        .await;
    let is = |state: &ApplierState| is_synced(state, generation);
    world.state(&to, "synced", is).await;
    let gone = |state: &ApplierState| state.deleted.is_some();
    world.state(&from, "deleted", gone).await;
    is_taken_over(world, NAMESPACE, &uid, "whole-b").await;
    assert!(world.config_map(NAMESPACE, "goes").await.is_none());

    // One that is deleted without its objects leaves them to whoever wants them.
    world.delete(&to, Cascade::None).await;
    let gone = |state: &ApplierState| state.deleted.is_some();
    world.state(&to, "deleted", gone).await;
    let heir = App::new("whole-c", NAMESPACE);
    synced(world, &heir, json!([config_map("moves", "3")])).await;
    is_taken_over(world, NAMESPACE, &uid, "whole-c").await;
}
