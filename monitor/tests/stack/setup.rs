//! A broker, a cluster and the monitor's binary, gone with the test.

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bus::message::state::{ApplierState, WatcherState};
use bus::role::{Role, User, server_config};
use bus::subject::{self, Bucket};
use bus::{Bus, ClusterId, ConnectArgs};
use deploy::{ClusterOptions, ClusterUser, NatsConfig, Stack, StackOptions, Workloads};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::runtime::{WatchStreamExt, watcher};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Used {
    pub(crate) cpu_ms: u64,
    pub(crate) resident_mib: u64,
}

pub(crate) struct Towline {
    pub(crate) applier: Bus,
    watcher: Bus,
    applications: Api<DynamicObject>,
    users: Vec<ClusterUser>,
    http: reqwest::Client,
    page: String,
    admin: String,
    pid: u32,
    monitor: tokio::sync::Mutex<Child>,
    _folder: tempfile::TempDir,
    _stack: Stack,
}

impl Towline {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let clusters = [ClusterId::in_cluster()];
        let seed = |role: &Role| folder.path().join(role.name());
        let roles = Role::all(&clusters).into_iter().map(|role| {
            let key = nkeys::KeyPair::new_user();
            std::fs::write(seed(&role), key.seed().unwrap()).unwrap();
            User {
                role,
                public_key: key.public_key(),
            }
        });
        let roles: Vec<User> = roles.collect();
        let users = ["monitor", "guest", "pilot"].map(|name| ClusterUser::new(name, []));
        let options = StackOptions {
            nats: Some(NatsConfig::Generated {
                include: server_config(&roles, &clusters),
            }),
            cluster: Some(ClusterOptions {
                users: users.to_vec(),
                workloads: Workloads::Pending,
            }),
            ..StackOptions::default()
        };
        let stack = Stack::start(&options).await.unwrap();
        let url = stack.nats.as_ref().unwrap().url();
        let connect = async |role: &Role, service| {
            let args = ConnectArgs {
                url: url.clone(),
                seed: Some(seed(role)),
                ca: None,
            };
            soon("connecting", Bus::connect(&args, service))
                .await
                .unwrap()
        };
        let provisioner = connect(&Role::Provisioner, "provisioner").await;
        bus::stream::provision(&provisioner, &clusters)
            .await
            .unwrap();

