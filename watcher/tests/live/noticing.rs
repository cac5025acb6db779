//! How the watcher notices: webhooks of every Git host, bursts of them, and hosts that are slow, broken or busy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use watcher::webhook::Provider;

use super::payloads::{self, SECRET, Sent};
use super::{NAMESPACE, World, eventually, git};

/// How the senders' examples name the repository.
const NAMED: [&str; 7] = [
    "github.com/Acme/web",
    "gitlab.example.org/acme/team/web",
    "bitbucket.org/acme/web",
    "git.example.org/scm/acme/web",
    "gitea.example.org/acme/web",
    "codeberg.example.org/acme/web",
    "gogs/acme/web",
];

async fn install_secrets(world: &World) {
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), NAMESPACE);
    let create = |value| {
        let secret: Secret = serde_json::from_value(value).unwrap();
        let secrets = secrets.clone();
        async move {
            secrets
                .create(&PostParams::default(), &secret)
                .await
                .unwrap()
        }
    };
    create(json!({
        "metadata": {"name": "hooks", "labels": {"app.kubernetes.io/part-of": "argocd"}},
        "stringData": {"github": SECRET},
    }))
    .await;
    create(json!({
        "metadata": {"name": "argocd-secret"},
        "stringData": {
            "webhook.github.secret": "$hooks:github",
            "webhook.gitlab.secret": "$gitlab",
            "gitlab": SECRET,
            "webhook.bitbucket.uuid": SECRET,
            "webhook.bitbucketserver.secret": SECRET,
            "webhook.gogs.secret": SECRET,
            "webhook.azuredevops.username": "azure",
            "webhook.azuredevops.password": SECRET,
        },
    }))
    .await;
    eventually("unsigned webhooks to be refused", || async {
        (world.push().await == 401).then_some(())
    })
    .await;
}

/// The sender's example, about a repository of this test's host.
fn about(sent: &Sent, path: &str) -> Sent {
    let mut text = sent.body.to_string();
    for named in NAMED {
        text = text.replace(named, &format!("127.0.0.1/team/{path}"));
    }
    // Azure DevOps has a path of its own, which no other host could have.
    text = text.replace(
        "dev.azure.com/acme/shop/_git/web",
        &format!("127.0.0.1/team/{path}"),
    );
    sent.clone().with(serde_json::from_str(&text).unwrap())
}

async fn send(world: &World, sent: &Sent, secret: &str) -> u16 {
    let body = sent.bytes();
    let answer = reqwest::Client::new()
        .post(format!("http://{}/api/webhook", world.webhook))
        .headers(sent.proven(&body, secret))
        .body(body)
        .send()
        .await
        .unwrap();
    answer.status().as_u16()
}

