//! The watcher's program on a real NATS and a real API server, with a repository over smart HTTP. The renderer and the applier
//! are played by the test.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../support/charts.rs"]
mod charts;
mod commit;
#[path = "../support/http.rs"]
mod git;
mod inherited;
mod lead;
mod noticing;
mod order;
#[path = "../webhooks/payloads.rs"]
#[expect(
    dead_code,
    reason = "some of its helpers are for the tests of webhooks alone"
)]
mod payloads;
mod projects;
mod restart;
mod several;
mod unusable;

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
/// Only ever waited for in full by a test that fails.
const PATIENCE: Duration = Duration::from_mins(1);

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

    /// How many records of renders it has read.
    async fn records_read(&self) -> u64 {
        let url = format!("http://{}/metrics", self.admin);
        let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("towline_watcher_render_records_total{"));
        counts
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
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
        commit::leave_states(&bus).await;
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

    /// What the renderer would say of a generation, once the watcher has read it: what follows is judged by it.
    async fn has_rendered(&self, render: &Render) {
        let before = self.watcher.records_read().await;
        self.record(render).await;
        eventually("the record to be read", || async {
            (self.watcher.records_read().await > before).then_some(())
        })
        .await;
    }

    async fn record(&self, render: &Render) {
        let key = subject::application(&render.cluster, &render.app);
        let stored = self.bus.put_generation(Bucket::Renders, &key, render).await;
        assert!(matches!(stored.unwrap(), bus::Published::Stored(_)));
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
        let mut render = render(name, generation, object);
        render.values = values;
        self.has_rendered(&render).await;
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

/// The record of a render that read its own folder's file.
fn render(name: &str, generation: Generation, object: git2::Oid) -> Render {
    Render {
        app: app_id(name),
        cluster: here(),
        generation,
        parameters: Digest::of(b""),
        inputs: vec![Input {
            source: 0,
            path: format!("{name}/a.yaml"),
            object: Some(object.to_string()),
        }],
        values: Vec::new(),
        needs: Vec::new(),
        past: Vec::new(),
        outcome: RenderOutcome::Rendered {
            digest: Digest::of(b""),
            count: 1,
            size: 1,
            source_types: Vec::new(),
            conditions: Vec::new(),
        },
    }
}

fn blob(text: &str) -> git2::Oid {
    git2::Oid::hash_object(git2::ObjectType::Blob, text.as_bytes()).unwrap()
}
