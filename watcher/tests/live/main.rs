//! The watcher's program on a real NATS and a real API server, with a repository over smart HTTP. The renderer and the applier
//! are played by the test.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../support/charts.rs"]
mod charts;
#[path = "../support/http.rs"]
mod git;
mod lead;
mod noticing;
#[path = "../webhooks/payloads.rs"]
#[expect(
    dead_code,
    reason = "some of its helpers are for the tests of webhooks alone"
)]
mod payloads;
mod projects;
mod restart;
mod several;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use api::{AppProject, Application};
use bus::message::cluster::ClusterInfo;
use bus::message::condition::ConditionType;
use bus::message::desired::{Cascade, Desired, DesiredState, Present};
use bus::message::event::{Event, EventKind};
use bus::message::render::{Input, PseudoInput, Render, RenderOutcome};
use bus::message::state::WatcherState;
use bus::message::verified::Verified;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, ClusterId, ConnectArgs, Digest, Generation};
use deploy::{ClusterOptions, NatsConfig, Stack, StackOptions, VaultPart};
use git::Git;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

const NAMESPACE: &str = "argocd";
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    stack: Stack,
    client: kube::Client,
    bus: Bus,
    git: Git,
    webhook: String,
    watcher: Watcher,
    scratch: tempfile::TempDir,
}

/// A watcher that runs.
struct Watcher {
    process: tokio::process::Child,
    webhook: String,
    admin: String,
}

impl Watcher {
    async fn launch(folder: &Path, kubeconfig: &Path, nats: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(folder).unwrap().keep();
        let named = flags.contains(&"--identity");
        let process = tokio::process::Command::new(env!("CARGO_BIN_EXE_towline-watcher"))
            .args(["--nats", nats, "--kubeconfig"])
            .arg(kubeconfig)
            .args(["--webhook-listen", "127.0.0.1:0", "--poll-interval", "3600"])
            .arg("--webhook-listen-file")
            .arg(folder.join("webhook"))
            .arg("--admin-file")
            .arg(folder.join("admin"))
            .args(if named {
                &[][..]
            } else {
                &["--identity", "only"]
            })
            .args(flags)
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = async |name: &str| {
            eventually(name, || async {
                std::fs::read_to_string(folder.join(name)).ok()
            })
            .await
        };
        Self {
            process,
            webhook: said("webhook").await,
            admin: said("admin").await,
        }
    }

    /// Waits until `/readyz` answers with this status and text.
    async fn says(&self, status: u16, text: &str) {
        eventually(&format!("{status} {text}"), || async {
            let url = format!("http://{}/readyz", self.admin);
            let answer = reqwest::get(url).await.ok()?;
            let same = answer.status() == status;
            (same && answer.text().await.ok()?.contains(text)).then_some(())
        })
        .await;
    }
}

fn app_id(name: &str) -> AppId {
    AppId::new(NAMESPACE, name).unwrap()
}

fn here() -> ClusterId {
    ClusterId::in_cluster()
}

