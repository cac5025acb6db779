//! Going back, staying there, and following again.

use tests::Scene;
use tests::events::verified;
use tests::manifest::config_map;

#[tokio::test]
async fn a_rollback_pins_until_it_is_unpinned() -> anyhow::Result<()> {
    let scene = Scene::new("rollback").await?;
    let bus = scene.towline.bus().await?;
    let file = |value: &str| config_map("settings", "value", value);
    let first = scene
        .repo
        .commit("first", &[("web/config.yaml", &file("1"))])?;
    let app = scene.app("web").strict().create().await?;
    app.settled(&first).await?;
    let second = scene
        .push("second", &[("web/config.yaml", &file("2"))])
        .await?;
    app.settled(&second).await?;

    app.command("rollback", &["--no-wait"]).await?;
    scene.config("settings", "value", "1").await?;
    app.condition("Pinned", &[]).await?;

    // A newer commit does not move it, and a hand edit is healed to the pinned state.
    let third = scene
        .push("third", &[("web/config.yaml", &file("3"))])
        .await?;
    verified(&bus, &scene.repo, &third).await?;
    app.until("OutOfSync and pinned", |app| {
        tests::app::sync(app) == "OutOfSync" && tests::app::condition(app, "Pinned").is_some()
    })
    .await?;
    assert_eq!(
        scene.live("ConfigMap", "settings").await?["data"]["value"],
        "1"
    );
    scene
        .cluster
        .patch(
            "ConfigMap",
            scene.namespace(),
            "settings",
            &serde_json::json!({"data": {"value": "by hand"}}),
        )
        .await?;
    scene.config("settings", "value", "1").await?;

    app.command("unpin", &["--no-wait"]).await?;
    app.settled(&third).await?;
    scene.config("settings", "value", "3").await?;
    app.no_condition("Pinned").await?;
    Ok(())
}

#[tokio::test]
async fn history_lists_releases_and_any_of_them_can_be_gone_back_to() -> anyhow::Result<()> {
    let scene = Scene::new("history").await?;
    let file = |value: &str| config_map("settings", "value", value);
    let mut commits = vec![scene.repo.commit("1", &[("web/config.yaml", &file("1"))])?];
    let app = scene.app("web").automated().create().await?;
    app.settled(&commits[0]).await?;
    for value in ["2", "3"] {
        let commit = scene
            .push(value, &[("web/config.yaml", &file(value))])
            .await?;
        app.settled(&commit).await?;
        commits.push(commit);
    }
    let history: serde_json::Value =
        serde_json::from_str(&app.command("history", &["-o", "json"]).await?)?;
    let releases = history
        .as_array()
        .or_else(|| history["items"].as_array())
        .cloned()
        .unwrap_or_default();
    assert_eq!(releases.len(), 3, "{history}");
    let argo = app.get().await?["status"]["history"].clone();
    let id = argo[0]["id"].to_string();
    assert_eq!(argo[0]["revision"], commits[0]);
    app.command("rollback", &[&id, "--no-wait"]).await?;
    scene.config("settings", "value", "1").await?;
    Ok(())
}

#[tokio::test]
async fn a_pin_holds_what_is_live() -> anyhow::Result<()> {
    let scene = Scene::new("pin").await?;
    let bus = scene.towline.bus().await?;
    let file = |value: &str| config_map("settings", "value", value);
    let first = scene
        .repo
        .commit("first", &[("web/config.yaml", &file("1"))])?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&first).await?;
    app.command("pin", &[]).await?;
    app.condition("Pinned", &[]).await?;
    let second = scene
        .push("second", &[("web/config.yaml", &file("2"))])
        .await?;
    verified(&bus, &scene.repo, &second).await?;
    app.is("OutOfSync", "Healthy").await?;
    assert_eq!(
        scene.live("ConfigMap", "settings").await?["data"]["value"],
        "1"
    );
    app.command("unpin", &["--no-wait"]).await?;
    app.settled(&second).await?;
    Ok(())
}

#[tokio::test]
async fn a_stranger_may_neither_look_nor_command() -> anyhow::Result<()> {
    let scene = Scene::new("stranger").await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&first).await?;
    let stack = scene.towline.stack();
    let folder = stack.folder(&format!("{}-token", scene.name))?;
    for (name, token) in [
        ("stranger", stack.token_of_stranger()),
        ("nobody", "made-up".to_owned()),
    ] {
        let file = folder.join(name);
        std::fs::write(&file, token)?;
        let file = file.to_string_lossy();
        for verb in ["rollback", "get"] {
            let output = scene
                .towline
                .towline(&[verb, &app.name, "--token-file", &file])
                .await?;
            assert_eq!(
                output.status.code(),
                Some(1),
                "{verb} by {name}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    Ok(())
}
