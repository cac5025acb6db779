//! Objects that others applied before.

use kube::api::PostParams;
use serde_json::json;
use tests::Scene;
use tests::cluster::MANAGER;
use tests::manifest::config_map;

#[tokio::test]
async fn what_kubectl_applied_is_adopted_and_a_dropped_field_disappears() -> anyhow::Result<()> {
    let scene = Scene::new("adopt").await?;
    let data = json!({"kept": "1", "dropped": "1"});
    let last = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"annotations": {}, "name": "settings", "namespace": scene.namespace()},
        "data": data,
    });
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "settings",
            "namespace": scene.namespace(),
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last.to_string()},
        },
        "data": data,
    });
    let params = PostParams {
        field_manager: Some("kubectl-client-side-apply".to_owned()),
        ..PostParams::default()
    };
    let api = scene.cluster.api("ConfigMap", scene.namespace())?;
    let before = api
        .create(&params, &serde_json::from_value(object)?)
        .await?;

    let commit = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "kept", "2"))],
    )?;
    let app = scene.app("web").strict().create().await?;
    app.settled(&commit).await?;
    let after = scene.live("ConfigMap", "settings").await?;
    assert_eq!(after["data"], json!({"kept": "2"}));
    assert_eq!(
        after["metadata"]["uid"].as_str(),
        before.metadata.uid.as_deref(),
        "it was replaced, not adopted"
    );
    Ok(())
}

#[tokio::test]
async fn a_field_that_somebody_else_added_is_left_alone() -> anyhow::Result<()> {
    let scene = Scene::new("foreign").await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "ours", "1"))],
    )?;
    let app = scene.app("web").strict().create().await?;
    app.settled(&first).await?;
    scene
        .cluster
        .apply_as(
            MANAGER,
            &json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "settings", "namespace": scene.namespace()},
                "data": {"theirs": "1"},
            }),
        )
        .await?;
    let second = scene
        .push(
            "second",
            &[("web/config.yaml", &config_map("settings", "ours", "2"))],
        )
        .await?;
    app.settled(&second).await?;
    let live = scene.live("ConfigMap", "settings").await?;
    assert_eq!(live["data"], json!({"ours": "2", "theirs": "1"}));
    Ok(())
}
