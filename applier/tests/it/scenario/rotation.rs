//! Secrets that get newer versions while they are live.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bus::message::secret::{Answer, Request};
use bus::message::state::{AgentState, ApplierState, ReleaseCause, SyncStatus};
use bus::seal::{ReplayWindow, SecretValue, verify};
use bus::subject::{self, Bucket};
use bus::{Asked, clock};
use serde_json::{Value, json};

use crate::world::{App, World, cluster, config_map, eventually, noted};

/// Holds one value for each path, with its version, and counts how often it was asked.
pub(crate) struct Agent {
    values: Mutex<BTreeMap<String, (u64, String)>>,
    asked: Mutex<u32>,
}

impl Agent {
    pub(crate) fn of(paths: &[&str]) -> Self {
        let first = |path: &&str| ((*path).to_owned(), (1, "first".to_owned()));
        Self {
            values: Mutex::new(paths.iter().map(first).collect()),
            asked: Mutex::new(0),
        }
    }

    /// Until the scenario is over.
    pub(crate) async fn beside(&self, world: &World, scenario: impl Future<Output = ()>) {
        let mut served = world
            .bus
            .serve::<Request>(&subject::resolve(&cluster()))
            .await
            .unwrap();
        let mut window = ReplayWindow::default();
        let answering = async {
            loop {
                self.answer(world, &served.next().await.unwrap(), &mut window)
                    .await;
            }
        };
        tokio::select! {
            () = answering => {}
            () = scenario => {}
        }
    }

    async fn answer(&self, world: &World, asked: &Asked<Request>, window: &mut ReplayWindow) {
        let request = asked.value.as_ref().unwrap();
        let appliers = std::slice::from_ref(&world.asker);
        let signed = verify(request, appliers).unwrap();
        let verified = signed.admit(clock::now_ms(), window).unwrap();
        let (values, versions): (Vec<SecretValue>, Vec<Option<u64>>) = {
            *self.asked.lock().unwrap() += 1;
            let known = self.values.lock().unwrap();
            let references = &verified.question().references;
            references
                .iter()
                .map(|reference| {
                    let (version, value) = &known[&reference.path];
                    (SecretValue::new(value.clone().into_bytes()), Some(*version))
                })
                .unzip()
        };
        let values: Vec<_> = values.iter().map(Some).collect();
        let sealed = verified.seal(&world.agent, &values, versions).unwrap();
        asked.reply(&Answer::Sealed(sealed)).await.unwrap();
    }

    pub(crate) fn rotate(&self, path: &str, version: u64, value: &str) {
        let mut values = self.values.lock().unwrap();
        values.insert(path.to_owned(), (version, value.to_owned()));
    }

    /// As the real one does when it has looked.
    pub(crate) async fn tell(&self, world: &World, app: &App) {
        let paths = self.values.lock().unwrap().clone();
        let state = AgentState {
            app: app.id.clone(),
            cluster: cluster(),
            generation: bus::Generation(1),
            paths: paths
                .into_iter()
                .map(|(path, (version, _))| (path, Some(version)))
                .collect(),
            conditions: Vec::new(),
        };
        let key = subject::state("secrets-agent", Some(&cluster()), &app.id);
        world.bus.put(Bucket::State, &key, &state).await.unwrap();
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }
}

pub(crate) fn secret(name: &str, path: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"password": format!("<path:{path}#password>")}})
}

async fn version(world: &World, kind: &str, plural: &str, namespace: &str, name: &str) -> String {
    let found = world.objects(kind, plural, "", namespace).get(name).await;
    found.unwrap().metadata.resource_version.unwrap()
}

/// Until a Secret has this password.
pub(crate) async fn has(world: &World, namespace: &str, name: &str, password: &str) {
    use base64::Engine as _;
    let wanted = base64::engine::general_purpose::STANDARD.encode(password);
    let secrets = world.objects("Secret", "secrets", "", namespace);
    eventually(
        &format!("Secret {name} has password {password}"),
        async || {
            let found = secrets.get_opt(name).await.unwrap();
            found.is_some_and(|found| found.data["data"]["password"] == wanted)
        },
    )
    .await;
}

pub(crate) async fn a_newer_version_reaches_just_what_uses_it(world: &mut World) {
    world.namespace("rotation").await;
    let app = App::new("rotation", "rotation");
    let agent = Agent::of(&["kv/data/a", "kv/data/b"]);
    agent.beside(world, story(world, &app, &agent)).await;
    // Nobody is there to be told.
    agent.rotate("kv/data/a", 3, "third");
    world.kill_applier();
    agent.tell(world, &app).await;
    world.start_applier();
    let after = async {
        has(world, "rotation", "a", "third").await;
        let state = world
            .state(&app, "released again", |state| {
                state.history.len() == 2 && state.history[1].release.0 >= 3
            })
            .await;
        assert_eq!(state.sync, SyncStatus::Synced);
    };
    agent.beside(world, after).await;
}

