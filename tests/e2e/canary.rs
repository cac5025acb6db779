//! Secret values are nowhere but in their objects, whatever happens on the way.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tests::git::Change;
use tests::installation::Options;
use tests::wait::{check, until, until_within};
use tests::{App, Installation, LocalStack, Scene};

use crate::canaries::{Search, Shape, value, values};
use crate::secrets::project;
use crate::sweep::sweep;

/// Secrets, and the values that each has.
const SECRETS: usize = 10;
const EACH: usize = 20;

/// Vault's data of one path.
fn data(values: &[String]) -> Value {
    let pairs = values.iter().enumerate();
    let data: serde_json::Map<String, Value> = pairs
        .map(|(key, value)| (format!("k{key}"), value.as_str().into()))
        .collect();
    data.into()
}

/// A Secret with all values of a path: as they are, amid other text, behind base64 and through modifiers.
fn credentials(scene: &str, number: usize, note: &str) -> String {
    let reference =
        |key: usize, more: &str| format!("<path:secret/data/{scene}/{number}#k{key}{more}>");
    let mut text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: credentials-{number}\n  labels: {{note: \"{note}\"}}\nstringData:\n"
    );
    for key in 0..EACH {
        // To a text nothing fails.
        let _ = writeln!(text, "  k{key}: {}", reference(key, ""));
    }
    let _ = writeln!(text, "  amid: \"user:{}@host\"", reference(0, ""));
    let _ = writeln!(text, "  sum: {}", reference(1, " | sha256sum"));
    let encoded = BASE64_STANDARD.encode(format!("a {} b", reference(2, "")));
    let _ = writeln!(text, "data:\n  behind: {encoded}");
    text
}

fn all(scene: &str, note: &str) -> Vec<Change> {
    (0..SECRETS)
        .map(|number| {
            let name = format!("web/{number}.yaml");
            Change::write(&name, credentials(scene, number, note))
        })
        .collect()
}

/// The API server, or what guards it, has the value in its hand when it refuses these.
fn refused(scene: &str) -> [(&'static str, String); 3] {
    let reference = |key: usize| format!("<path:secret/data/{scene}/0#k{key}>");
    [
        (
            "malformed",
            format!(
                "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata:\n  name: malformed\nstringData:\n  .dockerconfigjson: {}\n",
                reference(1)
            ),
        ),
        (
            "in-label",
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: in-label\n  labels:\n    value: \"{}/x\"\n",
                reference(1)
            ),
        ),
        (
            "quoted",
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: quoted\n  labels: {{quoted: \"yes\"}}\ndata:\n  value: {}\n",
                reference(1)
            ),
        ),
    ]
}

/// An admission policy that quotes what it refuses.
async fn quoting_policy(scene: &Scene<'_>) -> anyhow::Result<()> {
    let name = format!("{}-quotes", scene.name);
    let labels = json!({"kubernetes.io/metadata.name": scene.namespace()});
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": labels},
                "objectSelector": {"matchLabels": {"quoted": "yes"}},
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
            },
            "validations": [{"expression": "false", "messageExpression": "'this is refused: ' + object.data['value']"}],
        },
    });
    scene.cluster.apply(&policy).await?;
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    scene.cluster.apply(&binding).await?;
    // It counts a moment later; and it does quote.
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": scene.namespace(),
        "labels": {"quoted": "yes"}}, "data": {"value": "said-again"}});
    until("the policy refuses", || async {
        let said = scene.cluster.apply(&object).await.err();
        let said = said.map(|error| format!("{error:#}")).unwrap_or_default();
        check(said.contains("said-again"), || said)
    })
    .await
}

/// Listens to all that goes over the broker, requests and their answers included, and takes down where a value was.
async fn tap(
    towline: &Installation,
    search: Arc<Search>,
) -> anyhow::Result<Arc<Mutex<BTreeSet<String>>>> {
    let mut messages = towline.inspector().await?.subscribe(">").await?;
    let heard = Arc::new(Mutex::new(BTreeSet::new()));
    let into = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let headers = format!("{:?}", message.headers);
            if search.find(&message.payload).is_some() || search.find(headers.as_bytes()).is_some()
            {
                let subject = message.subject.to_string();
                let mut heard = into
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                heard.insert(subject);
            }
        }
    });
    Ok(heard)
}