/// Asks until there is an answer. The waits are between looks at a condition, never instead of one.
async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl World {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(flags: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stack = Stack::start(&StackOptions {
            nats: Some(NatsConfig::default()),
            cluster: Some(ClusterOptions::default()),
            vault: VaultPart::Absent,
        })
        .await
        .unwrap();
        let kubeconfig = stack.cluster.as_ref().unwrap().kubeconfig().to_owned();
        let nats = stack.nats.as_ref().unwrap().url();
        let config = kube::config::Kubeconfig::read_from(&kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(
            config,
            &kube::config::KubeConfigOptions::default(),
        )
        .await
        .unwrap();
        let client = kube::Client::try_from(config).unwrap();
        install(&client).await;
        let connect = ConnectArgs {
            url: nats.clone(),
            seed: None,
            ca: None,
        };
        let bus = Bus::connect(&connect, "test").await.unwrap();
        bus::stream::provision(&bus, &[here()]).await.unwrap();
        leave_states(&bus).await;
        let scratch = tempfile::tempdir().unwrap();
        let watcher = Watcher::launch(scratch.path(), &kubeconfig, &nats, flags).await;
        Self {
            stack,
            client,
            bus,
            git: Git::serve().await,
            webhook: watcher.webhook.clone(),
            watcher,
            scratch,
        }
    }

    /// Another watcher, that has nothing of the first but its name and what is on the bus.
    async fn restart(&mut self) {
        self.watcher.process.kill().await.unwrap();
        self.watcher = self.another(&[]).await;
        self.webhook.clone_from(&self.watcher.webhook);
    }

    /// One more watcher.
    async fn another(&self, flags: &[&str]) -> Watcher {
        self.another_at(self.stack.cluster.as_ref().unwrap().kubeconfig(), flags)
            .await
    }

    async fn another_at(&self, kubeconfig: &Path, flags: &[&str]) -> Watcher {
        let nats = self.stack.nats.as_ref().unwrap().url();
        Watcher::launch(self.scratch.path(), kubeconfig, &nats, flags).await
    }

    fn apps(&self) -> Api<Application> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn create(&self, name: &str, finalizer: bool) {
        self.create_from(&self.git.url(), name, finalizer).await;
    }

    async fn create_from(&self, url: &str, name: &str, finalizer: bool) {
        let app: Application = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": name,
                "finalizers": if finalizer { json!(["resources-finalizer.argocd.argoproj.io"]) } else { json!([]) },
            },
            "spec": {
                "project": "default",
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
                "source": {"repoURL": url, "path": name, "targetRevision": "main"},
            },
        }))
        .unwrap();
        self.apps()
            .create(&PostParams::default(), &app)
            .await
            .unwrap();
    }

    async fn desired(&self, name: &str) -> Option<Desired> {
        let subject = subject::desired(&here(), &app_id(name));
        let last = self.bus.last::<Desired>(Stream::Desired, &subject).await;
        last.unwrap().map(|stored| stored.value)
    }

    async fn present(&self, name: &str, is: impl Fn(&Desired, &Present) -> bool) -> Desired {
        eventually(&format!("a desired state of {name}"), || async {
            let desired = self.desired(name).await?;
            match &desired.state {
                DesiredState::Present(present) if is(&desired, present) => Some(desired),
                _ => None,
            }
        })
        .await
    }

    async fn state(&self, name: &str, is: impl Fn(&WatcherState) -> bool) -> WatcherState {
        eventually(&format!("a state of {name}"), || async {
            let mut found = None;
            for cluster in [Some(here()), None] {
                let key = subject::state("watcher", cluster.as_ref(), &app_id(name));
                let state = self
                    .bus
                    .get::<WatcherState>(Bucket::State, &key)
                    .await
                    .unwrap();
                found = found.or(state.map(|it| it.value).filter(|state| is(state)));
            }
            found
        })
        .await
    }

    /// What the renderer would say of a generation that read its own folder's file.
    async fn rendered(&self, name: &str, generation: Generation, object: git2::Oid) {
        self.rendered_with(name, generation, object, Vec::new())
            .await;
    }

    /// The same of one that used other things than files.
    async fn rendered_with(
        &self,
        name: &str,
        generation: Generation,
        object: git2::Oid,
        values: Vec<PseudoInput>,
    ) {
        let render = Render {
            app: app_id(name),
            cluster: here(),
            generation,
            parameters: Digest::of(b""),
            inputs: vec![Input {
                source: 0,
                path: format!("{name}/a.yaml"),
                object: Some(object.to_string()),
            }],
            values,
            needs: Vec::new(),
            past: Vec::new(),
            outcome: RenderOutcome::Rendered {
                digest: Digest::of(b""),
                count: 1,
                size: 1,
                source_types: Vec::new(),
                conditions: Vec::new(),
            },
        };
        let key = subject::application(&here(), &app_id(name));
        self.bus
            .put_generation(Bucket::Renders, &key, &render)
            .await
            .unwrap();
    }

    async fn push(&self) -> reqwest::StatusCode {
        self.push_to(&self.webhook).await
    }

    async fn push_to(&self, webhook: &str) -> reqwest::StatusCode {
        let body = json!({"ref": "refs/heads/main", "repository": {"clone_url": self.git.url()}});
        reqwest::Client::new()
            .post(format!("http://{webhook}/api/webhook"))
            .header("X-GitHub-Event", "push")
            .json(&body)
            .send()
            .await
            .unwrap()
            .status()
    }

    async fn verified(&self, commit: &str) {
        let key = subject::branch(&self.git.url(), "main");
        eventually("the branch to be verified", || async {
            let verified = self
                .bus
                .get::<Verified>(Bucket::Verified, &key)
                .await
                .unwrap()?;
            (verified.value.revision == commit).then_some(())
        })
        .await;
    }
}

/// The definitions, the namespace and the default project.
async fn install(client: &kube::Client) {
    let crds: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        Api::all(client.clone());
    for crd in api::crds() {
        let name = crd.metadata.name.clone().unwrap();
        let params = PatchParams::apply("test").force();
        crds.patch(&name, &params, &Patch::Apply(&crd))
            .await
            .unwrap();
        let established = kube::runtime::conditions::is_crd_established();
        kube::runtime::wait::await_condition(crds.clone(), &name, established)
            .await
            .unwrap();
    }
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let projects: Api<AppProject> = Api::namespaced(client.clone(), NAMESPACE);
    let default = AppProject::allow_all("default");
    projects
        .create(&PostParams::default(), &default)
        .await
        .unwrap();
}