async fn story(world: &World, app: &App, agent: &Agent) {
    let objects = json!([
        secret("a", "kv/data/a"),
        secret("b", "kv/data/b"),
        config_map("c", "1")
    ]);
    world.release(app, objects).await;
    world
        .state(app, "synced", |state| {
            state.sync == SyncStatus::Synced && state.history.len() == 1
        })
        .await;
    let versions = async || {
        [
            version(world, "Secret", "secrets", "rotation", "b").await,
            version(world, "ConfigMap", "configmaps", "rotation", "c").await,
        ]
    };
    let before = versions().await;
    agent.rotate("kv/data/a", 2, "second");
    agent.tell(world, app).await;
    has(world, "rotation", "a", "second").await;
    let state = world
        .state(app, "released for the rotation", |state| {
            state.history.len() == 2
        })
        .await;
    let paths = vec!["kv/data/a".to_owned()];
    assert_eq!(
        state.history[1].cause,
        ReleaseCause::SecretRotated { paths }
    );
    assert_eq!(state.history[1].digest, state.history[0].digest);
    assert_eq!(state.operation.unwrap().results.len(), 1);
    assert_eq!(versions().await, before);
    let began = world.event(app, "release.started").await;
    assert!(
        began.ends_with("began: secret rotated: kv/data/a"),
        "{began}"
    );

    // Another key of the path: resolved, and found the same.
    let asked = agent.asked();
    agent.rotate("kv/data/b", 2, "first");
    agent.tell(world, app).await;
    eventually("it is resolved anew", async || agent.asked() > asked).await;
    let state = world
        .state(app, "in sync", |state| state.sync == SyncStatus::Synced)
        .await;
    assert_eq!(state.history.len(), 2);
    assert_eq!(versions().await, before);
}

pub(crate) async fn a_manual_application_shows_a_rotation_and_waits(world: &World) {
    world.namespace("rotation-manual").await;
    let mut app = App::new("rotation-manual", "rotation-manual");
    let agent = Agent::of(&["kv/data/a"]);
    let story = async {
        world.release(&app, json!([secret("a", "kv/data/a")])).await;
        has(world, "rotation-manual", "a", "first").await;
        app.spec["syncPolicy"] = json!({});
        world.release(&app, json!([secret("a", "kv/data/a")])).await;
        world
            .state(&app, "synced", |state| state.sync == SyncStatus::Synced)
            .await;
        agent.rotate("kv/data/a", 2, "second");
        agent.tell(world, &app).await;
        world
            .state(&app, "out of sync", |state| {
                state.sync == SyncStatus::OutOfSync
            })
            .await;
        has(world, "rotation-manual", "a", "first").await;
        let sync = bus::message::command::Action::Sync {
            prune: false,
            dry_run: false,
            force: false,
            resources: Vec::new(),
        };
        world.order(&app, sync).await;
        has(world, "rotation-manual", "a", "second").await;
        world
            .state(&app, "synced again", |state| {
                state.sync == SyncStatus::Synced
            })
            .await;
    };
    agent.beside(world, story).await;
}

/// A workload whose pods have Secret `secret` in their environment.
fn workload(name: &str, secret: &str, restarts: bool) -> Value {
    let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {
            "containers": [{"name": "c", "image": "example.org/c:1", "envFrom": [{"secretRef": {"name": secret}}]}]}}}});
    if restarts {
        deployment["metadata"]["annotations"] =
            json!({"towline.dev/restart-on-rotation": "true", "argocd.argoproj.io/sync-wave": "1"});
    }
    deployment
}

/// How often each workload's specification was changed.
async fn generations(world: &World) -> [i64; 3] {
    let deployments = world.objects("Deployment", "deployments", "apps", "restart");
    let mut found = [0; 3];
    for (at, name) in ["follows", "stays", "apart"].into_iter().enumerate() {
        let live = deployments.get(name).await.unwrap();
        found[at] = live.metadata.generation.unwrap();
    }
    found
}