#[tokio::test]
async fn no_piece_of_a_secret_value_is_anywhere_but_in_its_object() -> anyhow::Result<()> {
    let options = Options::own("canary")
        .argument("--log-level=trace")
        .variable("TOWLINE_ROTATION_INTERVAL", "1");
    let towline = Installation::start(LocalStack::shared()?, options).await?;
    let scene = Scene::on(&towline, "canary").await?;
    let values = values(SECRETS * EACH);
    // What the first path has later: one word first, since a label holds no more.
    let mut later: Vec<String> = crate::canaries::values(EACH);
    later[1] = value(Shape::Word);
    let search = Arc::new(Search::new(values.iter().chain(&later)));
    let heard = tap(&towline, Arc::clone(&search)).await?;
    let stack = towline.stack();
    for (number, values) in values.chunks(EACH).enumerate() {
        let path = format!("{}/{number}", scene.name);
        stack.write_secret(&path, &data(values)).await?;
    }
    let paths = format!("secret/data/{}/*", scene.name);
    project(&scene.cluster, towline.namespace(), &scene.name, &paths).await?;
    quoting_policy(&scene).await?;

    let first = scene.repo.change("first", &all(&scene.name, "1"))?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.settled(&first).await?;
    edited_by_hand(&scene, &values[0]).await?;
    for (name, manifest) in refused(&scene.name) {
        let file = format!("web/{name}.yaml");
        let change = [Change::write(&file, manifest)];
        scene.push_changes(name, &change).await?;
        app.condition("SyncError", &[name]).await?;
        // Asks the server for a dry run, which is refused as well.
        towline.towline(&["diff", &app.name]).await?;
        let mended = scene
            .push_changes("mended", &[Change::remove(&file)])
            .await?;
        app.settled(&mended).await?;
    }
    crashed_and_back(&towline, &scene, &app).await?;
    rotated(&scene, &later).await?;
    let second = scene.push_changes("second", &all(&scene.name, "4")).await?;
    app.settled(&second).await?;
    app.command("rollback", &["--no-wait"]).await?;
    until("it was rolled back", || async {
        let live = scene.live("Secret", "credentials-1").await?;
        check(live["metadata"]["labels"]["note"] != "4", || {
            live["metadata"].to_string()
        })
    })
    .await?;
    app.command("unpin", &["--no-wait"]).await?;
    app.settled(&second).await?;

    assert_eq!(sweep(&towline, &scene, &search).await?, BTreeSet::new());
    let subjects = heard.lock().map(|heard| heard.clone()).unwrap_or_default();
    assert_eq!(subjects, BTreeSet::new(), "on the broker");
    planted(&towline, &scene, &search, (&app, &values[1], &heard)).await
}

async fn edited_by_hand(scene: &Scene<'_>, value: &str) -> anyhow::Result<()> {
    let (api, name) = (&scene.cluster, "credentials-0");
    let edit = json!({"stringData": {"k0": "by hand"}});
    api.patch("Secret", scene.namespace(), name, &edit).await?;
    let encoded = json!(BASE64_STANDARD.encode(value));
    api.has("Secret", scene.namespace(), name, ("/data/k0", &encoded))
        .await?;
    Ok(())
}

/// Both processes that hold values end in the middle of a release, by a signal that would leave a core file, and by one that can't be
/// caught.
async fn crashed_and_back(
    towline: &Installation,
    scene: &Scene<'_>,
    app: &App<'_>,
) -> anyhow::Result<()> {
    for note in ["2", "3"] {
        let commit = scene.push_changes(note, &all(&scene.name, note)).await?;
        until("the release has begun", || async {
            for number in 0..SECRETS {
                let live = scene
                    .live("Secret", &format!("credentials-{number}"))
                    .await?;
                if live["metadata"]["labels"]["note"] == note {
                    return Ok(());
                }
            }
            anyhow::bail!("no object is new")
        })
        .await?;
        for service in ["applier", "secrets-agent"] {
            let pid = match note {
                "2" => towline.crash_service(service)?,
                _ => towline.kill_service(service)?,
            };
            towline.restarted(service, pid).await?;
        }
        app.settled(&commit).await?;
    }
    Ok(())
}

async fn rotated(scene: &Scene<'_>, later: &[String]) -> anyhow::Result<()> {
    let path = format!("{}/0", scene.name);
    let stack = scene.towline.stack();
    stack.write_secret(&path, &data(later)).await?;
    let encoded = json!(BASE64_STANDARD.encode(&later[0]));
    // A process that has just begun looks at all paths within its first interval.
    until_within("the new values", Duration::from_mins(2), || async {
        let live = scene.live("Secret", "credentials-0").await?;
        check(live["data"]["k0"] == encoded, || {
            "the old one is there".to_owned()
        })
    })
    .await
}

/// The search is able to find: in the object itself, in a file, on the broker, in an Application.
async fn planted(
    towline: &Installation,
    scene: &Scene<'_>,
    search: &Search,
    (app, value, heard): (&App<'_>, &str, &Mutex<BTreeSet<String>>),
) -> anyhow::Result<()> {
    let secret = scene.live("Secret", "credentials-0").await?;
    assert!(search.find(secret.to_string().as_bytes()).is_some());
    std::fs::write(
        towline.folder().join("up/planted.log"),
        format!(
            "x {}",
            BASE64_STANDARD.encode(format!("u:{}", &value[3..15]))
        ),
    )?;
    let client = towline.inspector().await?;
    let subject = "towline.v1.event.in-cluster.a.b.health.changed";
    client.publish(subject, value.to_owned().into()).await?;
    client.flush().await?;
    app.annotate("example.org/planted", value).await?;
    let found = sweep(towline, scene, search).await?;
    for planted in ["planted.log", "EVENTS", "Application"] {
        assert!(
            found.iter().any(|place| place.contains(planted)),
            "{planted} was not found in {found:?}"
        );
    }
    until("it is heard on the broker", || async {
        let heard = heard.lock().map(|heard| heard.len()).unwrap_or_default();
        check(heard > 0, || "it isn't".to_owned())
    })
    .await
}
