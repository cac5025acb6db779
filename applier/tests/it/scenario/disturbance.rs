//! What happens between the applier and the API server, each of which it outlives without listing everything anew.

use std::collections::HashSet;
use std::time::Duration;

use bus::message::state::{ApplierState, SyncStatus};
use http::Method;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::proxy::{Asked, Disturbance, Moment};
use crate::world::{App, World, config_map, eventually};

const NAMESPACE: &str = "disturbed";

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}], "selector": {"app": name}},
    })
}

fn objects(value: &str) -> Value {
    let mut all: Vec<Value> = (0..4)
        .map(|at| config_map(&format!("c-{at}"), value))
        .collect();
    all.push(service("s"));
    all.into()
}

/// Released and in sync, and none of its releases failed.
async fn synced(world: &World, app: &App, value: &str) -> ApplierState {
    let generation = world.release(app, objects(value)).await;
    settled(world, app, generation).await
}

async fn settled(world: &World, app: &App, generation: bus::Generation) -> ApplierState {
    let state = world
        .state(app, "synced", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    let events = world.events(app).await;
    assert!(
        events
            .iter()
            .all(|event| event.kind.token() != "release.failed"),
        "{events:#?}"
    );
    state
}

/// A hand edit is seen by a watch, and healed.
async fn heals(world: &World, value: &str) {
    let edit = json!({"data": {"value": "edited"}});
    let maps = world.config_maps(NAMESPACE);
    maps.patch("c-0", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    eventually("the edit is healed", async || {
        let map = world.config_map(NAMESPACE, "c-0").await.unwrap();
        map.data.unwrap()["value"] == value
    })
    .await;
}

/// Where applications' objects are: orders of people are watched beside them, in a namespace of their own.
fn of_config_maps(asked: &Asked) -> bool {
    asked.path == "/api/v1/configmaps"
}

pub(crate) async fn the_application_comes_up(world: &World) -> App {
    world.namespace(NAMESPACE).await;
    let app = App::new("disturbed", NAMESPACE);
    synced(world, &app, "0").await;
    app
}

pub(crate) async fn too_many_requests_are_sent_again_when_the_server_says(
    world: &World,
    app: &App,
) {
    let proxy = world.proxy();
    let mut refused = HashSet::new();
    proxy.forget();
    // Each object's first apply.
    proxy.disturb(move |asked| {
        let first = asked.method == Method::PATCH && refused.insert(asked.path.clone());
        first.then_some(Disturbance::Refused {
            code: 429,
            after: Some(1),
        })
    });
    synced(world, app, "1").await;
    proxy.calm();
    for at in 0..4 {
        let path = format!("/configmaps/c-{at}");
        let times =
            proxy.asked(|asked| asked.method == Method::PATCH && asked.path.ends_with(&path));
        assert_eq!(times.len(), 2, "{times:?}");
        assert!(times[1].at.duration_since(times[0].at) >= Duration::from_secs(1));
    }
    let limit = world
        .metrics()
        .iter()
        .find_map(|line| {
            line.strip_prefix("towline_applier_requests_in_flight_limit ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    assert!((1..32).contains(&limit), "{limit}");
}

pub(crate) async fn a_request_whose_answer_is_lost_is_sent_again(world: &World, app: &App) {
    let proxy = world.proxy();
    for moment in [Moment::Before, Moment::After] {
        let mut broken = HashSet::new();
        proxy.disturb(move |asked| {
            let first = asked.is_write() && broken.insert(asked.path.clone());
            first.then_some(Disturbance::Broken(moment))
        });
        synced(world, app, &format!("{moment:?}")).await;
        proxy.calm();
    }
}

pub(crate) async fn broken_watches_go_on_where_they_were(world: &World, app: &App) {
    let proxy = world.proxy();
    synced(world, app, "2").await;
    proxy.forget();
    proxy.cut();
    heals(world, "2").await;
    eventually("the watches are there again", async || {
        !proxy
            .asked(|asked| asked.is_watch() && of_config_maps(asked))
            .is_empty()
    })
    .await;
    assert_eq!(
        none(&proxy.asked(Asked::is_list)),
        0,
        "nothing is listed anew"
    );
}

pub(crate) async fn a_version_that_is_gone_lists_only_its_kind(world: &World, app: &App) {
    let proxy = world.proxy();
    synced(world, app, "3").await;
    proxy.forget();
    let mut gone = false;
    proxy.disturb(move |asked| {
        let first =
            asked.is_watch() && of_config_maps(asked) && !std::mem::replace(&mut gone, true);
        first.then_some(Disturbance::Refused {
            code: 410,
            after: None,
        })
    });
    proxy.cut();
    heals(world, "3").await;
    eventually("the kind is listed", async || {
        !proxy
            .asked(|asked| asked.is_list() && of_config_maps(asked))
            .is_empty()
    })
    .await;
    proxy.calm();
    let lists = proxy.asked(Asked::is_list);
    assert!(lists.len() == 1 && of_config_maps(&lists[0]), "{lists:?}");
}

pub(crate) async fn credentials_that_expire_are_read_again(world: &World, app: &App) {
    let proxy = world.proxy();
    synced(world, app, "4").await;
    proxy.forget();
    proxy.expect_token("second");
    proxy.cut();
    let generation = world.release(app, objects("5")).await;
    eventually("it is refused", async || {
        world
            .metrics()
            .iter()
            .any(|line| line.contains("outcome=\"refused\""))
    })
    .await;
    // Now somebody exchanges them.
    world.write_kubeconfig("second");
    settled(world, app, generation).await;
    heals(world, "5").await;
    assert_eq!(
        none(&proxy.asked(Asked::is_list)),
        0,
        "nothing is listed anew"
    );
}

pub(crate) async fn slow_watches_delay_and_nothing_is_done_twice(world: &World, app: &App) {
    let proxy = world.proxy();
    let late = Duration::from_millis(700);
    proxy.disturb(move |asked| asked.is_watch().then_some(Disturbance::Slow(late)));
    proxy.cut();
    synced(world, app, "6").await;
    proxy.forget();
    heals(world, "6").await;
    let healed = |asked: &Asked| asked.method == Method::PATCH && asked.path.ends_with("/c-0");
    assert_eq!(proxy.asked(healed).len(), 1);
    let others = |asked: &Asked| {
        asked.method == Method::PATCH && asked.path.contains("/c-") && !healed(asked)
    };
    assert_eq!(none(&proxy.asked(others)), 0, "the others need nothing");
    proxy.calm();
    proxy.cut();
}

pub(crate) async fn an_api_server_that_starts_again_interrupts_a_release_and_fails_none(
    world: &mut World,
    app: &App,
) {
    synced(world, app, "7").await;
    world.proxy().forget();
    let cluster = world.stack.cluster.as_mut().unwrap();
    cluster.kill_apiserver().await;
    let generation = world.release(app, objects("8")).await;
    eventually("the release is on its way", async || {
        !world.proxy().asked(Asked::is_write).is_empty()
    })
    .await;
    let cluster = world.stack.cluster.as_mut().unwrap();
    // What the server knew before it started again is gone from its store, too.
    cluster.compact_etcd().await.unwrap();
    cluster.start_apiserver_again().await.unwrap();
    settled(world, app, generation).await;
    heals(world, "8").await;
    let lists = world.proxy().asked(Asked::is_list);
    let kinds: HashSet<&str> = lists.iter().map(|asked| &*asked.path).collect();
    assert_eq!(lists.len(), kinds.len(), "a kind at most once: {lists:?}");
}

/// So many; they are told when it isn't none.
fn none(asked: &[Asked]) -> usize {
    for one in asked {
        eprintln!("{} {}?{}", one.method, one.path, one.query);
    }
    asked.len()
}
