//! A secret value is nowhere but in the cluster's object.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;
use tests::Scene;
use tests::scene::own;

use crate::secrets::{manifest, project};
use crate::sweep::{Canary, sweep};

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