fn blob(text: &str) -> git2::Oid {
    git2::Oid::hash_object(git2::ObjectType::Blob, text.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_becomes_desired_state_for_whom_it_affects_and_a_deletion_is_carried_out() {
    let mut world = World::start().await;
    world
        .git
        .commit(&[("web/a.yaml", "1"), ("shop/a.yaml", "1")]);
    unknown_fields_survive_in_the_api_server(&world).await;

    // Both are published, from one copy of the repository.
    world.create("web", true).await;
    world.create("shop", false).await;
    let web = world.present("web", |_, _| true).await;
    let shop = world.present("shop", |_, _| true).await;
    let DesiredState::Present(present) = &web.state else {
        unreachable!()
    };
    let source = &present.sources[0];
    let stored = world
        .bus
        .objects(&subject::Store::Snapshots)
        .get(&source.snapshot.packs[0], 1 << 20)
        .await
        .unwrap();
    assert!(stored.is_some());
    world.rendered("web", web.generation, blob("1")).await;
    world.rendered("shop", shop.generation, blob("1")).await;

    // A commit that one of them read, and a webhook.
    let commit = world.git.commit(&[("web/a.yaml", "2")]);
    let before = world.git.requests();
    let pushed = Instant::now();
    assert_eq!(world.push().await, 200);
    let newer = world
        .present("web", |_, present| present.sources[0].revision == commit)
        .await;
    assert!(newer.generation > web.generation);
    println!(
        "webhook → desired state: {:?}, {} requests",
        pushed.elapsed(),
        world.git.requests() - before
    );
    let DesiredState::Present(present) = &newer.state else {
        unreachable!()
    };
    assert_eq!(present.sources[0].revision, commit);
    assert_eq!(present.sources[0].snapshot.packs.len(), 2);
    world.verified(&commit).await;
    assert_eq!(
        world.desired("shop").await.unwrap().generation,
        shop.generation
    );
    world.rendered("web", newer.generation, blob("2")).await;

    // A commit that nobody read.
    let commit = world.git.commit(&[("README", "hello")]);
    assert_eq!(world.push().await, 200);
    world.verified(&commit).await;
    assert_eq!(
        world.desired("web").await.unwrap().generation,
        newer.generation
    );

    refreshes(&world, newer.generation).await;
    let newest = capabilities(&world, refused(&world).await).await;
    left_by_an_earlier_watcher(&world).await;
    moved_to_nowhere(&world).await;
    broker_wiped(&mut world, newest).await;
    deleted(&world).await;
}

async fn unknown_fields_survive_in_the_api_server(world: &World) {
    let mut value = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "odd"},
        "spec": {
            "project": "default", "destination": {"server": "https://kubernetes.default.svc", "turbo": 1},
            "source": {"repoURL": world.git.url(), "path": "nope", "helm": {"valuesObject": {"a": {"b": [1, "x"]}}, "new": {"x": "y"}}},
            "later": {"deep": [{"er": true}]},
        },
        "topLevel": {"kept": "too"},
    });
    let app: Application = serde_json::from_value(value.clone()).unwrap();
    let made = world
        .apps()
        .create(&PostParams::default(), &app)
        .await
        .unwrap();
    let made = serde_json::to_value(made).unwrap();
    value.as_object_mut().unwrap().remove("metadata");
    for (key, expected) in value.as_object().unwrap() {
        assert_eq!(&made[key], expected, "{key}");
    }
    let state = world
        .state("odd", |state| !state.conditions.is_empty())
        .await;
    assert_eq!(state.conditions[0].kind, ConditionType::UnknownFieldWarning);
    world
        .apps()
        .delete("odd", &DeleteParams::default())
        .await
        .unwrap();
}

async fn refreshes(world: &World, generation: Generation) {
    let annotate = |kind: &'static str| {
        Patch::Merge(json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": kind}}}))
    };
    let params = PatchParams::default();
    let asked = world
        .apps()
        .patch("web", &params, &annotate("normal"))
        .await
        .unwrap();
    let version = asked.metadata.resource_version.unwrap();
    let done = world.state("web", |state| state.refreshed.is_some()).await;
    assert!(done.refreshed.unwrap().resource_version >= version);
    assert_eq!(world.desired("web").await.unwrap().generation, generation);
    world
        .apps()
        .patch("web", &params, &annotate("hard"))
        .await
        .unwrap();
    world
        .present("web", |it, present| {
            it.generation > generation && present.trigger.hard
        })
        .await;
}

/// The applier refuses a generation: a newer one comes, above the head.
async fn refused(world: &World) -> Generation {
    let web = world.desired("web").await.unwrap();
    let head = Generation(web.generation.0 + 1_000_000_000);
    let about = bus::message::cluster::Head {
        app: app_id("web"),
        cluster: here(),
        generation: head,
    };
    let key = subject::application(&here(), &app_id("web"));
    world.bus.put(Bucket::Heads, &key, &about).await.unwrap();
    let event = Event::new(&app_id("web"), &here(), EventKind::DesiredRefused, "older")
        .generation(web.generation);
    world.bus.event(&event).await;
    let newer = world.present("web", |it, _| it.generation > head).await;
    newer.generation
}

