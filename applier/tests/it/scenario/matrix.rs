//! `kill -9` at each write of a release and a rollback: before the API server got it, and after it did it, but before the applier
//! knows. Whatever the moment, what is started again ends where an undisturbed one ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bus::ReleaseId;
use bus::message::command::Action;
use bus::message::state::{OperationPhase, PinUntil, SyncStatus};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::proxy::{Disturbance, Moment};
use crate::world::{App, World, config_map, eventually, noted};

const WAVE: &str = "argocd.argoproj.io/sync-wave";
const HOOK: &str = "argocd.argoproj.io/hook";
const DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// Points of a usual run, spread over all; with `KILL_MATRIX=all` there are no others.
const POINTS: usize = 44;
/// The last object that is made, so that whoever watches knows that all was seen.
const END: &str = "end";

/// What happened to objects of the namespace, in order.
type Story = Vec<(Happened, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happened {
    Made,
    Deleted,
}

/// Where a run ended: names with their values.
type Live = BTreeMap<String, String>;

pub(crate) async fn a_kill_at_any_write_loses_doubles_and_deletes_nothing(world: &World) {
    let began = Instant::now();
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = writes.clone();
    let reference = run(world, "matrix", move |world| {
        world.proxy().disturb(move |asked| {
            counted.fetch_add(usize::from(asked.is_write()), Ordering::SeqCst);
            None
        });
    })
    .await;
    let writes = writes.load(Ordering::SeqCst);
    let all: Vec<(usize, Moment)> = (0..writes)
        .flat_map(|at| [(at, Moment::Before), (at, Moment::After)])
        .collect();
    let points = match std::env::var("KILL_MATRIX").as_deref() {
        Ok("all") => all.len(),
        _ => POINTS.min(all.len()),
    };
    assert!(points >= 40, "only {} points", all.len());
    let mut reached = 0;
    for point in (0..points).map(|at| all[at * all.len() / points]) {
        let killed = Arc::new(AtomicBool::new(false));
        let (at, moment) = point;
        let name = format!("matrix-{at}-{moment:?}").to_lowercase();
        let kills = killed.clone();
        let live = run(world, &name, move |world| {
            let pid = world.applier_pid();
            let mut seen = 0;
            world.proxy().disturb(move |asked| {
                if !asked.is_write() || kills.load(Ordering::SeqCst) {
                    return None;
                }
                seen += 1;
                let now = seen == at + 1;
                now.then(|| {
                    kills.store(true, Ordering::SeqCst);
                    Disturbance::Killed(moment, pid)
                })
            });
        })
        .await;
        reached += usize::from(killed.load(Ordering::SeqCst));
        assert_eq!(live, reference, "killed {moment:?} write {at}");
    }
    eprintln!(
        "kill matrix: {writes} writes, killed at {reached} of {points} points, {:?} in all",
        began.elapsed()
    );
    // One more or less: whether a hook's remains are there when they are looked for is a matter of moments.
    assert!(reached >= 40, "{reached}");
}

/// A release over another and the way back, disturbed from when the first of the two is published.
async fn run(world: &World, name: &str, disturb: impl FnOnce(&World)) -> Live {
    world.namespace(name).await;
    let app = App::new(name, name);
    world.release(&app, first()).await;
    world
        .state(&app, "released", |state| {
            state.history.len() == 1 && state.sync == SyncStatus::Synced
        })
        .await;
    gone(world, name, "post").await;
    let before = uids(world, name).await;
    let story = watch(world, name).await;
    disturb(world);
    let revive = async {
        loop {
            eventually_dead(world).await;
            world.start_applier();
        }
    };
    tokio::select! {
        () = release_and_return(world, &app, name) => {}
        () = revive => {}
    }
    world.proxy().calm();
    check(&story_of(world, name, story).await, name);
    let after = uids(world, name).await;
    for kept in ["base", "a", "b"] {
        assert_eq!(
            before[kept], after[kept],
            "{name}: {kept} is another object"
        );
    }
    live(world, name).await
}

async fn release_and_return(world: &World, app: &App, name: &str) {
    let generation = world.release(app, second()).await;
    world
        .state(app, "released again", |state| {
            state.generation == generation
                && state.sync == SyncStatus::Synced
                && state.history.len() == 2
        })
        .await;
    gone(world, name, "post").await;
    gone(world, name, "leaving").await;
    let back = Action::Rollback {
        release: Some(ReleaseId(1)),
        until: PinUntil::Unpinned,
    };
    world.order(app, back).await;
    let state = world
        .state(app, "rolled back", |state| {
            state.pin.is_some()
                && state.history.len() == 3
                && state
                    .operation
                    .as_ref()
                    .is_some_and(|last| last.phase == OperationPhase::Succeeded)
        })
        .await;
    gone(world, name, "post").await;
    gone(world, name, "coming").await;
    let releases: Vec<u64> = state.history.iter().map(|entry| entry.release.0).collect();
    assert_eq!(releases, [1, 2, 3], "{name}: no release more or less");
    let events = world.events(app).await;
    let failed = |event: &&bus::message::event::Event| event.kind.token() == "release.failed";
    assert_eq!(events.iter().find(failed), None, "{name}");
}

/// Hooks ran once a release, and nothing went but what left.
fn check(story: &Story, name: &str) {
    let count = |happened, object: &str| {
        let same = |(one, of): &&(Happened, String)| *one == happened && of == object;
        story.iter().filter(same).count()
    };
    for hook in ["pre", "post"] {
        assert_eq!(count(Happened::Made, hook), 2, "{name}: {hook}: {story:?}");
    }
    for moved in ["leaving", "coming"] {
        assert_eq!(
            count(Happened::Made, moved),
            1,
            "{name}: {moved}: {story:?}"
        );
        assert_eq!(
            count(Happened::Deleted, moved),
            1,
            "{name}: {moved}: {story:?}"
        );
    }
    let known = BTreeSet::from(["pre", "post", "leaving", "coming"]);
    let others: Vec<_> = story
        .iter()
        .filter(|(happened, of)| *happened == Happened::Deleted && !known.contains(&**of))
        .collect();
    assert!(others.is_empty(), "{name}: {others:?}");
}

fn first() -> Value {
    let mut all = common("1");
    all.push(noted(config_map("leaving", "1"), &[(WAVE, "1")]));
    all.into()
}

fn second() -> Value {
    let mut all = common("2");
    all.push(noted(config_map("coming", "2"), &[(WAVE, "1")]));
    all.into()
}

/// Two hooks and three waves.
fn common(value: &str) -> Vec<Value> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "annotations": {"value": value}},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "s"}},
    });
    vec![
        noted(config_map("pre", value), &[(HOOK, "PreSync")]),
        noted(config_map("base", value), &[(WAVE, "-1")]),
        config_map("a", value),
        service,
        noted(config_map("b", value), &[(WAVE, "1")]),
        noted(
            config_map("post", value),
            &[(HOOK, "PostSync"), (DELETE_POLICY, "HookSucceeded")],
        ),
    ]
}