pub(crate) async fn pods_that_ask_restart_once_for_each_rotation(world: &mut World) {
    world.namespace("restart").await;
    let app = App::new("restart", "restart");
    let agent = Agent::of(&["kv/data/a", "kv/data/b"]);
    agent.beside(world, one_restart(world, &app, &agent)).await;
    // Killed in the middle of one, and started again.
    let deployments = world.objects("Deployment", "deployments", "apps", "restart");
    for (version, wait) in (3..).zip([0, 30, 60, 90, 150, 250]) {
        let value = format!("value {version}");
        agent.rotate("kv/data/a", version, &value);
        let before = async {
            agent.tell(world, &app).await;
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        };
        agent.beside(world, before).await;
        world.kill_applier();
        world.start_applier();
        let after = async {
            has(world, "restart", "a", &value).await;
            eventually("restarted", async || {
                generations(world).await[0] >= i64::try_from(version).unwrap()
            })
            .await;
            let state = world
                .state(&app, "released", |state| {
                    state.sync == SyncStatus::Synced
                        && state
                            .operation
                            .as_ref()
                            .is_some_and(|operation| operation.finished.is_some())
                })
                .await;
            assert_eq!(state.history.len(), 2);
        };
        agent.beside(world, after).await;
        let expected = [i64::try_from(version).unwrap(), 1, 1];
        assert_eq!(generations(world).await, expected, "killed after {wait} ms");
    }
    // By hand, which is no drift.
    let by_hand = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}});
    let kubectl = kube::api::PatchParams {
        field_manager: Some("kubectl-rollout".to_owned()),
        ..Default::default()
    };
    let patch = kube::api::Patch::Merge(by_hand);
    deployments
        .patch("follows", &kubectl, &patch)
        .await
        .unwrap();
    agent.rotate("kv/data/b", 2, "second");
    let other = async {
        agent.tell(world, &app).await;
        has(world, "restart", "b", "second").await;
        eventually("the other restarted", async || {
            generations(world).await[2] == 2
        })
        .await;
        world
            .state(&app, "in sync", |state| state.sync == SyncStatus::Synced)
            .await;
    };
    agent.beside(world, other).await;
    assert_eq!(generations(world).await, [9, 1, 2]);
    let drifted = world
        .events(&app)
        .await
        .into_iter()
        .find(|event| event.kind.token() == "drift.detected");
    assert!(drifted.is_none(), "{drifted:?}");
}

pub(crate) async fn what_is_replaced_as_a_whole_restarts_once_for_a_rotation_too(world: &World) {
    world.namespace("replaced").await;
    let app = App::new("replaced", "replaced");
    let agent = Agent::of(&["kv/data/r"]);
    let objects = |note: &str| {
        let notes = [
            ("argocd.argoproj.io/sync-options", "Replace=true"),
            ("example.org/note", note),
        ];
        let workload = noted(workload("follows", "r", true), &notes);
        json!([secret("r", "kv/data/r"), workload])
    };
    let deployments = world.objects("Deployment", "deployments", "apps", "replaced");
    let live = async || deployments.get("follows").await.unwrap();
    let restarted = async || {
        let live = live().await;
        live.data["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].clone()
    };
    let synced = async |note: &str| {
        let released = world.release(&app, objects(note)).await;
        let is =
            |state: &ApplierState| state.generation == released && state.sync == SyncStatus::Synced;
        world.state(&app, "synced", is).await;
        assert_eq!(
            live().await.metadata.annotations.unwrap()["example.org/note"],
            note
        );
    };
    let story = async {
        synced("first").await;
        assert_eq!(restarted().await, Value::Null);
        agent.rotate("kv/data/r", 2, "value 2");
        agent.tell(world, &app).await;
        let is =
            |state: &ApplierState| state.history.len() == 2 && state.sync == SyncStatus::Synced;
        world.state(&app, "rotated", is).await;
        let once = restarted().await;
        assert!(once.is_string());
        synced("second").await;
        assert_eq!(restarted().await, once);
    };
    agent.beside(world, story).await;
}

async fn one_restart(world: &World, app: &App, agent: &Agent) {
    let objects = json!([
        secret("a", "kv/data/a"),
        secret("b", "kv/data/b"),
        workload("follows", "a", true),
        workload("stays", "a", false),
        workload("apart", "b", true),
    ]);
    world.release(app, objects).await;
    world
        .state(app, "synced", |state| {
            state.sync == SyncStatus::Synced && state.history.len() == 1
        })
        .await;
    assert_eq!(generations(world).await, [1, 1, 1]);
    agent.rotate("kv/data/a", 2, "value 2");
    agent.tell(world, app).await;
    let state = world
        .state(app, "released for the rotation", |state| {
            state.history.len() == 2 && state.sync == SyncStatus::Synced
        })
        .await;
    let results = state.operation.unwrap().results;
    let told: Vec<(&str, &str)> = results
        .iter()
        .map(|result| (result.name.as_str(), result.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [("a", "applied"), ("follows", "restarted for its secrets")]
    );
    assert_eq!(generations(world).await, [2, 1, 1]);
    let deployments = world.objects("Deployment", "deployments", "apps", "restart");
    let live = deployments.get("follows").await.unwrap();
    let notes = &live.data["spec"]["template"]["metadata"]["annotations"];
    let at = notes["kubectl.kubernetes.io/restartedAt"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.len() == 20, "{at}");
}