/// A cluster that offers something else than the last render used, though nobody saw it change.
async fn capabilities(world: &World, newest: Generation) -> Generation {
    let used = PseudoInput::Capabilities(Digest::of(b"what it offered then"));
    world
        .rendered_with("web", newest, blob("2"), vec![used])
        .await;
    let info = ClusterInfo {
        cluster: here(),
        kube_version: "v1.37.2".to_owned(),
        kinds: Vec::new(),
    };
    world
        .bus
        .put(Bucket::Clusters, here().as_str(), &info)
        .await
        .unwrap();
    let again = world.present("web", |it, _| it.generation > newest).await;
    let used = PseudoInput::Capabilities(info.digest());
    world
        .rendered_with("web", again.generation, blob("2"), vec![used])
        .await;
    again.generation
}

/// Of an application whose cluster was not known then, and of one that is deleted and was never published.
const LEFT: [&str; 2] = ["shop", "ghost"];

async fn leave_states(bus: &Bus) {
    for name in LEFT {
        let state = WatcherState {
            app: app_id(name),
            uid: "then".to_owned(),
            cluster: None,
            project: "default".to_owned(),
            generation: None,
            sources: Vec::new(),
            conditions: Vec::new(),
            refreshed: None,
            deleting: false,
        };
        let key = subject::state("watcher", None, &state.app);
        bus.put(Bucket::State, &key, &state).await.unwrap();
    }
}

async fn left_by_an_earlier_watcher(world: &World) {
    for name in LEFT {
        let key = subject::state("watcher", None, &app_id(name));
        eventually("a state that no longer counts to go", || async {
            let left = world.bus.get::<WatcherState>(Bucket::State, &key).await;
            left.unwrap().is_none().then_some(())
        })
        .await;
    }
}

/// A destination that no cluster has: a condition, and nothing is deleted.
async fn moved_to_nowhere(world: &World) {
    let server = |server: &str| Patch::Merge(json!({"spec": {"destination": {"server": server}}}));
    let params = PatchParams::default();
    world
        .apps()
        .patch("shop", &params, &server("https://nowhere"))
        .await
        .unwrap();
    let state = world
        .state("shop", |state| !state.conditions.is_empty())
        .await;
    assert_eq!(state.conditions[0].kind, ConditionType::InvalidSpecError);
    assert!(matches!(
        world.desired("shop").await.unwrap().state,
        DesiredState::Present(_)
    ));
    world
        .apps()
        .patch("shop", &params, &server("https://kubernetes.default.svc"))
        .await
        .unwrap();
    world
        .state("shop", |state| state.conditions.is_empty())
        .await;
}

/// Everything comes back, with generations above those that were there.
async fn broker_wiped(world: &mut World, newest: Generation) {
    world.wipe().await;
    let web = world.present("web", |it, _| it.generation > newest).await;
    let DesiredState::Present(present) = &web.state else {
        unreachable!()
    };
    let packs = &present.sources[0].snapshot.packs;
    assert_eq!(packs.len(), 1, "a full pack, since the store is empty");
    let objects = world.bus.objects(&subject::Store::Snapshots);
    assert!(objects.get(&packs[0], 1 << 20).await.unwrap().is_some());
    world.present("shop", |_, _| true).await;
    world.state("web", |_| true).await;
    let project = world
        .bus
        .get::<bus::message::project::Project>(Bucket::Projects, "default")
        .await;
    assert!(project.unwrap().is_some());
}

async fn deleted(world: &World) {
    // With the finalizer: its objects go along, and the subject is purged once the applier reports.
    let web = world.apps().get("web").await.unwrap().metadata.uid.unwrap();
    world
        .apps()
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    let gone = |name: &'static str, cascade: Cascade| async move {
        eventually("a deletion", || async {
            match world.desired(name).await?.state {
                DesiredState::Deleted(deleted) if deleted.cascade == cascade => Some(deleted.uid),
                _ => None,
            }
        })
        .await
    };
    assert_eq!(gone("web", Cascade::Foreground).await, web);
    world.state("web", |state| state.deleting).await;
    let generation = world.desired("web").await.unwrap().generation;
    let kind = EventKind::ApplicationDeleted;
    let report = Event::new(&app_id("web"), &here(), kind, "gone").generation(generation);
    world.bus.event(&report.detail("uid", web)).await;
    eventually("the purge", || async {
        world.desired("web").await.is_none().then_some(())
    })
    .await;

    // Without it: they are left alone.
    world
        .apps()
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    gone("shop", Cascade::None).await;
}