/// Makes the other repository what the first one is now.
fn follow(world: &World) {
    let team = world.git.folder.path().join("team");
    let ended = Command::new("git")
        .args(["--git-dir", "other.git", "-c", "safe.directory=*"])
        .args(["fetch", "-q", "repo.git", "+main:main"])
        .current_dir(team)
        .status()
        .unwrap();
    assert!(ended.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_each_git_host_makes_desired_state_of_its_own_repository_only() {
    let world = World::start().await;
    install_secrets(&world).await;
    let team = world.git.folder.path().join("team");
    git2::Repository::init_bare(team.join("other.git")).unwrap();
    world
        .git
        .commit(&[("web/a.yaml", "0"), ("shop/a.yaml", "0")]);
    follow(&world);
    let other = world.git.url().replace("repo.git", "other.git");
    world.create("web", false).await;
    world.create_from(&other, "shop", false).await;
    let mut web = world.present("web", |_, _| true).await.generation;
    let shop = world.present("shop", |_, _| true).await.generation;

    let senders: Vec<Sent> = payloads::all()
        .into_iter()
        .filter(|sent| sent.concerns == "main")
        .collect();
    assert_eq!(senders.len(), 10);
    for (number, sent) in senders.iter().enumerate() {
        let commit = world.git.commit(&[("web/a.yaml", &format!("{number}."))]);
        follow(&world);
        let sent = about(sent, "repo");
        let is_signed = sent.proven(b"", SECRET) != sent.headers;
        if is_signed {
            assert_eq!(send(&world, &sent, "a guess").await, 401, "{sent:?}");
        }
        assert_eq!(send(&world, &sent, SECRET).await, 200, "{sent:?}");
        let newer = world
            .present("web", |_, present| present.sources[0].revision == commit)
            .await;
        assert!(newer.generation > web, "{sent:?}");
        web = newer.generation;
        assert_eq!(world.desired("shop").await.unwrap().generation, shop);
    }
    // And it would have, had it been about that one.
    let sent = about(&senders[0], "other");
    assert_eq!(send(&world, &sent, SECRET).await, 200);
    world.present("shop", |it, _| it.generation > shop).await;
}

/// A Git host that may be made slow, or say that it is busy.
#[derive(Clone)]
struct Host {
    root: PathBuf,
    /// Listings of references that were asked for.
    looks: Arc<AtomicUsize>,
    /// One is taken for each listing.
    gate: Arc<Semaphore>,
    /// So many listings are refused with 429.
    busy: usize,
}

impl Host {
    async fn serve(world: &World, address: &str, gate: usize, busy: usize) -> (Self, String) {
        let host = Self {
            root: world.git.folder.path().to_owned(),
            looks: Arc::default(),
            gate: Arc::new(Semaphore::new(gate)),
            busy,
        };
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/team/repo.git", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (host, url)
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    async fn looked(&self, times: usize) {
        eventually("a look at the host", || async {
            (self.looks() >= times).then_some(())
        })
        .await;
    }
}

async fn answer(State(host): State<Host>, request: Request) -> Response {
    if request.uri().path().ends_with("/info/refs") {
        let number = host.looks.fetch_add(1, Ordering::SeqCst);
        if number < host.busy {
            return (
                axum::http::StatusCode::TOO_MANY_REQUESTS,
                [("retry-after", "3")],
                "",
            )
                .into_response();
        }
        host.gate.acquire().await.unwrap().forget();
    }
    git::backend(&host.root, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_webhooks_is_one_more_look_and_an_interval_may_be_set_at_any_time() {
    let world = World::start().await;
    install_secrets(&world).await;
    world.git.commit(&[("web/a.yaml", "0")]);
    let (host, url) = Host::serve(&world, "127.0.0.1:0", 1, 0).await;
    world.create_from(&url, "web", false).await;
    world.present("web", |_, _| true).await;
    assert_eq!(host.looks(), 1);

    let sent = payloads::all()
        .into_iter()
        .find(|sent| sent.provider == Provider::GitHub)
        .unwrap();
    let sent = about(&sent, "repo");
    assert_eq!(send(&world, &sent, SECRET).await, 200);
    host.looked(2).await;
    // The host lists its references only now, and then something else is pushed.
    let commit = world.git.commit(&[("web/a.yaml", "1")]);
    for _ in 0..300 {
        assert_eq!(send(&world, &sent, SECRET).await, 200);
    }
    assert_eq!(host.looks(), 2);
    host.gate.add_permits(100);
    world
        .present("web", |_, present| present.sources[0].revision == commit)
        .await;
    host.looked(3).await;
    // One more push, whose look comes after all that the burst caused.
    let commit = world.git.commit(&[("web/a.yaml", "2")]);
    assert_eq!(send(&world, &sent, SECRET).await, 200);
    world
        .present("web", |_, present| present.sources[0].revision == commit)
        .await;
    assert!(host.looks() <= 4, "{} looks", host.looks());

    // An interval that is set while the watcher runs counts from then on, without any webhook.
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), NAMESPACE);
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "argocd-cm"},
        "data": {"timeout.reconciliation": "1s", "timeout.reconciliation.jitter": "0"},
    }))
    .unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let commit = world.git.commit(&[("web/a.yaml", "3")]);
    world
        .present("web", |_, present| present.sources[0].revision == commit)
        .await;
}

/// Accepts connections, reads what comes, and never answers, until it is told to end them all. Counts the most that were open
/// at the same time.
async fn tarpit(ends: watch::Receiver<bool>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let now = open.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            let open = Arc::clone(&open);
            let mut ends = ends.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 1024];
                let reads =
                    async { while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {} };
                tokio::select! {
                    () = reads => {}
                    _ = ends.wait_for(|ends| *ends) => {}
                }
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (address, counted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarpit_a_refusing_host_and_a_busy_one_delay_no_good_one() {
    let world = World::start_with(&["--fetch-timeout", "3600"]).await;
    world
        .git
        .commit(&[("good/a.yaml", "0"), ("busy/a.yaml", "0")]);
    let ends = watch::Sender::new(false);
    let (tarpit, most) = tarpit(ends.subscribe()).await;
    // Nobody listens where somebody did.
    let gone = TcpListener::bind("127.0.0.3:0").await.unwrap();
    let refusing = gone.local_addr().unwrap();
    drop(gone);
    let (busy, busy_url) = Host::serve(&world, "127.0.0.4:0", 1000, 1).await;
    let asked = Instant::now();
    world.create_from(&busy_url, "busy", false).await;
    for number in 0..12 {
        let repository = format!("http://{tarpit}/team/{number}.git");
        world
            .create_from(&repository, &format!("slow-{number}"), false)
            .await;
        let repository = format!("http://{refusing}/team/{number}.git");
        world
            .create_from(&repository, &format!("dead-{number}"), false)
            .await;
    }
    world.create("good", false).await;
    world.present("good", |_, _| true).await;
    // While the tarpit holds all who look there, each commit of the good one comes through.
    for number in 1..20 {
        let commit = world.git.commit(&[("good/a.yaml", &number.to_string())]);
        assert_eq!(world.push().await, 200);
        world
            .present("good", |_, present| present.sources[0].revision == commit)
            .await;
    }
    assert!(most.load(Ordering::SeqCst) > 0);
    ends.send_replace(true);
    // The busy one was left alone for as long as it asked, and then it was looked at.
    busy.looked(2).await;
    assert!(
        asked.elapsed() >= Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    world.present("busy", |_, _| true).await;
    assert_eq!(busy.looks(), 2);
    // Everybody is told, also those of whose repository nothing was tried.
    for number in 0..12 {
        for name in [format!("slow-{number}"), format!("dead-{number}")] {
            world
                .state(&name, |state| !state.conditions.is_empty())
                .await;
        }
    }
    // Four at a time, and those that the tarpit didn't see the end of yet.
    let most = most.load(Ordering::SeqCst);
    assert!(most <= 8, "{most} at the same time");
}
