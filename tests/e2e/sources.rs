//! Each kind of source becomes live objects.

use serde_json::json;
use tests::Scene;
use tests::manifest::{chart, config_map, deployment, service};

#[tokio::test]
async fn plain_manifests_become_synced_and_healthy() -> anyhow::Result<()> {
    let scene = Scene::new("plain").await?;
    let commit = scene.repo.commit(
        "first",
        &[
            ("web/config.yaml", &config_map("settings", "colour", "blue")),
            (
                "web/web.yaml",
                &format!(
                    "{}---\n{}",
                    service("web"),
                    deployment("web", "example.org/web:1")
                ),
            ),
        ],
    )?;
    let app = scene.app("web").automated().create().await?;
    let settled = app.settled(&commit).await?;
    scene.live("Deployment", "web").await?;
    let config = scene.live("ConfigMap", "settings").await?;
    assert_eq!(config["data"]["colour"], "blue");
    assert_eq!(settled["status"]["sourceType"], "Directory");
    assert_eq!(
        settled["status"]["resources"].as_array().map(Vec::len),
        Some(3)
    );
    assert_eq!(settled["status"]["operationState"]["phase"], "Succeeded");
    assert_eq!(settled["status"]["history"][0]["revision"], commit);
    Ok(())
}

#[tokio::test]
async fn a_helm_chart_becomes_synced_and_healthy_with_its_parameters() -> anyhow::Result<()> {
    let scene = Scene::new("helm").await?;
    let files = chart("web", "hello");
    let mut files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    files.push(("web/values-prod.yaml", "greeting: good day\n"));
    let commit = scene.repo.commit("first", &files)?;
    let app = scene
        .app("web")
        .automated()
        .set(
            "/spec/source/helm",
            json!({"releaseName": "rel", "valueFiles": ["values-prod.yaml"]}),
        )
        .create()
        .await?;
    let settled = app.settled(&commit).await?;
    assert_eq!(settled["status"]["sourceType"], "Helm");
    scene.config("rel-settings", "greeting", "good day").await?;
    app.patch(&json!({"spec": {"source": {"helm": {"parameters": [{"name": "greeting", "value": "hi"}]}}}}))
        .await?;
    scene.config("rel-settings", "greeting", "hi").await?;
    app.settled(&commit).await?;
    Ok(())
}

#[tokio::test]
async fn a_kustomization_becomes_synced_and_healthy() -> anyhow::Result<()> {
    let scene = Scene::new("kustomize").await?;
    let commit = scene.repo.commit(
        "first",
        &[
            ("base/kustomization.yaml", "resources: [config.yaml]\n"),
            ("base/config.yaml", &config_map("settings", "colour", "blue")),
            (
                "web/kustomization.yaml",
                "resources: [../base]\nnamePrefix: prod-\npatches:\n  - target: {kind: ConfigMap}\n    patch: |\n      - op: \
                 replace\n        path: /data/colour\n        value: green\n",
            ),
        ],
    )?;
    let app = scene.app("web").automated().create().await?;
    let settled = app.settled(&commit).await?;
    assert_eq!(settled["status"]["sourceType"], "Kustomize");
    scene.config("prod-settings", "colour", "green").await?;
    Ok(())
}

#[tokio::test]
async fn a_chart_with_a_last_mile_passes_through_its_overlay() -> anyhow::Result<()> {
    let scene = Scene::new("last-mile").await?;
    let files = chart("web", "hello");
    let mut files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let overlay = "commonAnnotations: {team: dome}\n";
    files.push(("overlays/prod/kustomization.yaml", overlay));
    let commit = scene.repo.commit("first", &files)?;
    let app = scene
        .app("web")
        .automated()
        .annotation("towline.dev/last-mile", "overlays/prod")
        .set("/spec/source/helm", json!({"releaseName": "rel"}))
        .create()
        .await?;
    app.settled(&commit).await?;
    let config = scene.config("rel-settings", "greeting", "hello").await?;
    assert_eq!(config["metadata"]["annotations"]["team"], "dome");

    // The overlay is an input too.
    let commit = scene
        .push(
            "another team",
            &[(
                "overlays/prod/kustomization.yaml",
                "commonAnnotations: {team: mirror}\n",
            )],
        )
        .await?;
    app.settled(&commit).await?;
    let config = scene.live("ConfigMap", "rel-settings").await?;
    assert_eq!(config["metadata"]["annotations"]["team"], "mirror");
    Ok(())
}

#[tokio::test]
async fn fields_of_a_specification_that_nobody_knows_are_kept_and_reported() -> anyhow::Result<()> {
    let scene = Scene::new("unknown").await?;
    let commit = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "a", "b"))],
    )?;
    let app = scene
        .app("web")
        .automated()
        .set("/spec/fromTheFuture", json!({"speed": 3}))
        .create()
        .await?;
    app.settled(&commit).await?;
    app.condition("UnknownFieldWarning", &["fromTheFuture"])
        .await?;
    assert_eq!(app.get().await?["spec"]["fromTheFuture"]["speed"], 3);
    Ok(())
}