async fn eventually_dead(world: &World) {
    while world.applier_runs() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn gone(world: &World, namespace: &str, object: &str) {
    eventually(&format!("{object} is gone"), async || {
        world.config_map(namespace, object).await.is_none()
    })
    .await;
}

async fn maps(world: &World, namespace: &str) -> (Vec<ConfigMap>, String) {
    let api = world.config_maps(namespace);
    let list = api.list(&ListParams::default()).await.unwrap();
    (list.items, list.metadata.resource_version.unwrap())
}

async fn uids(world: &World, namespace: &str) -> BTreeMap<String, String> {
    let (items, _) = maps(world, namespace).await;
    let uid = |map: &ConfigMap| (map.name_any(), map.uid().unwrap());
    items.iter().map(uid).collect()
}

async fn live(world: &World, namespace: &str) -> Live {
    let (items, _) = maps(world, namespace).await;
    let mut live: Live = items
        .iter()
        .filter(|map| map.name_any() != "kube-root-ca.crt")
        .map(|map| (map.name_any(), format!("{:?}", map.data)))
        .collect();
    let services = world.objects("Service", "services", "", namespace);
    for service in services.list(&ListParams::default()).await.unwrap() {
        live.insert(service.name_any(), service.annotations()["value"].clone());
    }
    live
}

/// What happens to `ConfigMap`s from now on.
async fn watch(world: &World, namespace: &str) -> JoinHandle<Story> {
    let api: Api<ConfigMap> = world.config_maps(namespace);
    let (_, version) = maps(world, namespace).await;
    tokio::spawn(async move {
        let mut story = Story::new();
        let params = WatchParams::default().timeout(290);
        let mut events = api.watch(&params, &version).await.unwrap().boxed();
        while let Some(event) = events.next().await {
            let (happened, map) = match event.unwrap() {
                WatchEvent::Added(map) => (Happened::Made, map),
                WatchEvent::Deleted(map) => (Happened::Deleted, map),
                _ => continue,
            };
            if map.name_any() == END {
                break;
            }
            story.push((happened, map.name_any()));
        }
        story
    })
}

async fn story_of(world: &World, namespace: &str, watch: JoinHandle<Story>) -> Story {
    let end = serde_json::from_value(config_map(END, "")).unwrap();
    let api = world.config_maps(namespace);
    api.create(&PostParams::default(), &end).await.unwrap();
    let story = watch.await.unwrap();
    api.delete(END, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    story
}
