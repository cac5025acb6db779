//! Beside Argo CD: looking without touching, and refusing to fight.

use bus::message::event::EventKind;
use serde_json::json;
use tests::events::said;
use tests::installation::{Installation, Options, playing_argo_cd};
use tests::manifest::config_map;
use tests::wait::{check, until};
use tests::{Cluster, LocalStack, Scene};

#[tokio::test]
async fn an_observer_renders_and_compares_and_changes_nothing() -> anyhow::Result<()> {
    let options = Options::own("observe").argument("--observe");
    let towline = Installation::start(LocalStack::shared()?, options).await?;
    let scene = Scene::on(&towline, "observed").await?;
    let commit = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene.app("web").strict().create().await?;
    said(scene.towline, &app, EventKind::RenderSucceeded).await?;
    until("the monitor shows it OutOfSync", || async {
        let shown = app.command("get", &["-o", "json"]).await?;
        check(
            shown.contains("OutOfSync") && shown.contains(&commit),
            || shown.clone(),
        )
    })
    .await?;
    assert_eq!(
        scene
            .cluster
            .find("ConfigMap", scene.namespace(), "settings")
            .await?,
        None
    );
    let object = app.get().await?;
    assert_eq!(object.get("status"), None, "an observer wrote a status");
    assert_eq!(object["metadata"].get("finalizers"), None);
    Ok(())
}

#[tokio::test]
async fn where_an_argo_cd_controller_is_active_up_refuses_unless_it_only_observes()
-> anyhow::Result<()> {
    let stack = LocalStack::shared()?;
    let cluster = Cluster::connect(stack.kubeconfig()).await?;
    let playing = playing_argo_cd().await;
    let namespace = "argo-cd-plays";
    cluster.namespace(namespace).await?;
    let labels = json!({"app.kubernetes.io/name": "argocd-application-controller"});
    let controller = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "argocd-application-controller", "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "serviceName": "argocd",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "example.org/argocd:3"}]},
            },
        },
    });
    cluster.apply(&controller).await?;
    let name = "argocd-application-controller";
    cluster
        .has(
            "StatefulSet",
            namespace,
            name,
            ("/status/readyReplicas", &json!(1)),
        )
        .await?;

    let refused = Installation::start_beside(stack, Options::own("refused"), &playing).await;
    let error = refused
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    assert!(
        error.contains("Argo CD") && error.contains(namespace),
        "{error}"
    );
    assert!(
        error.contains("--observe"),
        "it does not say what to do: {error}"
    );

    let observer = Installation::start_beside(
        stack,
        Options::own("beside").argument("--observe"),
        &playing,
    )
    .await?;
    assert!(observer.stop().await.success());

    cluster.delete("StatefulSet", namespace, name).await?;
    cluster.gone("StatefulSet", namespace, name).await
}
