//! Values from Vault: they reach the object, and only where the project allows it.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tests::Scene;
use tests::cluster::Cluster;

/// A project whose applications may read Vault below a path.
pub(crate) async fn project(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    paths: &str,
) -> anyhow::Result<()> {
    cluster
        .apply(&json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": name, "namespace": namespace, "annotations": {
                "towline.dev/secret-paths": paths, "towline.dev/secret-kinds": "ConfigMap, apps/Deployment",
            }},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"namespace": "*", "server": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        }))
        .await?;
    Ok(())
}

pub(crate) fn manifest(path: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: credentials\nstringData:\n  password: <path:secret/data/{path}#password>\n  \
         line: \"user:<path:secret/data/{path}#password>@host\"\n"
    )
}

fn value(secret: &Value, key: &str) -> String {
    let text = secret["data"][key].as_str().unwrap_or_default();
    String::from_utf8(BASE64_STANDARD.decode(text).unwrap_or_default()).unwrap_or_default()
}

#[tokio::test]
async fn a_placeholder_becomes_the_value_from_vault() -> anyhow::Result<()> {
    let scene = Scene::new("vault").await?;
    let path = format!("{}/db", scene.name);
    scene
        .towline
        .stack()
        .write_secret(&path, &json!({"password": "s3cr3t-one"}))
        .await?;
    project(
        &scene.cluster,
        scene.towline.namespace(),
        &scene.name,
        &format!("secret/data/{}/*", scene.name),
    )
    .await?;
    let commit = scene
        .repo
        .commit("first", &[("web/secret.yaml", &manifest(&path))])?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.settled(&commit).await?;
    let secret = scene.live("Secret", "credentials").await?;
    assert_eq!(value(&secret, "password"), "s3cr3t-one");
    assert_eq!(value(&secret, "line"), "user:s3cr3t-one@host");
    Ok(())
}

#[tokio::test]
async fn a_path_that_the_project_does_not_allow_is_refused_and_nothing_applied()
-> anyhow::Result<()> {
    let scene = Scene::new("forbidden").await?;
    let path = format!("{}/db", scene.name);
    scene
        .towline
        .stack()
        .write_secret(&path, &json!({"password": "s3cr3t-two"}))
        .await?;
    project(
        &scene.cluster,
        scene.towline.namespace(),
        &scene.name,
        "secret/data/elsewhere/*",
    )
    .await?;
    let settings = tests::manifest::config_map("settings", "value", "1");
    let commit = scene.repo.commit(
        "first",
        &[
            ("web/secret.yaml", &manifest(&path)),
            ("web/config.yaml", &settings),
        ],
    )?;
    let app = scene
        .app("web")
        .automated()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.condition(
        "SecretError",
        &[&format!("secret/data/{path}"), &scene.name],
    )
    .await?;
    for (kind, name) in [("Secret", "credentials"), ("ConfigMap", "settings")] {
        assert_eq!(
            scene.cluster.find(kind, scene.namespace(), name).await?,
            None,
            "{kind} {name}"
        );
    }
    // The project learns better, and the application follows by itself.
    project(
        &scene.cluster,
        scene.towline.namespace(),
        &scene.name,
        &format!("secret/data/{}/**", scene.name),
    )
    .await?;
    app.settled(&commit).await?;
    app.no_condition("SecretError").await?;
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_missing_is_named_and_the_last_state_stays() -> anyhow::Result<()> {
    let scene = Scene::new("no-key").await?;
    let path = format!("{}/db", scene.name);
    scene
        .towline
        .stack()
        .write_secret(&path, &json!({"password": "s3cr3t-three"}))
        .await?;
    project(
        &scene.cluster,
        scene.towline.namespace(),
        &scene.name,
        &format!("secret/data/{}/*", scene.name),
    )
    .await?;
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
    let wrong = manifest(&path).replace("#password>\n", "#no-such-key>\n");
    scene.push("wrong", &[("web/secret.yaml", &wrong)]).await?;
    app.condition("SecretError", &["no-such-key", &path])
        .await?;
    assert_eq!(
        value(&scene.live("Secret", "credentials").await?, "password"),
        "s3cr3t-three"
    );
    let commit = scene.repo.revert()?;
    scene.tell(&commit).await?;
    app.settled(&commit).await?;
    app.no_condition("SecretError").await?;
    Ok(())
}

/// What argocd-vault-plugin's annotations and modifiers mean, all of it in one application.
#[tokio::test]
async fn keys_of_an_annotated_path_are_replaced_modified_and_left_out() -> anyhow::Result<()> {
    let scene = Scene::new("plugin").await?;
    let path = format!("{}/db", scene.name);
    let value_of = |replicas: Value| json!({"user": "ada", "replicas": replicas, "doc": r#"{"host":"db","port":5432}"#});
    scene
        .towline
        .stack()
        .write_secret(&path, &value_of(json!(0)))
        .await?;
    project(
        &scene.cluster,
        scene.towline.namespace(),
        &scene.name,
        &format!("secret/data/{}/*", scene.name),
    )
    .await?;
    let annotated = |kind: &str, version: &str, name: &str, more: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n  annotations:\n    \
             avp.kubernetes.io/path: secret/data/{path}\n{more}"
        )
    };
    let encoded = BASE64_STANDARD.encode("postgres://<user>@<doc | jsonPath {.host}{':'}{.port}>");
    let secret = annotated(
        "Secret",
        "v1",
        "credentials",
        &format!(
            "    avp.kubernetes.io/remove-missing: \"true\"\ndata:\n  url: {encoded}\n  plain: <user | base64encode>\n\
             stringData:\n  gone: <no-such-key>\n  count: <replicas>\n"
        ),
    );
    let workload = annotated(
        "Deployment",
        "apps/v1",
        "web",
        "spec:\n  replicas: <replicas>\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata:\n      labels: {app: web}\n      \
         annotations: {checksum: <user | sha256sum>}\n    spec: {containers: [{name: web, image: \"example.org/web:1\"}]}\n",
    );
    let ignored = annotated(
        "ConfigMap",
        "v1",
        "words",
        "    avp.kubernetes.io/ignore: \"true\"\ndata:\n  text: <user> <path:x#y>\n",
    );
    let commit = scene.repo.commit(
        "first",
        &[
            ("web/secret.yaml", secret.as_str()),
            ("web/workload.yaml", workload.as_str()),
            ("web/ignored.yaml", ignored.as_str()),
        ],
    )?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.settled(&commit).await?;
    let secret = scene.live("Secret", "credentials").await?;
    assert_eq!(value(&secret, "url"), "postgres://ada@db:5432");
    assert_eq!(value(&secret, "plain"), "ada");
    assert_eq!(value(&secret, "count"), "0");
    assert_eq!(secret["data"].get("gone"), None);
    let workload = scene.live("Deployment", "web").await?;
    assert_eq!(workload["spec"]["replicas"], 0);
    assert_eq!(
        workload["spec"]["template"]["metadata"]["annotations"]["checksum"],
        "fdee430d40bd57deeac186cd9790033d0f06f909a8806e7ce6e717ab7c7d5029"
    );
    let words = scene.live("ConfigMap", "words").await?;
    assert_eq!(words["data"]["text"], "<user> <path:x#y>");
    Ok(())
}
