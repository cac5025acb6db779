//! Two appliers of one cluster: one acts, and the other goes on for it.

use std::process::Child;
use std::time::{Duration, Instant};

use bus::message::state::SyncStatus;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::proxy::{Asked, Proxy, signal};
use crate::world::{App, World, config_map, eventually};

const NAMESPACE: &str = "standby";

/// One more applier, seen through a proxy of its own.
struct Other {
    proxy: Proxy,
    name: &'static str,
    child: Child,
}

impl Other {
    async fn start(world: &World, name: &'static str) -> Self {
        let proxy = Proxy::start(world.client.clone(), name).await;
        let kubeconfig = world.stack.folder().join(format!("{name}.yaml"));
        std::fs::write(&kubeconfig, proxy.kubeconfig(name)).unwrap();
        let child = world.spawn_applier(("--kubeconfig", &kubeconfig), name);
        let other = Self { proxy, name, child };
        eventually(&format!("{name} stands by"), async || {
            world.is_ready(other.name)
        })
        .await;
        other
    }

    fn signal(&self, it: Signal) {
        signal(self.child.id(), it);
    }

    async fn ends(&mut self) -> std::process::ExitStatus {
        let mut status = None;
        let child = &mut self.child;
        eventually("it ends", async || {
            status = child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Until what is published is live.
async fn released(world: &World, app: &App, value: &str) -> Duration {
    let began = Instant::now();
    world.release(app, json!([config_map("a", value)])).await;
    eventually("it is live", async || {
        let map = world.config_map(NAMESPACE, "a").await;
        map.is_some_and(|map| map.data.unwrap()["value"] == value)
    })
    .await;
    began.elapsed()
}

pub(crate) async fn one_acts_and_the_other_goes_on_for_it(world: &World) {
    world.namespace(NAMESPACE).await;
    let app = App::new("standby", NAMESPACE);
    released(world, &app, "1").await;
    let second = Other::start(world, "second").await;
    let took = released(world, &app, "2").await;
    let wrote = second.proxy.asked(Asked::is_write);
    assert!(wrote.is_empty(), "one that stands by writes: {wrote:?}");
    eprintln!("a release with a standby: {took:?}");

    world.kill_applier();
    let took = released(world, &app, "3").await;
    eprintln!("live after kill -9 of the one that led: {took:?}");

    // One that is stopped doesn't know that its time is over when it goes on.
    let third = Other::start(world, "third").await;
    second.signal(Signal::SIGSTOP);
    let took = released(world, &app, "4").await;
    eprintln!("live after SIGSTOP of the one that led: {took:?}");
    second.proxy.forget();
    second.signal(Signal::SIGCONT);
    let mut second = second;
    let status = second.ends().await;
    assert!(!status.success(), "it lost the Lease: {status}");
    let wrote = second.proxy.asked(Asked::is_write);
    assert!(wrote.is_empty(), "after its time: {wrote:?}");

    let fourth = Other::start(world, "fourth").await;
    let mut third = third;
    let began = Instant::now();
    third.signal(Signal::SIGTERM);
    assert!(third.ends().await.success());
    released(world, &app, "5").await;
    let took = began.elapsed();
    eprintln!("live after SIGTERM of the one that led: {took:?}");
    assert!(!fourth.proxy.asked(Asked::is_write).is_empty());
    world
        .state(&app, "synced", |state| {
            state.sync == SyncStatus::Synced && state.history.len() == 5
        })
        .await;
}

pub(crate) async fn a_cluster_secret_of_argo_cd_says_where_the_cluster_is(world: &World) {
    let cluster = world.stack.cluster.as_ref().unwrap();
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let kubeconfig: serde_json::Value = serde_json::from_str(&text).unwrap();
    let folder = world.stack.folder().join("cluster-secret");
    std::fs::create_dir(&folder).unwrap();
    let config = json!({
        "bearerToken": kubeconfig["users"][0]["user"]["token"],
        "tlsClientConfig": {
            "insecure": false,
            "caData": kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"],
        },
    });
    std::fs::write(folder.join("server"), cluster.url()).unwrap();
    std::fs::write(folder.join("config"), config.to_string()).unwrap();
    let mut child = world.spawn_applier(("--cluster-secret", &folder), "by-secret");
    eventually("it knows the cluster", async || world.is_ready("by-secret")).await;
    child.kill().unwrap();
    child.wait().unwrap();
}
