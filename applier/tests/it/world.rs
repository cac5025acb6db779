//! A broker, a cluster, the applier's program, and what scenarios say and look at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bus::message::command::{Action, Command as Order};
use bus::message::desired::{
    Cause, Commit, Deleted, Desired, DesiredState, Present, ResolvedSource, Snapshot, Tracking,
    Trigger,
};
use bus::message::event::Event;
use bus::message::manifests::{Manifests, Payload};
use bus::message::project::Project;
use bus::message::state::ApplierState;
use bus::seal::{AnswererKey, AskerPublic};
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, ClusterId, ConnectArgs, Digest, Generation, Update, clock};
use clap::Parser;
use deploy::{ClusterOptions, NatsConfig, Stack, StackOptions, VaultPart};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::proxy::Proxy;

/// The identity of the applier that each world begins with.
const FIRST: &str = "first";
/// What the applier shows to the proxy.
const TOKEN: &str = "first";
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// What applications are at where it doesn't matter.
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// Who made what is released.
pub(crate) fn commit() -> Commit {
    Commit {
        author: "Vera R.".to_owned(),
        subject: "Open the dome slower in wind".to_owned(),
        time: 1,
    }
}

pub(crate) struct World {
    pub stack: Stack,
    pub bus: Bus,
    pub client: Client,
    applier: Mutex<Option<Child>>,
    proxy: Option<Proxy>,
    pub agent: AnswererKey,
    pub asker: AskerPublic,
}

#[derive(Parser)]
struct Nats {
    #[command(flatten)]
    args: ConnectArgs,
}

pub(crate) fn cluster() -> ClusterId {
    ClusterId::in_cluster()
}

impl World {
    pub(crate) async fn start() -> Self {
        let world = Self::prepare().await;
        world.start_applier();
        world
    }

