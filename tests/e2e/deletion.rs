//! Deleting an Application: what goes with it, and what stays.

use tests::Scene;
use tests::manifest::{annotated_config_map, config_map, deployment};
use tests::wait::{check, until};

const FOREGROUND: &str = "resources-finalizer.argocd.argoproj.io/foreground";
const BACKGROUND: &str = "resources-finalizer.argocd.argoproj.io/background";
const PLAIN: &str = "resources-finalizer.argocd.argoproj.io";

#[tokio::test]
async fn with_the_finalizer_its_objects_go_first() -> anyhow::Result<()> {
    for finalizer in [PLAIN, FOREGROUND] {
        let scene = Scene::new("delete").await?;
        let commit = scene.repo.commit(
            "first",
            &[
                ("web/config.yaml", &config_map("settings", "value", "1")),
                ("web/web.yaml", &deployment("web", "example.org/web:1")),
            ],
        )?;
        let app = scene
            .app("web")
            .automated()
            .finalizer(finalizer)
            .create()
            .await?;
        app.settled(&commit).await?;
        app.delete().await?;
        app.gone().await?;
        assert_eq!(
            scene
                .cluster
                .find("ConfigMap", scene.namespace(), "settings")
                .await?,
            None,
            "{finalizer}"
        );
        assert_eq!(
            scene
                .cluster
                .find("Deployment", scene.namespace(), "web")
                .await?,
            None,
            "{finalizer}"
        );
        // Foreground means: what the objects own went before them.
        let pods = scene.cluster.list("Pod", scene.namespace()).await?;
        assert!(pods.is_empty(), "{finalizer}: {} pods left", pods.len());
    }
    Ok(())
}

#[tokio::test]
async fn with_the_background_finalizer_everything_goes_in_the_end() -> anyhow::Result<()> {
    let scene = Scene::new("delete-bg").await?;
    let commit = scene.repo.commit(
        "first",
        &[("web/web.yaml", &deployment("web", "example.org/web:1"))],
    )?;
    let app = scene
        .app("web")
        .automated()
        .finalizer(BACKGROUND)
        .create()
        .await?;
    app.settled(&commit).await?;
    app.delete().await?;
    app.gone().await?;
    scene.gone("Deployment", "web").await?;
    until("the pods are gone", || async {
        let pods = scene.cluster.list("Pod", scene.namespace()).await?;
        check(pods.is_empty(), || format!("{} pods", pods.len()))
    })
    .await
}

#[tokio::test]
async fn without_a_finalizer_its_objects_stay() -> anyhow::Result<()> {
    let scene = Scene::new("orphan").await?;
    let commit = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&commit).await?;
    let before = scene.live("ConfigMap", "settings").await?;
    app.delete().await?;
    app.gone().await?;
    // Not until the applier has said that it is done is it proven that nothing goes.
    tests::events::said(
        scene.towline,
        &app,
        bus::message::event::EventKind::ApplicationDeleted,
    )
    .await?;
    let after = scene.live("ConfigMap", "settings").await?;
    assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"]);
    Ok(())
}

#[tokio::test]
async fn an_object_that_says_delete_false_stays() -> anyhow::Result<()> {
    let scene = Scene::new("delete-no").await?;
    let keep = annotated_config_map(
        "kept",
        "1",
        &[("argocd.argoproj.io/sync-options", "Delete=false")],
    );
    let commit = scene.repo.commit(
        "first",
        &[
            ("web/kept.yaml", &keep),
            ("web/goes.yaml", &config_map("goes", "value", "1")),
        ],
    )?;
    let app = scene
        .app("web")
        .automated()
        .finalizer(PLAIN)
        .create()
        .await?;
    app.settled(&commit).await?;
    app.delete().await?;
    app.gone().await?;
    scene.gone("ConfigMap", "goes").await?;
    scene.live("ConfigMap", "kept").await?;
    Ok(())
}

#[tokio::test]
async fn an_application_of_the_same_name_starts_anew() -> anyhow::Result<()> {
    let scene = Scene::new("again").await?;
    let commit = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    for _ in 0..2 {
        let app = scene
            .app("web")
            .automated()
            .finalizer(PLAIN)
            .create()
            .await?;
        app.settled(&commit).await?;
        scene.live("ConfigMap", "settings").await?;
        app.delete().await?;
        app.gone().await?;
        scene.gone("ConfigMap", "settings").await?;
    }
    Ok(())
}