        let cluster = stack.cluster.as_ref().unwrap();
        let admin = client(cluster.kubeconfig().to_owned()).await;
        prepare(&admin).await;
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, cluster.kubeconfig_for(&users[0].token)).unwrap();
        let file = |name: &str| folder.path().join(name);
        let monitor = Command::new(env!("CARGO_BIN_EXE_towline-monitor"))
            .args(["--nats", &url, "--listen", "127.0.0.1:0"])
            .args([PathBuf::from("--nats-seed"), seed(&Role::Monitor)])
            .args([PathBuf::from("--kubeconfig"), kubeconfig])
            .args([PathBuf::from("--listen-file"), file("listen")])
            .args([PathBuf::from("--admin-file"), file("admin")])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let address = async |name: &str| {
            let path = file(name);
            let read = || {
                std::fs::read_to_string(&path)
                    .ok()
                    .filter(|text| text.contains(':'))
            };
            until(name, async || read().is_some()).await;
            format!("http://{}", read().unwrap())
        };
        let towline = Self {
            applier: connect(&Role::Applier(ClusterId::in_cluster()), "applier").await,
            watcher: connect(&Role::Watcher, "watcher").await,
            applications: Api::namespaced_with(
                admin,
                "argocd",
                &ApiResource::erase::<api::Application>(&()),
            ),
            users: users.to_vec(),
            http: reqwest::Client::new(),
            page: address("listen").await,
            admin: address("admin").await,
            pid: monitor.id().unwrap(),
            monitor: monitor.into(),
            _folder: folder,
            _stack: stack,
        };
        let ready = format!("{}/readyz", towline.admin);
        until("ready", async || {
            towline
                .http
                .get(&ready)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        towline
    }

    pub(crate) fn token(&self, name: &str) -> String {
        let user = self.users.iter().find(|user| user.name == name).unwrap();
        user.token.expose_secret().to_owned()
    }

    pub(crate) async fn apply(&self, object: &Value) {
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        self.applications
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    pub(crate) async fn get(&self, name: &str) -> Option<Value> {
        let object = self.applications.get_opt(name).await.unwrap();
        object.map(|object| serde_json::to_value(object).unwrap())
    }

    /// The objects, as they are and as they change.
    pub(crate) fn follow(&self) -> impl Stream<Item = Value> + use<> {
        let objects =
            watcher(self.applications.clone(), watcher::Config::default()).applied_objects();
        objects.map(|object| serde_json::to_value(object.unwrap()).unwrap())
    }

    /// What the monitor's process used until now.
    pub(crate) fn used(&self) -> Used {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap();
        let field = |text: &str, number: usize| {
            text.split_whitespace()
                .nth(number)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let stat = read("stat");
        let behind_name = stat.rsplit_once(')').unwrap().1;
        Used {
            // In hundredths of a second, on every Linux.
            cpu_ms: (field(behind_name, 11) + field(behind_name, 12)) * 10,
            resident_mib: field(&read("statm"), 1) * 4 / 1_024,
        }
    }

    pub(crate) async fn merge(&self, name: &str, patch: &Value) -> Value {
        let patched = self
            .applications
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        serde_json::to_value(patched.unwrap()).unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.applications
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Kubernetes' own Events about the application, as (reason, message), oldest first.
    pub(crate) async fn told(&self, name: &str) -> Vec<(String, String)> {
        use k8s_openapi::api::core::v1::Event;
        let events: Api<Event> = Api::namespaced(self.applications.clone().into_client(), "argocd");
        let about = ListParams::default().fields(&format!(
            "involvedObject.kind=Application,involvedObject.uid={}",
            self.uid(name).await
        ));
        let mut events = events.list(&about).await.unwrap().items;
        events.sort_by_key(|event| event.metadata.name.clone());
        let words = |event: Event| {
            (
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default(),
            )
        };
        events.into_iter().map(words).collect()
    }

    pub(crate) async fn uid(&self, name: &str) -> String {
        let object = self.get(name).await.unwrap();
        object["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// The object once it is as it should be.
    pub(crate) async fn settled(&self, name: &str, test: impl Fn(&Value) -> bool) -> Value {
        let settled = async || self.get(name).await.is_some_and(|object| test(&object));
        until(&format!("the status of {name}"), settled).await;
        self.get(name).await.unwrap()
    }

    /// Watcher and applier say that the application is live at a generation.
    pub(crate) async fn say(&self, name: &str, generation: u64) {
        let uid = self.uid(name).await;
        self.put_watcher(&crate::states::watcher(name, generation, &uid))
            .await;
        self.put_applier(&crate::states::applier(name, generation, &uid))
            .await;
    }

    pub(crate) async fn put_watcher(&self, state: &WatcherState) {
        let key = subject::state("watcher", state.cluster.as_ref(), &state.app);
        self.watcher.put(Bucket::State, &key, state).await.unwrap();
    }

    pub(crate) async fn put_applier(&self, state: &ApplierState) {
        let key = subject::state("applier", Some(&state.cluster), &state.app);
        self.applier.put(Bucket::State, &key, state).await.unwrap();
    }

    pub(crate) async fn post(&self, path: &str, token: &str) -> reqwest::Response {
        let request = self
            .http
            .post(format!("{}{path}", self.page))
            .bearer_auth(token);
        request.send().await.unwrap()
    }

    pub(crate) fn read(&self, path: &str, token: &str) -> impl AsyncFn() -> String + use<> {
        let request = self
            .http
            .get(format!("{}{path}", self.page))
            .bearer_auth(token);
        async move || {
            let request = request.try_clone().unwrap();
            request.send().await.unwrap().text().await.unwrap()
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        self.http
            .get(format!("{}/metrics", self.admin))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// SIGTERM ends it, with 0.
    pub(crate) async fn stops_cleanly(&self) {
        let mut monitor = self.monitor.lock().await;
        Command::new("kill")
            .arg(self.pid.to_string())
            .status()
            .await
            .unwrap();
        let status = soon("the end", monitor.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

async fn client(kubeconfig: PathBuf) -> kube::Client {
    let file = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    kube::Config::from_custom_kubeconfig(file, &options)
        .await
        .unwrap()
        .try_into()
        .unwrap()
}

/// The custom resources, the namespace, and who may do what: for the monitor exactly what it needs.
async fn prepare(admin: &kube::Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(admin.clone());
    for definition in api::crds() {
        definitions
            .create(&PostParams::default(), &definition)
            .await
            .unwrap();
    }
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "argocd"}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let applications = |verbs: &[&str]| json!({"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": verbs});
    let reviews = [("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews")]
        .map(|(group, resource)| json!({"apiGroups": [group], "resources": [resource], "verbs": ["create"]}));
    let [tokens, rights] = reviews;
    let events = json!({"apiGroups": [""], "resources": ["events"], "verbs": ["create"]});
    let roles = [
        (
            "monitor",
            json!([
                applications(&["list", "watch", "patch"]),
                events,
                tokens,
                rights
            ]),
        ),
        ("guest", json!([applications(&["get", "list"])])),
        ("pilot", json!([applications(&["rollback"])])),
    ];
    for (name, rules) in roles {
        let role = json!({"metadata": {"name": format!("test-{name}")}, "rules": rules});
        let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(admin.clone());
        roles
            .create(
                &PostParams::default(),
                &serde_json::from_value(role).unwrap(),
            )
            .await
            .unwrap();
        let binding = json!({
            "metadata": {"name": format!("test-{name}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("test-{name}")},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]
        });
        let bindings: Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> = Api::all(admin.clone());
        bindings
            .create(
                &PostParams::default(),
                &serde_json::from_value(binding).unwrap(),
            )
            .await
            .unwrap();
    }
    let applications: Api<DynamicObject> = Api::namespaced_with(
        admin.clone(),
        "argocd",
        &ApiResource::erase::<api::Application>(&()),
    );
    until("Applications are served", async || {
        applications.list(&ListParams::default()).await.is_ok()
    })
    .await;
}

/// What `future` gives, within the longest time that anything here may take.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits until `test` holds.
pub(crate) async fn until(what: &str, test: impl AsyncFn() -> bool) {
    soon(what, async {
        while !test().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