    /// With a proxy between the applier and the API server.
    pub(crate) async fn start_behind_proxy() -> Self {
        let mut world = Self::prepare().await;
        let proxy = Proxy::start(world.client.clone(), TOKEN).await;
        world.proxy = Some(proxy);
        world.write_kubeconfig(TOKEN);
        world.start_applier();
        world
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    /// The applier's, with this token.
    pub(crate) fn write_kubeconfig(&self, token: &str) {
        let path = self.stack.folder().join("proxied.yaml");
        std::fs::write(path, self.proxy().kubeconfig(token)).unwrap();
    }

    async fn prepare() -> Self {
        let options = StackOptions {
            nats: Some(NatsConfig::default()),
            cluster: Some(ClusterOptions::default()),
            vault: VaultPart::Absent,
        };
        let stack = Stack::start(&options).await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bus = connect(&stack).await;
        let kubeconfig =
            kube::config::Kubeconfig::read_from(stack.cluster.as_ref().unwrap().kubeconfig())
                .unwrap();
        let config = kube::Config::from_custom_kubeconfig(
            kubeconfig,
            &kube::config::KubeConfigOptions::default(),
        )
        .await
        .unwrap();
        let client = Client::try_from(config).unwrap();
        let (asker, answerer) = bus::seal::generate().unwrap();
        bus::seal::write_key(&stack.folder().join("seal.key"), &asker.secret).unwrap();
        let world = Self {
            agent: AnswererKey::from_secret(&answerer.secret).unwrap(),
            asker: asker.public.parse().unwrap(),
            stack,
            bus,
            client,
            applier: Mutex::new(None),
            proxy: None,
        };
        world.publish_project().await;
        world
    }

    pub(crate) async fn publish_project(&self) {
        let project = Project {
            name: "default".to_owned(),
            spec: api::AppProject::allow_all("default").spec,
            secret_kinds: vec!["ConfigMap".to_owned()],
            vault_secrets: api::project::VaultSecrets::Resolve,
            ..Project::default()
        };
        self.bus
            .put(Bucket::Projects, "default", &project)
            .await
            .unwrap();
    }

    pub(crate) fn start_applier(&self) {
        let kubeconfig = match &self.proxy {
            Some(_) => self.stack.folder().join("proxied.yaml"),
            None => self.stack.cluster.as_ref().unwrap().kubeconfig().to_owned(),
        };
        // One that is started again goes on at once.
        let child = self.spawn_applier(("--kubeconfig", &kubeconfig), FIRST);
        *self.applier.lock().unwrap() = Some(child);
    }

    /// `access` is the flag that says where the cluster is, and its value.
    pub(crate) fn spawn_applier(&self, access: (&str, &Path), identity: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_towline-applier"))
            .args(["--nats", &self.stack.nats.as_ref().unwrap().url()])
            .args(["--identity", identity])
            .arg(access.0)
            .arg(access.1)
            .env(
                "TOWLINE_LOG_LEVEL",
                std::env::var("APPLIER_LOG").unwrap_or_else(|_| "warn".to_owned()),
            )
            .arg("--admin-file")
            .arg(self.admin_file(identity))
            .arg("--seal-key")
            .arg(self.stack.folder().join("seal.key"))
            .args(["--secrets-agent-key", &self.agent.public().to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn admin_file(&self, identity: &str) -> PathBuf {
        self.stack.folder().join(format!("{identity}.admin"))
    }

    pub(crate) fn is_ready(&self, identity: &str) -> bool {
        self.ask(identity, "/readyz").is_some_and(|answer| {
            answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200")
        })
    }

    /// What the admin port answers; none while nobody listens.
    fn ask(&self, identity: &str, path: &str) -> Option<String> {
        use std::io::{Read, Write};
        let address = std::fs::read_to_string(self.admin_file(identity)).ok()?;
        let mut stream = std::net::TcpStream::connect(address.trim()).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        Some(text)
    }

    /// The applier's metrics, as lines.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let text = self.ask(FIRST, "/metrics").unwrap();
        text.lines()
            .filter(|line| line.starts_with("towline_"))
            .map(str::to_owned)
            .collect()
    }

    /// `kill -9`.
    pub(crate) fn kill_applier(&self) {
        let mut child = self.applier.lock().unwrap().take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn applier_pid(&self) -> u32 {
        self.applier.lock().unwrap().as_ref().unwrap().id()
    }

    pub(crate) fn applier_runs(&self) -> bool {
        let mut applier = self.applier.lock().unwrap();
        let ended = applier.as_mut().unwrap().try_wait().unwrap();
        ended.is_none()
    }

    /// The broker with nothing in it.
    pub(crate) async fn wipe_broker(&mut self) {
        let nats = self.stack.nats.as_mut().unwrap();
        nats.kill().await;
        nats.wipe().unwrap();
        nats.start_again().await.unwrap();
        bus::stream::provision(&self.bus, &[cluster()])
            .await
            .unwrap();
        self.publish_project().await;
    }

    pub(crate) async fn namespace(&self, name: &str) {
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::all(self.client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
    }

    pub(crate) async fn release(&self, app: &App, objects: Value) -> Generation {
        self.release_at(app, REVISION, objects).await
    }

    pub(crate) async fn release_at(&self, app: &App, revision: &str, objects: Value) -> Generation {
        let generation = app.next();
        self.publish_desired_at(app, generation, revision).await;
        self.publish_manifests(app, generation, &objects).await;
        generation
    }

    pub(crate) async fn publish_desired(&self, app: &App, generation: Generation) {
        self.publish_desired_at(app, generation, REVISION).await;
    }

    async fn publish_desired_at(&self, app: &App, generation: Generation, revision: &str) {
        let now = clock::now_ms();
        let present = Present {
            uid: app.uid.clone(),
            spec: serde_json::from_value(app.spec.clone()).unwrap(),
            annotations: app.notes.clone(),
            server: None,
            cluster_name: None,
            sources: vec![ResolvedSource {
                repo_url: "https://git.example.org/deploy".to_owned(),
                target_revision: "main".to_owned(),
                revision: revision.to_owned(),
                tree: "89abcdef0123456789abcdef0123456789abcdef".to_owned(),
                snapshot: Snapshot::default(),
                commit: Some(commit()),
            }],
            dependencies: Vec::new(),
            rendering: bus::message::desired::Rendering::default(),
            tracking: Tracking {
                method: api::tracking::TrackingMethod::Annotation,
                label_key: "app.kubernetes.io/instance".to_owned(),
                instance: app.id.name().to_owned(),
            },
            assess_applications: false,
            had: app.had.clone(),
            trigger: Trigger {
                cause: Cause::Webhook,
                hard: false,
                noticed: now,
                fetched: now,
                published: now,
            },
        };
        let desired = Desired {
            app: app.id.clone(),
            cluster: cluster(),
            generation,
            state: DesiredState::Present(Arc::new(present)),
        };
        let subject = subject::desired(&cluster(), &app.id);
        self.bus
            .publish_generation(Stream::Desired, &subject, &desired)
            .await
            .unwrap();
    }

    pub(crate) async fn publish_manifests(
        &self,
        app: &App,
        generation: Generation,
        objects: &Value,
    ) {
        let now = clock::now_ms();
        let text = objects.to_string();
        let manifests = Manifests {
            app: app.id.clone(),
            cluster: cluster(),
            generation,
            digest: Digest::of(text.as_bytes()),
            payload: Payload::Inline(text),
            count: objects.as_array().unwrap().len(),
            source_types: Vec::new(),
            conditions: Vec::new(),
            started: now,
            rendered: now,
        };
        let subject = subject::manifests(&cluster(), &app.id);
        self.bus
            .publish_generation(Stream::Manifests, &subject, &manifests)
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, app: &App, cascade: bus::message::desired::Cascade) {
        let desired = Desired {
            app: app.id.clone(),
            cluster: cluster(),
            generation: app.next(),
            state: DesiredState::Deleted(Deleted {
                requested: app.deleted,
                approved: app.notes.get(api::annotations::DELETION_APPROVED).cloned(),
                ..Deleted::new(&app.uid, cascade)
            }),
        };
        let subject = subject::desired(&cluster(), &app.id);
        self.bus
            .publish_generation(Stream::Desired, &subject, &desired)
            .await
            .unwrap();
    }

    pub(crate) async fn order(&self, app: &App, action: Action) -> String {
        let id = format!("{}-{}", app.id.name(), clock::now_ms());
        let order = Order {
            id: id.clone(),
            app: app.id.clone(),
            cluster: cluster(),
            user: "jane".to_owned(),
            issued: clock::now_ms(),
            action,
        };
        let subject = subject::command(&cluster(), &app.id, order.action.verb());
        self.bus
            .publish(Stream::Commands, &subject, &order, None)
            .await
            .unwrap();
        id
    }

    /// The state of an application when it fulfils `condition`.
    pub(crate) async fn state(
        &self,
        app: &App,
        what: &str,
        condition: impl Fn(&ApplierState) -> bool,
    ) -> ApplierState {
        let key = subject::state("applier", Some(&cluster()), &app.id);
        let mut watch = self.bus.watch_bucket::<ApplierState>(Bucket::State, &key);
        let mut last = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout(
                deadline.saturating_duration_since(Instant::now()),
                watch.next(),
            )
            .await
            {
                Ok(Update::Put(stored)) if condition(&stored.value) => return stored.value,
                Ok(Update::Put(stored)) => last = Some(stored.value),
                Ok(_) => {}
                Err(tokio::time::error::Elapsed { .. }) => panic!(
                    "{} never was: {what}; last: {:#?}\nevents: {:#?}",
                    app.id,
                    last,
                    self.events(app).await
                ),
            }
        }
    }

    /// The events of an application so far.
    pub(crate) async fn events(&self, app: &App) -> Vec<Event> {
        // Last per subject and kind is enough to look at.
        let mut watch = self.bus.watch_stream::<Event>(
            Stream::Events,
            &subject::events_of_application(&cluster(), &app.id),
        );
        let mut events = Vec::new();
        loop {
            match watch.next().await {
                Update::Put(stored) => events.push(stored.value),
                Update::Ready => return events,
                Update::Deleted { .. } | Update::Unreadable { .. } => {}
            }
        }
    }

    pub(crate) async fn event(&self, app: &App, kind: &str) -> String {
        self.said(app, kind, |_| true).await.message
    }

    pub(crate) async fn said(&self, app: &App, kind: &str, is: impl Fn(&Event) -> bool) -> Event {
        let mut found = None;
        eventually(&format!("event {kind} of {}", app.id), async || {
            found = self
                .events(app)
                .await
                .into_iter()
                .find(|event| event.kind.token() == kind && is(event));
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    pub(crate) fn config_maps(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Option<ConfigMap> {
        self.config_maps(namespace).get_opt(name).await.unwrap()
    }

    pub(crate) fn objects(
        &self,
        kind: &str,
        plural: &str,
        group: &str,
        namespace: &str,
    ) -> Api<DynamicObject> {
        let resource = kube::api::ApiResource {
            group: group.to_owned(),
            version: "v1".to_owned(),
            api_version: if group.is_empty() {
                "v1".to_owned()
            } else {
                format!("{group}/v1")
            },
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.applier.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn connect(stack: &Stack) -> Bus {
    let args = Nats::parse_from(["test", "--nats", &stack.nats.as_ref().unwrap().url()]).args;
    // The provisioner waits for nothing: it makes what the others wait for.
    let bus = Bus::connect(&args, "provisioner").await.unwrap();
    bus::stream::provision(&bus, &[cluster()]).await.unwrap();
    bus
}

/// Waits for a condition, looked at again and again.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An application that a scenario plays with.
pub(crate) struct App {
    pub id: AppId,
    pub uid: String,
    pub spec: Value,
    /// Annotations of the Application.
    pub notes: BTreeMap<String, String>,
    /// What its status lists as its objects.
    pub had: Vec<String>,
    /// When somebody deleted the Application, Unix milliseconds.
    pub deleted: Option<u64>,
    generation: std::sync::atomic::AtomicU64,
}

impl App {
    /// Automated with prune and self-heal.
    pub(crate) fn new(name: &str, namespace: &str) -> Self {
        Self {
            id: AppId::new("argocd", name).unwrap(),
            uid: format!("uid-{name}"),
            spec: json!({
                "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
                "project": "default",
                "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
            }),
            notes: BTreeMap::new(),
            had: Vec::new(),
            deleted: None,
            generation: std::sync::atomic::AtomicU64::new(clock::now_ms()),
        }
    }

    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        self.notes.insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn next(&self) -> Generation {
        Generation(
            self.generation
                .fetch_add(1, std::sync::atomic::Ordering::SeqCst)
                + 1,
        )
    }
}

/// Now, as annotations have it.
pub(crate) fn timestamp() -> String {
    let now = i64::try_from(clock::now_ms()).unwrap();
    let now = k8s_openapi::jiff::Timestamp::from_millisecond(now).unwrap();
    api::Timestamp::from(now).to_string()
}

pub(crate) fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}})
}

/// With annotations.
pub(crate) fn noted(mut object: Value, notes: &[(&str, &str)]) -> Value {
    for (key, value) in notes {
        object["metadata"]["annotations"][*key] = (*value).into();
    }
    object
}
