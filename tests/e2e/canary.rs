//! A secret value is nowhere but in the cluster's object.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;
use tests::scene::own;
use tests::{Installation, LocalStack, Scene};

use crate::secrets::{manifest, project};

/// The value in every form that it might be written down in.
struct Canary {
    forms: Vec<String>,
}

impl Canary {
    /// 32 random letters and digits, so that three alignments of its base64 are found wherever it stands.
    fn new() -> (Self, String) {
        let value = format!("canary{:032x}", rand::random::<u128>());
        let mut forms = vec![value.clone(), hex::encode(&value)];
        for offset in 0..3 {
            // Encoded behind `offset` other bytes: the digits that depend on the value alone.
            let padded = format!("{}{value}", "x".repeat(offset));
            let encoded = BASE64_STANDARD.encode(&padded);
            let from = [0, 2, 3][offset];
            let end = encoded.trim_end_matches('=').len() - 2;
            forms.push(encoded[from..end].to_owned());
        }
        (Self { forms }, value)
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| {
            bytes
                .windows(form.len())
                .any(|window| window == form.as_bytes())
        })
    }
}

#[tokio::test]
async fn a_secret_value_is_nowhere_but_in_its_object() -> anyhow::Result<()> {
    let towline = own("canary").await?;
    let scene = Scene::on(&towline, "canary").await?;
    let (canary, value) = Canary::new();
    let path = format!("{}/db", scene.name);
    scene
        .towline
        .stack()
        .write_secret(&path, &json!({"password": value}))
        .await?;
    let paths = format!("secret/data/{}/*", scene.name);
    project(&scene.cluster, towline.namespace(), &scene.name, &paths).await?;
    let first = scene
        .repo
        .commit("first", &[("web/secret.yaml", &manifest(&path))])?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.settled(&first).await?;

    // A change by hand, a release that fails beside it, one that the API server refuses with the value in its hand.
    let api = scene.cluster.clone();
    api.patch(
        "Secret",
        scene.namespace(),
        "credentials",
        &json!({"stringData": {"password": "by hand"}}),
    )
    .await?;
    api.has(
        "Secret",
        scene.namespace(),
        "credentials",
        ("/data/password", &json!(BASE64_STANDARD.encode(&value))),
    )
    .await?;
    let refused = manifest(&path).replace(
        "kind: Secret",
        "kind: Secret\ntype: kubernetes.io/dockerconfigjson",
    );
    let refused = refused
        .replace("credentials", "refused")
        .replace("  password:", "  .dockerconfigjson:");
    scene
        .push("refused", &[("web/refused.yaml", &refused)])
        .await?;
    app.condition("SyncError", &["refused"]).await?;
    let in_name = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: in-label\n  labels:\n    value: \"<path:secret/data/{path}#password>/x\"\n"
    );
    scene
        .push_changes(
            "a label that the API server repeats in its refusal",
            &[
                tests::git::Change::remove("web/refused.yaml"),
                tests::git::Change::write("web/label.yaml", in_name),
            ],
        )
        .await?;
    app.condition("SyncError", &["in-label"]).await?;
    let last = scene
        .push_changes("mended", &[tests::git::Change::remove("web/label.yaml")])
        .await?;
    app.settled(&last).await?;

    let found = sweep(&towline, &scene, &canary).await?;
    assert_eq!(found, BTreeSet::new());

    // The sweep can find: the object itself, a planted file, a planted message.
    let secret = scene.live("Secret", "credentials").await?;
    assert!(canary.is_in(secret.to_string().as_bytes()));
    std::fs::write(
        towline.folder().join("up/planted.log"),
        format!("x {}", BASE64_STANDARD.encode(format!("u:{value}"))),
    )?;
    let client = towline.inspector().await?;
    client
        .publish(
            "towline.v1.event.in-cluster.a.b.health.changed",
            value.clone().into(),
        )
        .await?;
    client.flush().await?;
    app.annotate("example.org/planted", &value).await?;
    let found = sweep(&towline, &scene, &canary).await?;
    for planted in ["planted.log", "EVENTS", "Application"] {
        assert!(
            found.iter().any(|place| place.contains(planted)),
            "{planted} was not found in {found:?}"
        );
    }
    Ok(())
}

