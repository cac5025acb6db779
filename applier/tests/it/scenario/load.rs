use std::time::Instant;

use bus::message::state::SyncStatus;
use futures::StreamExt;
use futures::future::join_all;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::world::{App, World, config_map, eventually};

const APPS: usize = 200;

pub(crate) async fn two_hundred_applications_come_up_quickly(world: &World) {
    world.namespace("load").await;
    let apps: Vec<App> = (0..APPS)
        .map(|at| App::new(&format!("load-{at}"), "load"))
        .collect();
    let objects = |app: &App, value: &str| json!(objects(app.id.name(), value));
    let floor = floor(world).await;
    let cpu = cpu_ms(world.applier_pid());
    let began = Instant::now();
    join_all(apps.iter().map(|app| world.release(app, objects(app, "1")))).await;
    let published = began.elapsed();
    eventually("all are live", async || {
        world
            .config_maps("load")
            .list_metadata(&ListParams::default())
            .await
            .unwrap()
            .items
            .len()
            > 2 * APPS
            && world
                .objects("Service", "services", "", "load")
                .list_metadata(&ListParams::default())
                .await
                .unwrap()
                .items
                .len()
                == APPS
    })
    .await;
    let live = began.elapsed();
    join_all(
        apps.iter()
            .map(|app| world.state(app, "synced", |state| state.sync == SyncStatus::Synced)),
    )
    .await;
    eprintln!(
        "first sync of {APPS}: floor {floor:?}, published {published:?}, live {live:?}, states {:?}, cpu {} ms",
        began.elapsed(),
        cpu_ms(world.applier_pid()) - cpu
    );

    for line in world
        .metrics()
        .iter()
        .filter(|line| line.contains("requests_total") || line.contains("seconds_sum"))
    {
        eprintln!("{line}");
    }
    eprintln!("resident: {}", resident(world.applier_pid()));
    let cpu = cpu_ms(world.applier_pid());
    let mut times = Vec::new();
    for app in &apps[..20] {
        let began = Instant::now();
        world.release(app, objects(app, "2")).await;
        eventually("changed", async || {
            world
                .config_map("load", app.id.name())
                .await
                .unwrap()
                .data
                .unwrap()["value"]
                == "2"
        })
        .await;
        times.push(began.elapsed());
    }
    times.sort();
    eprintln!(
        "20 single changes: median {:?}, most {:?}, cpu {} ms for all",
        times[10],
        times[19],
        cpu_ms(world.applier_pid()) - cpu
    );
}

/// Resident memory of a process.
fn resident(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace()
        .skip(1)
        .collect::<Vec<_>>()
        .join(" ")
}

/// User and system time of a process.
fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

/// Bare server-side applies of the same objects, 16 at a time: what the server itself takes.
async fn floor(world: &World) -> std::time::Duration {
    world.namespace("floor").await;
    let parameters = kube::api::PatchParams::apply("floor").force();
    let began = Instant::now();
    futures::stream::iter((0..APPS).flat_map(|at| objects(&format!("floor-{at}"), "1")))
        .map(|object| {
            let parameters = parameters.clone();
            async move {
                let (kind, plural) = if object["kind"] == "Service" {
                    ("Service", "services")
                } else {
                    ("ConfigMap", "configmaps")
                };
                let name = object["metadata"]["name"].as_str().unwrap();
                let api = world.objects(kind, plural, "", "floor");
                api.patch(name, &parameters, &kube::api::Patch::Apply(&object))
                    .await
                    .unwrap();
            }
        })
        .buffer_unordered(16)
        .collect::<Vec<()>>()
        .await;
    began.elapsed()
}

fn objects(name: &str, value: &str) -> [Value; 3] {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}], "selector": {"app": name}},
    });
    [
        config_map(name, value),
        config_map(&format!("{name}-b"), "1"),
        service,
    ]
}
