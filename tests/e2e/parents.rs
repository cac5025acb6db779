//! Applications that come from a repository themselves.

use serde_json::json;
use tests::app::{health, sync};
use tests::manifest::{config_map, deployment};
use tests::{App, Scene};

#[tokio::test]
async fn an_application_of_applications_brings_up_its_children_and_takes_them_along()
-> anyhow::Result<()> {
    let scene = Scene::new("parent").await?;
    let children = ["one", "two"];
    let mut files = Vec::new();
    for child in children {
        let manifest = scene
            .app(child)
            .automated()
            .finalizer(tests::app::FINALIZER)
            .manifest();
        files.push((format!("root/{child}.yaml"), manifest));
        files.push((
            format!("{child}/config.yaml"),
            config_map(child, "value", "1"),
        ));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let commit = scene.repo.commit("first", &files)?;
    let root = scene
        .app("root")
        .strict()
        .finalizer(tests::app::FINALIZER)
        .set("/spec/destination/namespace", scene.towline.namespace())
        .create()
        .await?;
    root.settled(&commit).await?;
    for child in children {
        App::existing(&scene, &format!("{}-{child}", scene.name))
            .settled(&commit)
            .await?;
        scene.live("ConfigMap", child).await?;
    }
    root.delete().await?;
    root.gone().await?;
    for child in children {
        App::existing(&scene, &format!("{}-{child}", scene.name))
            .gone()
            .await?;
        scene.gone("ConfigMap", child).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_parent_that_asks_for_it_is_as_healthy_as_its_children() -> anyhow::Result<()> {
    let scene = Scene::new("parent-health").await?;
    let web = |tag: &str| deployment("web", &format!("example.org/web:{tag}"));
    let commit = scene.repo.commit(
        "first",
        &[
            (
                "root/child.yaml",
                &scene.app("child").automated().manifest(),
            ),
            ("child/web.yaml", &web("1-broken")),
        ],
    )?;
    let root = scene
        .app("root")
        .automated()
        .annotation("towline.dev/app-of-apps-health", "enabled")
        .set("/spec/destination/namespace", scene.towline.namespace())
        .create()
        .await?;
    root.until("Synced and Degraded", |app| {
        sync(app) == "Synced" && health(app) == "Degraded"
    })
    .await?;
    let mended = scene
        .push("mended", &[("child/web.yaml", &web("2"))])
        .await?;
    App::existing(&scene, &format!("{}-child", scene.name))
        .settled(&mended)
        .await?;
    root.is("Synced", "Healthy").await?;
    let _ = commit;
    Ok(())
}

#[tokio::test]
async fn a_child_edited_by_hand_is_healed() -> anyhow::Result<()> {
    let scene = Scene::new("parent-heal").await?;
    let commit = scene.repo.commit(
        "first",
        &[
            (
                "root/child.yaml",
                &scene.app("child").automated().manifest(),
            ),
            ("child/config.yaml", &config_map("child", "value", "1")),
        ],
    )?;
    let root = scene
        .app("root")
        .strict()
        .set("/spec/destination/namespace", scene.towline.namespace())
        .create()
        .await?;
    root.settled(&commit).await?;
    let child = App::existing(&scene, &format!("{}-child", scene.name));
    child.settled(&commit).await?;
    child
        .patch(&json!({"spec": {"source": {"path": "elsewhere"}}}))
        .await?;
    child
        .until("its path is what Git says", |app| {
            app["spec"]["source"]["path"] == "child"
        })
        .await?;
    child.settled(&commit).await?;
    root.settled(&commit).await?;
    Ok(())
}
