//! Repositories: private ones, pushes told of and not.

use serde_json::json;
use tests::Scene;
use tests::events::work_of;
use tests::git::{Change, PASSWORD, USER, Webhook};
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

#[tokio::test]
async fn a_submodules_files_are_read_where_it_is_mounted_and_follow_its_commit()
-> anyhow::Result<()> {
    let scene = Scene::new("submodule").await?;
    let name = format!("{}-module", scene.name);
    let module = scene.towline.stack().git.create(&name)?;
    let commit = |value: &str| {
        let content = config_map("settings", "value", value);
        module.commit(value, &[("config.yaml", &content)])
    };
    // Relative to the repository's own address, as forges' users write it.
    let modules = format!("[submodule \"base\"]\n\tpath = web/base\n\turl = ../{name}.git\n");
    let first = scene.repo.change(
        "first",
        &[
            Change::write(".gitmodules", modules),
            Change::module("web/base", commit("1")?),
        ],
    )?;
    let app = scene
        .app("web")
        .automated()
        .set("/spec/source/directory/recurse", true)
        .create()
        .await?;
    app.settled(&first).await?;
    scene.config("settings", "value", "1").await?;
    let second = scene
        .push_changes("second", &[Change::module("web/base", commit("2")?)])
        .await?;
    app.settled(&second).await?;
    scene.config("settings", "value", "2").await?;
    Ok(())
}
