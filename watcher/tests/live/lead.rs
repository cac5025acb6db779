//! Two watchers, of which one leads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bus::Update;
use k8s_openapi::api::coordination::v1::Lease;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

/// With a Lease that is taken over while a test waits, and yet not lost by a leader to whom the machine gives no time for a
/// few seconds.
fn flags(identity: &str) -> [&str; 4] {
    ["--identity", identity, "--lease-duration", "10"]
}

/// Every desired state of an application, in the order in which they came.
fn stream_of(world: &World, name: &str) -> Arc<Mutex<Vec<(Generation, String)>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let subject = subject::desired(&here(), &app_id(name));
    let mut updates = world.bus.watch_stream::<Desired>(Stream::Desired, &subject);
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            if let Update::Put(stored) = updates.next().await
                && let DesiredState::Present(present) = stored.value.state
            {
                let revision = present.sources[0].revision.clone();
                all.lock()
                    .unwrap()
                    .push((stored.value.generation, revision));
            }
        }
    });
    seen
}

impl World {
    async fn holder(&self) -> Option<String> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        let lease = leases.get_opt("towline-watcher").await.unwrap()?;
        lease.spec?.holder_identity
    }

    /// A commit to the application's file, which becomes its desired state.
    async fn delivers(&self, text: &str, webhook: &str) -> String {
        let commit = self.git.commit(&[("web/a.yaml", text)]);
        assert_eq!(self.push_to(webhook).await, 200);
        self.is_at(&commit, text).await;
        commit
    }

    async fn is_at(&self, commit: &str, text: &str) {
        let desired = self
            .present("web", |_, present| present.sources[0].revision == commit)
            .await;
        // Whoever reads it: the file changes with each commit, so that nothing hangs on when.
        self.record(&render("web", desired.generation, blob(text)))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_or_stopped_the_other_goes_on_with_one_stream_of_generations() {
    let mut world = World::start_with(&flags("a")).await;
    world.watcher.says(200, "").await;
    let first = world.git.commit(&[("web/a.yaml", "0")]);
    world.create("web", false).await;
    world.is_at(&first, "0").await;
    let seen = stream_of(&world, "web");
    assert_eq!(world.holder().await.as_deref(), Some("a"));

    // The other reads along, and says that it follows; a webhook that gets to it is not lost without a word.
    let mut second = world.another(&flags("b")).await;
    second.says(503, "follows a").await;
    assert_eq!(world.push_to(&second.webhook).await, 503);
    let webhook = world.webhook.clone();
    let mut commits = vec![first, world.delivers("1", &webhook).await];

    // Killed without a word: a commit that is made meanwhile is found.
    let killed = Instant::now();
    world.watcher.process.kill().await.unwrap();
    commits.push(world.git.commit(&[("web/a.yaml", "2")]));
    world.is_at(&commits[2], "2").await;
    let took = killed.elapsed();
    println!("leader killed → commit of the meantime published: {took:?}");
    second.says(200, "").await;
    commits.push(world.delivers("3", &second.webhook).await);

    // Told to stop: the Lease is given back, and taken at once.
    let third = world.another(&flags("c")).await;
    third.says(503, "follows b").await;
    let stopped = Instant::now();
    let pid = nix::unistd::Pid::from_raw(second.process.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(second.process.wait().await.unwrap().success());
    // Long before it could have run out.
    assert_ne!(world.holder().await.as_deref(), Some("b"));
    third.says(200, "").await;
    let took = stopped.elapsed();
    println!("leader stopped → the other leads: {took:?}");
    commits.push(world.delivers("4", &third.webhook).await);

    // Started again under its name it leads on at once, however it ended.
    let mut third = third;
    third.process.kill().await.unwrap();
    let begun = Instant::now();
    let third = world.another(&flags("c")).await;
    third.says(200, "").await;
    let took = begun.elapsed();
    println!("started again under its name → leads: {took:?}");
    commits.push(world.delivers("5", &third.webhook).await);

    let seen = seen.lock().unwrap().clone();
    let revisions: Vec<&String> = seen.iter().map(|(_, revision)| revision).collect();
    assert_eq!(revisions, commits.iter().collect::<Vec<_>>());
    assert!(seen.is_sorted_by(|(one, _), (next, _)| one < next));
}

/// A way to the API server that can be cut.
struct Wire {
    cut: watch::Sender<bool>,
    kubeconfig: PathBuf,
}

impl Wire {
    async fn lay(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = format!("https://{}", listener.local_addr().unwrap());
        let cluster = world.stack.cluster.as_ref().unwrap();
        let server = cluster.url().trim_start_matches("https://").to_owned();
        let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
        assert!(text.contains(cluster.url()));
        let kubeconfig = world.scratch.path().join("wire");
        std::fs::write(&kubeconfig, text.replace(cluster.url(), &here)).unwrap();
        let cut = watch::Sender::new(false);
        let is_cut = cut.subscribe();
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut is_cut = is_cut.clone();
                let server = server.clone();
                tokio::spawn(async move {
                    if *is_cut.borrow() {
                        return;
                    }
                    let Ok(mut to) = TcpStream::connect(server).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { cut, kubeconfig }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_reach_the_api_server_stops_publishing_and_ends_when_another_took_over()
 {
    let mut world = World::start_with(&flags("first")).await;
    world.watcher.says(200, "").await;
    world.watcher.process.kill().await.unwrap();
    let wire = Wire::lay(&world).await;
    // Under the same name, so that nobody waits.
    let mut cut_off = world.another_at(&wire.kubeconfig, &flags("first")).await;
    cut_off.says(200, "").await;
    let first = world.git.commit(&[("web/a.yaml", "0")]);
    world.create("web", false).await;
    world.is_at(&first, "0").await;
    let seen = stream_of(&world, "web");

    // Nobody else leads: it pauses, and goes on by itself.
    wire.cut.send_replace(true);
    cut_off.says(503, "can't be renewed").await;
    let paused = world.git.commit(&[("web/a.yaml", "1")]);
    let before = world.git.requests();
    assert_eq!(world.push_to(&cut_off.webhook).await, 200);
    eventually("the commit to be fetched", || async {
        (world.git.requests() > before).then_some(())
    })
    .await;
    wire.cut.send_replace(false);
    world.is_at(&paused, "1").await;
    cut_off.says(200, "").await;

    // Another one takes over: what the first one is told after that is published by the other alone.
    let other = world.another(&flags("other")).await;
    other.says(503, "follows first").await;
    wire.cut.send_replace(true);
    other.says(200, "").await;
    cut_off.says(503, "can't be renewed").await;
    let last = world.git.commit(&[("web/a.yaml", "2")]);
    let before = world.git.requests();
    assert_eq!(world.push_to(&cut_off.webhook).await, 200);
    eventually("the commit to be fetched", || async {
        (world.git.requests() > before).then_some(())
    })
    .await;
    assert_eq!(seen.lock().unwrap().len(), 2);
    assert_eq!(world.push_to(&other.webhook).await, 200);
    world.is_at(&last, "2").await;
    wire.cut.send_replace(false);
    let ended = cut_off.process.wait().await.unwrap();
    assert_eq!(ended.code(), Some(1));
    assert_eq!(world.holder().await.as_deref(), Some("other"));
    let revisions: Vec<String> = seen.lock().unwrap().iter().map(|it| it.1.clone()).collect();
    assert_eq!(revisions, [first, paused, last]);
}
