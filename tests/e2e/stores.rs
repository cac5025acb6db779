//! Secrets without Vault: from a namespace of Kubernetes, and from files.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tests::installation::{Installation, Options};
use tests::scene::Scene;
use tests::stack::LocalStack;

use crate::secrets::project;

#[tokio::test]
async fn values_come_from_files_and_from_secrets_of_a_namespace() -> anyhow::Result<()> {
    let stack = LocalStack::shared()?;
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("shop"))?;
    std::fs::write(folder.path().join("shop/user"), "ada")?;
    let options = Options::own("stores");
    let kept = format!("{}-kept", options.name);
    let options = options
        .argument("--secret-files")
        .argument(&folder.path().to_string_lossy())
        .argument("--secrets-namespace")
        .argument(&kept);
    let towline = Installation::start(stack, options).await?;
    let scene = Scene::on(&towline, "web").await?;
    scene
        .cluster
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kept}}))
        .await?;
    scene
        .cluster
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop", "namespace": kept}, "stringData": {"pass": "hunter2"},
        }))
        .await?;
    project(
        &scene.cluster,
        towline.namespace(),
        &scene.name,
        "files/shop, k8s/shop",
    )
    .await?;
    let manifest = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: credentials\nstringData:\n  \
                    line: <path:files/shop#user>:<path:k8s/shop#pass>\n";
    let commit = scene
        .repo
        .commit("first", &[("web/secret.yaml", manifest)])?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.settled(&commit).await?;
    let secret = scene.live("Secret", "credentials").await?;
    assert_eq!(
        secret["data"]["line"],
        Value::from(BASE64_STANDARD.encode("ada:hunter2"))
    );
    Ok(())
}
