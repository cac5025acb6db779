use std::sync::atomic::{AtomicBool, Ordering};

use bus::message::condition::ConditionType;
use bus::message::secret::{Answer, Refusal, RefusalReason, Request, Statement};
use bus::message::state::SyncStatus;
use bus::seal::{ReplayWindow, SecretValue, verify};
use bus::{clock, subject};
use serde_json::{Value, json};

use crate::world::{App, World, cluster, eventually};

const CANARY: &str = "canary-5f1d";

pub(crate) async fn secrets_reach_the_object_and_nothing_else(world: &World) {
    world.namespace("secret").await;
    let app = App::new("secret", "secret");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
        "stringData": {"password": "<path:kv/data/app#password>"}});
    // Nobody answers yet: nothing is applied, and the application says why.
    world
        .release(
            &app,
            json!([secret.clone(), crate::world::config_map("beside", "1")]),
        )
        .await;
    world
        .state(&app, "without an agent", |state| {
            state
                .conditions
                .iter()
                .any(|condition| condition.kind == ConditionType::SecretError)
        })
        .await;
    assert!(world.config_map("secret", "beside").await.is_none());
    let mut served = world
        .bus
        .serve::<Request>(&subject::resolve(&cluster()))
        .await
        .unwrap();
    let mut window = ReplayWindow::default();
    let doubted = AtomicBool::new(false);
    let answering = async {
        loop {
            let asked = served.next().await.unwrap();
            let request = asked.value.as_ref().unwrap();
            let signed = verify(request, std::slice::from_ref(&world.asker)).unwrap();
            let refused = |refusal| {
                let stated = signed.state(&world.agent, &Statement::Refused(refusal));
                Answer::Stated(stated.unwrap())
            };
            let answer = match signed.admit(clock::now_ms(), &mut window) {
                // As the broker could, which has no key.
                Ok(_) if !doubted.load(Ordering::Relaxed) => Answer::Refused(Refusal::new(
                    RefusalReason::Forbidden,
                    "ask at evil.example",
                    Vec::new(),
                )),
                Ok(verified) if verified.question().references[0].path == "kv/data/app" => {
                    let value = SecretValue::new(CANARY.as_bytes().to_vec());
                    Answer::Sealed(
                        verified
                            .seal(&world.agent, &[Some(&value)], vec![Some(1)])
                            .unwrap(),
                    )
                }
                Ok(_) => refused(Refusal::new(
                    RefusalReason::Forbidden,
                    "not this one",
                    Vec::new(),
                )),
                Err(refusal) => refused(refusal),
            };
            asked.reply(&answer).await.unwrap();
        }
    };
    tokio::select! {
        () = answering => {}
        () = released(world, &app, secret, &doubted) => {}
    }
}

async fn released(world: &World, app: &App, secret: Value, doubted: &AtomicBool) {
    let state = world
        .state(app, "refused by nobody knows whom", |state| {
            state.conditions.iter().any(|condition| {
                condition.kind == ConditionType::SecretError
                    && condition.message.contains("doesn't prove")
            })
        })
        .await;
    assert!(!format!("{state:?}").contains("evil"), "{state:?}");
    doubted.store(true, Ordering::Relaxed);
    let secrets = world.objects("Secret", "secrets", "", "secret");
    eventually("the secret is there", async || {
        secrets.get_opt("a").await.unwrap().is_some()
    })
    .await;
    let live = secrets.get("a").await.unwrap();
    let value = live.data["data"]["password"].as_str().unwrap();
    assert_eq!(value, "Y2FuYXJ5LTVmMWQ=");
    let state = world
        .state(app, "synced", |state| {
            state.sync == SyncStatus::Synced && state.history.len() == 1
        })
        .await;
    assert!(!serde_json::to_string(&state).unwrap().contains(CANARY));
    // The server refuses it, quoting it: a name with the value would be an invalid label.
    let bad = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad", "labels": {"x": "<path:kv/data/app#password> !"}}});
    world.release(app, json!([secret, bad])).await;
    let state = world
        .state(app, "refused", |state| {
            state.conditions.iter().any(|condition| {
                condition.kind == ConditionType::SyncError && condition.message.contains("withheld")
            })
        })
        .await;
    assert!(!serde_json::to_string(&state).unwrap().contains(CANARY));
    assert!(!format!("{:?}", world.events(app).await).contains(CANARY));
    let record = format!(
        "app-{}",
        api::tracking::application_label("argocd", "secret")
    );
    assert!(!format!("{:?}", world.config_map("towline", &record).await.unwrap()).contains(CANARY));
    // A hand edit takes the field, which shows without reading the value.
    let edit = kube::api::PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..Default::default()
    };
    let app = &App::new("secret", "secret");
    let only = json!([{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
            "stringData": {"password": "<path:kv/data/app#password>"}}]);
    let generation = world.release(app, only).await;
    world
        .state(app, "good again", |state| {
            state.generation == generation && state.sync == SyncStatus::Synced
        })
        .await;
    let patch = kube::api::Patch::Merge(json!({"stringData": {"password": "other"}}));
    secrets.patch("a", &edit, &patch).await.unwrap();
    eventually("the secret is healed", async || {
        secrets.get("a").await.unwrap().data["data"]["password"] == "Y2FuYXJ5LTVmMWQ="
    })
    .await;
    misplaced(world, app).await;
}

/// What would show a value to more people than a Secret does is refused, and nothing beside it is applied.
async fn misplaced(world: &World, app: &App) {
    let placeholder = "<path:kv/data/app#password>";
    let config = |name: &str| crate::world::config_map(name, "1");
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "a", "image": "a", "command": ["sh", "-c", format!("echo {placeholder}")]}]}}}});
    let hook = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "hook", "annotations": {
        "argocd.argoproj.io/hook": "PreSync", "says": placeholder}}, "spec": job["spec"]});
    let annotated = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "annotations": {"says": placeholder}},
        "stringData": {"password": placeholder}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"externalName": placeholder, "type": "ExternalName"}});
    for (case, object) in [job, hook, annotated, service].into_iter().enumerate() {
        let beside = format!("beside-{case}");
        let generation = world.release(app, json!([object, config(&beside)])).await;
        let state = world
            .state(app, "refused for its place", |state| {
                state.generation == generation
                    && state.conditions.iter().any(|condition| {
                        condition.kind == ConditionType::SecretError
                            && condition.message.contains("towline.dev/secret-kinds")
                    })
            })
            .await;
        assert!(!serde_json::to_string(&state).unwrap().contains(CANARY));
        assert!(world.config_map("secret", &beside).await.is_none());
    }
}
