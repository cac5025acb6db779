//! Sync policy: what is released, pruned and healed by itself, and what waits for a person.

use serde_json::json;
use tests::Scene;
use tests::events::{said, verified};
use tests::git::Change;
use tests::manifest::{annotated_config_map, config_map};

#[tokio::test]
async fn what_leaves_the_repository_is_pruned_unless_it_says_no() -> anyhow::Result<()> {
    let scene = Scene::new("prune").await?;
    let keep = annotated_config_map(
        "kept",
        "1",
        &[("argocd.argoproj.io/sync-options", "Prune=false")],
    );
    let first = scene.repo.commit(
        "first",
        &[
            ("web/stays.yaml", &config_map("stays", "value", "1")),
            ("web/goes.yaml", &config_map("goes", "value", "1")),
            ("web/kept.yaml", &keep),
        ],
    )?;
    let app = scene.app("web").strict().create().await?;
    app.settled(&first).await?;
    scene
        .push_changes(
            "two less",
            &[
                Change::remove("web/goes.yaml"),
                Change::remove("web/kept.yaml"),
            ],
        )
        .await?;
    scene.gone("ConfigMap", "goes").await?;
    let app = app.is("OutOfSync", "Healthy").await?;
    scene.live("ConfigMap", "kept").await?;
    scene.live("ConfigMap", "stays").await?;
    let resources = app["status"]["resources"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let kept = resources.iter().find(|resource| resource["name"] == "kept");
    assert_eq!(
        kept.map(|kept| kept["requiresPruning"] == true),
        Some(true),
        "{resources:?}"
    );
    Ok(())
}

#[tokio::test]
async fn without_prune_nothing_is_deleted() -> anyhow::Result<()> {
    let scene = Scene::new("no-prune").await?;
    let first = scene.repo.commit(
        "first",
        &[
            ("web/stays.yaml", &config_map("stays", "value", "1")),
            ("web/goes.yaml", &config_map("goes", "value", "1")),
        ],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&first).await?;
    scene
        .push_changes(
            "one less",
            &[
                Change::remove("web/goes.yaml"),
                Change::write("web/stays.yaml", config_map("stays", "value", "2")),
            ],
        )
        .await?;
    scene.config("stays", "value", "2").await?;
    app.is("OutOfSync", "Healthy").await?;
    scene.live("ConfigMap", "goes").await?;
    app.command("sync", &["--prune", "--no-wait"]).await?;
    scene.gone("ConfigMap", "goes").await?;
    app.is("Synced", "Healthy").await?;
    Ok(())
}

#[tokio::test]
async fn a_hand_edit_is_healed_with_self_heal_and_shown_without() -> anyhow::Result<()> {
    let scene = Scene::new("heal").await?;
    let first = scene.repo.commit(
        "first",
        &[
            ("healed/config.yaml", &config_map("healed", "value", "1")),
            ("shown/config.yaml", &config_map("shown", "value", "1")),
        ],
    )?;
    let healed = scene.app("healed").strict().create().await?;
    let shown = scene.app("shown").automated().create().await?;
    for app in [&healed, &shown] {
        app.settled(&first).await?;
    }
    for name in ["healed", "shown"] {
        scene
            .cluster
            .patch(
                "ConfigMap",
                scene.namespace(),
                name,
                &json!({"data": {"value": "by hand"}}),
            )
            .await?;
    }
    scene.config("healed", "value", "1").await?;
    healed.settled(&first).await?;
    shown.is("OutOfSync", "Healthy").await?;
    assert_eq!(
        scene.live("ConfigMap", "shown").await?["data"]["value"],
        "by hand"
    );

    // An object that somebody deletes comes back too.
    scene
        .cluster
        .delete("ConfigMap", scene.namespace(), "healed")
        .await?;
    scene.config("healed", "value", "1").await?;
    healed.settled(&first).await?;
    said(
        scene.towline,
        &healed,
        bus::message::event::EventKind::DriftHealed,
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn without_automation_a_commit_waits_for_the_command() -> anyhow::Result<()> {
    let scene = Scene::new("manual").await?;
    let bus = scene.towline.bus().await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene.app("web").create().await?;
    app.is("OutOfSync", "Missing").await?;
    assert_eq!(
        scene
            .cluster
            .find("ConfigMap", scene.namespace(), "settings")
            .await?,
        None
    );
    app.command("sync", &[]).await?;
    app.settled(&first).await?;
    let second = scene
        .push(
            "second",
            &[("web/config.yaml", &config_map("settings", "value", "2"))],
        )
        .await?;
    verified(&bus, &scene.repo, &second).await?;
    app.is("OutOfSync", "Healthy").await?;
    assert_eq!(
        scene.live("ConfigMap", "settings").await?["data"]["value"],
        "1"
    );
    app.command("sync", &[]).await?;
    app.settled(&second).await?;
    scene.config("settings", "value", "2").await?;
    Ok(())
}

#[tokio::test]
async fn an_operation_in_the_object_syncs_as_in_argo_cd() -> anyhow::Result<()> {
    let scene = Scene::new("operation").await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene.app("web").create().await?;
    app.is("OutOfSync", "Missing").await?;
    app.patch(
        &json!({"operation": {"initiatedBy": {"username": "ada"}, "sync": {"revision": first}}}),
    )
    .await?;
    app.settled(&first).await?;
    app.until("no operation left", |app| app.get("operation").is_none())
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_is_created_when_asked_for() -> anyhow::Result<()> {
    let scene = Scene::new("namespace").await?;
    let commit = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let namespace = format!("{}-new", scene.name);
    let app = scene
        .app("web")
        .automated()
        .sync_options(&["CreateNamespace=true"])
        .set("/spec/destination/namespace", namespace.clone())
        .create()
        .await?;
    app.settled(&commit).await?;
    scene
        .cluster
        .get("ConfigMap", &namespace, "settings")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_closed_sync_window_is_shown_and_a_commit_waits_until_it_opens() -> anyhow::Result<()> {
    let scene = Scene::new("windowed").await?;
    let project = |windows: serde_json::Value| {
        json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": scene.name, "namespace": scene.towline.namespace()},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "syncWindows": windows,
            },
        })
    };
    let closed = json!([{"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"],
        "description": "the year's end"}]);
    scene.cluster.apply(&project(closed)).await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("settings", "value", "1"))],
    )?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.condition("HeldBySyncWindow", &["denies", "the year's end"])
        .await?;
    app.is("OutOfSync", "Missing").await?;
    scene.cluster.apply(&project(json!([]))).await?;
    app.settled(&first).await?;
    app.no_condition("HeldBySyncWindow").await?;
    Ok(())
}
