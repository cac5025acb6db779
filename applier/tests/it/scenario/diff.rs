//! What a release would change, asked over the bus of a real applier.

use std::io::Write;

use base64::Engine as _;
use bus::message::diff::{Answer, Difference, Question};
use bus::message::state::SyncStatus;
use bus::subject;
use flate2::Compression;
use flate2::write::GzEncoder;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{App, PATIENCE, World, cluster, config_map, eventually};

async fn ask(world: &World, app: &App, manifests: Option<Value>) -> Answer {
    let packed = manifests.map(|manifests| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(manifests.to_string().as_bytes()).unwrap();
        base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap())
    });
    let question = Question {
        app: app.id.clone(),
        cluster: cluster(),
        user: "jane".to_owned(),
        manifests: packed,
    };
    let subject = subject::diff(&cluster());
    let answer = world.bus.ask(&subject, &question, PATIENCE).await;
    answer.unwrap()
}

pub(super) async fn differences(
    world: &World,
    app: &App,
    manifests: Option<Value>,
) -> Vec<Difference> {
    match ask(world, app, manifests).await {
        Answer::Compared(differences) => differences.objects,
        Answer::Refused { message } => panic!("{message}"),
    }
}

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
}

pub(crate) async fn what_a_release_would_change_is_shown_and_nothing_secret_is(world: &World) {
    world.namespace("diff").await;
    let mut app = App::new("diff", "diff");
    app.spec["syncPolicy"]["automated"]["selfHeal"] = false.into();
    let released = [
        config_map("edited", "1"),
        config_map("same", "1"),
        config_map("leaves", "1"),
        secret("db", &json!({"password": "hunter2", "user": "vera-r"})),
    ];
    world.release(&app, json!(released)).await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    assert_eq!(differences(world, &app, None).await, []);

    let edit = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"data": {"value": "by hand", "theirs": "x"}}));
    let api = world.config_maps("diff");
    api.patch("edited", &edit, &patch).await.unwrap();
    eventually("the edit is seen", async || {
        differences(world, &app, None).await.len() == 1
    })
    .await;
    let found = differences(world, &app, None).await;
    let (live, target) = (found[0].live.as_ref(), found[0].target.as_ref());
    assert_eq!(
        live.unwrap()["data"],
        json!({"value": "by hand", "theirs": "x"})
    );
    assert_eq!(
        target.unwrap()["data"],
        json!({"value": "1", "theirs": "x"})
    );

    // Manifests of somebody's own, which nobody releases.
    let proposed = json!([
        config_map("edited", "by hand"),
        config_map("same", "1"),
        config_map("new", "1"),
        secret("db", &json!({"password": "other-secret", "user": "vera-r"})),
    ]);
    let found = differences(world, &app, Some(proposed)).await;
    let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["leaves", "new", "db"]);
    assert!(found[0].target.is_none() && found[1].live.is_none());
    let (live, target) = (
        found[2].live.as_ref().unwrap(),
        found[2].target.as_ref().unwrap(),
    );
    assert_eq!(live["data"]["user"], target["data"]["user"]);
    assert_ne!(live["data"]["password"], target["data"]["password"]);
    let text = serde_json::to_string(&found).unwrap();
    for word in [
        "hunter2",
        "other-secret",
        "vera-r",
        "aHVudGVyM",
        "b3RoZXItc",
        "dmVyYS1y",
    ] {
        assert!(!text.contains(word), "{word} is in {text}");
    }
    assert!(world.config_map("diff", "new").await.is_none());
}

pub(crate) async fn what_the_project_forbids_is_not_compared_and_what_is_wrong_is_named(
    world: &World,
) {
    world.namespace("diff-refused").await;
    let app = App::new("diff-refused", "diff-refused");
    let Answer::Refused { message } = ask(world, &app, None).await else {
        panic!("nothing was rendered")
    };
    assert!(message.contains("nothing was rendered"), "{message}");
    world.release(&app, json!([config_map("a", "1")])).await;
    world
        .state(&app, "released", |state| state.sync == SyncStatus::Synced)
        .await;
    let unknown = json!([{"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "w"}}]);
    let Answer::Refused { message } = ask(world, &app, Some(unknown)).await else {
        panic!("the kind is unknown")
    };
    assert!(message.contains("Widget"), "{message}");
    let wrong = json!([config_map("a", "1"), {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": "many"}]}}]);
    let found = differences(world, &app, Some(wrong)).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].error.is_some(), "{found:?}");
}