/// Every place that holds the canary.
async fn sweep(
    towline: &Installation,
    scene: &Scene<'_>,
    canary: &Canary,
) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut look = |place: String, bytes: &[u8]| {
        if canary.is_in(bytes) {
            found.insert(place);
        }
    };
    // Logs, keys, state, NATS' store with all streams and object stores, temporary folders of the services.
    for file in files(towline.folder()) {
        look(
            file.display().to_string(),
            &std::fs::read(&file).unwrap_or_default(),
        );
    }
    for file in recent_temporary_files(towline.stack()) {
        look(
            file.display().to_string(),
            &std::fs::read(&file).unwrap_or_default(),
        );
    }
    // Streams again, as a reader sees them.
    let jetstream = async_nats::jetstream::new(towline.inspector().await?);
    let mut names = jetstream.stream_names();
    let mut streams = Vec::new();
    while let Some(name) = futures::TryStreamExt::try_next(&mut names).await? {
        streams.push(name);
    }
    anyhow::ensure!(streams.len() > 10, "only {streams:?}");
    for name in streams {
        let stream = jetstream.get_stream(&name).await?;
        let (first, last) = (
            stream.cached_info().state.first_sequence,
            stream.cached_info().state.last_sequence,
        );
        for sequence in first..=last {
            if let Ok(message) = stream.get_raw_message(sequence).await {
                look(format!("{name} {}", message.subject), &message.payload);
                look(
                    format!("{name} {} headers", message.subject),
                    format!("{:?}", message.headers).as_bytes(),
                );
            }
        }
    }
    // What the services say of themselves, and the monitor of everything.
    for service in towline.state()?.services {
        look(
            format!("metrics of {}", service.name),
            towline.metrics(&service.name).await?.as_bytes(),
        );
        for file in ["cmdline", "environ"] {
            let path = PathBuf::from(format!("/proc/{}/{file}", service.pid));
            look(
                path.display().to_string(),
                &std::fs::read(&path).unwrap_or_default(),
            );
        }
    }
    let app = format!("{}-web", scene.name);
    for page in [
        "/".to_owned(),
        format!("/applications/{}/{app}", towline.namespace()),
    ] {
        if let Ok(text) = towline.page(&page).await {
            look(format!("page {page}"), text.as_bytes());
        }
    }
    for arguments in [
        vec!["get"],
        vec!["get", &app, "-o", "json"],
        vec!["get", &app],
        vec!["history", &app, "-o", "json"],
        vec!["events", &app, "-o", "json"],
    ] {
        look(
            format!("towline {}", arguments.join(" ")),
            towline.told(&arguments).await?.as_bytes(),
        );
    }
    // Everything in the cluster's namespaces but the one object.
    let store = towline.store_namespace();
    for namespace in [scene.namespace(), towline.namespace(), &store, "default"] {
        for kind in [
            "Application",
            "AppProject",
            "ConfigMap",
            "Event",
            "Secret",
            "Pod",
        ] {
            for object in scene.cluster.list(kind, namespace).await? {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let target =
                    kind == "Secret" && namespace == scene.namespace() && name == "credentials";
                if !target {
                    look(
                        format!("{kind} {namespace}/{name}"),
                        object.to_string().as_bytes(),
                    );
                    look(
                        format!("{kind} {namespace}/{name}, decoded"),
                        &decoded(&object),
                    );
                }
            }
        }
    }
    Ok(found)
}

/// A Secret's or ConfigMap's binary values, decoded, and unpacked where they are compressed.
fn decoded(object: &serde_json::Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in ["data", "binaryData"] {
        for value in object[field].as_object().into_iter().flatten() {
            let plain = value
                .1
                .as_str()
                .and_then(|text| BASE64_STANDARD.decode(text).ok())
                .unwrap_or_default();
            let mut unpacked = Vec::new();
            let mut reader = flate2::read::MultiGzDecoder::new(plain.as_slice());
            // What isn't compressed stays as it is.
            if std::io::Read::read_to_end(&mut reader, &mut unpacked).is_ok() {
                bytes.extend(unpacked);
            }
            bytes.extend(plain);
        }
    }
    bytes
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

/// Small files below the usual temporary folders, of Towline's by their names.
fn recent_temporary_files(stack: &LocalStack) -> Vec<PathBuf> {
    let own = stack
        .kubeconfig()
        .ancestors()
        .nth(2)
        .map(Path::to_owned)
        .unwrap_or_default();
    let folders = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("towline") && path != own && path.is_dir() {
                found.extend(files(&path));
            }
        }
    }
    found.retain(|file| file.metadata().is_ok_and(|data| data.len() < 64 << 20));
    found
}
