//! Repositories: private ones, pushes told of and not.

use serde_json::json;
use tests::Scene;
use tests::events::work_of;
use tests::git::{PASSWORD, USER, Webhook};
use tests::manifest::config_map;

#[tokio::test]
async fn a_private_repository_is_read_with_the_secrets_user_and_a_wrong_one_is_told()
-> anyhow::Result<()> {
    let scene = Scene::new("private").await?;
    let repo = scene
        .towline
        .stack()
        .git
        .create(&format!("private/{}", scene.name))?;
    let commit = repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let credentials = |password: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": format!("{}-repo", scene.name),
                "namespace": scene.towline.namespace(),
                "labels": {"argocd.argoproj.io/secret-type": "repository"},
            },
            "stringData": {"type": "git", "url": repo.url(), "username": USER, "password": password},
        })
    };
    let app = scene
        .app("web")
        .automated()
        .set("/spec/source/repoURL", repo.url())
        .create()
        .await?;
    let said = app.condition("ComparisonError", &[repo.url()]).await?;
    assert!(
        said.to_lowercase().contains("secret") || said.to_lowercase().contains("credential"),
        "{said}"
    );

    scene.cluster.apply(&credentials("wrong-password")).await?;
    let said = app
        .condition("ComparisonError", &[repo.url(), "refuses the login"])
        .await?;
    assert!(!said.contains("wrong-password"));

    scene.cluster.apply(&credentials(PASSWORD)).await?;
    app.settled(&commit).await?;
    app.no_condition("ComparisonError").await?;
    Ok(())
}

#[tokio::test]
async fn a_webhook_whose_signature_is_wrong_or_missing_is_refused() -> anyhow::Result<()> {
    let scene = Scene::new("webhook").await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&first).await?;
    let before = work_of(scene.towline, &app).await?;
    let second = scene.repo.commit(
        "second",
        &[("web/config.yaml", &config_map("settings", "value", "2"))],
    )?;
    let good = scene.towline.webhook()?;
    for secret in [Some("not-the-secret".to_owned()), None] {
        let bad = Webhook {
            secret,
            ..good.clone()
        };
        let status = bad.send(&scene.repo, &second).await?;
        assert!(status.is_client_error(), "{status}");
    }
    assert_eq!(
        before,
        work_of(scene.towline, &app).await?,
        "a refused webhook had an effect"
    );
    good.push(&scene.repo, &second).await?;
    app.settled(&second).await?;
    Ok(())
}

#[tokio::test]
async fn the_refresh_annotation_looks_for_commits_and_is_removed() -> anyhow::Result<()> {
    let scene = Scene::new("refresh").await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&first).await?;
    for (kind, value) in [("normal", "2"), ("hard", "3")] {
        let commit = scene.repo.commit(
            value,
            &[("web/config.yaml", &config_map("settings", "value", value))],
        )?;
        app.annotate("argocd.argoproj.io/refresh", kind).await?;
        app.settled(&commit).await?;
        app.until("no refresh annotation", |app| {
            app["metadata"]["annotations"]
                .get("argocd.argoproj.io/refresh")
                .is_none()
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_refresh_command_looks_for_commits() -> anyhow::Result<()> {
    let scene = Scene::new("refresh-cmd").await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&first).await?;
    let second = scene.repo.commit(
        "second",
        &[("web/config.yaml", &config_map("settings", "value", "2"))],
    )?;
    app.command("refresh", &[]).await?;
    app.settled(&second).await?;
    Ok(())
}

#[tokio::test]
async fn a_commit_id_and_a_file_address_work_as_sources() -> anyhow::Result<()> {
    let scene = Scene::new("sha").await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    scene.repo.commit(
        "second",
        &[("web/config.yaml", &config_map("settings", "value", "2"))],
    )?;
    let app = scene
        .app("web")
        .automated()
        .set("/spec/source/targetRevision", first.as_str())
        .set(
            "/spec/source/repoURL",
            format!("file://{}", scene.repo.path().display()),
        )
        .create()
        .await?;
    app.settled(&first).await?;
    scene.config("settings", "value", "1").await?;
    Ok(())
}
