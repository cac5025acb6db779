//! A commit costs what it changes.

use std::collections::BTreeMap;

use tests::events::{verified, work_of};
use tests::manifest::{chart, config_map};
use tests::{App, Scene};

#[tokio::test]
async fn a_commit_renders_and_applies_only_what_it_changes() -> anyhow::Result<()> {
    let scene = Scene::new("precise").await?;
    let bus = scene.towline.bus().await?;
    let mut files = BTreeMap::new();
    for name in ["one", "two", "three"] {
        files.insert(
            format!("{name}/config.yaml"),
            config_map(name, "value", "1"),
        );
    }
    files.extend(chart("chart", "hello"));
    for environment in ["test", "prod"] {
        files.insert(
            format!("chart/values-{environment}.yaml"),
            format!("greeting: {environment}\n"),
        );
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let first = scene.repo.commit("first", &files)?;
    let mut apps = Vec::new();
    for name in ["one", "two", "three"] {
        apps.push(scene.app(name).automated().create().await?);
    }
    for environment in ["test", "prod"] {
        let app = scene.app(environment).path("chart").automated();
        let app = app.set("/spec/source/helm/releaseName", environment).set(
            "/spec/source/helm/valueFiles",
            vec![format!("values-{environment}.yaml")],
        );
        apps.push(app.create().await?);
    }
    for app in &apps {
        app.settled(&first).await?;
    }
    let objects = ["one", "two", "three", "test-settings", "prod-settings"];

    // One plain file, then one environment's values in a chart's folder: each the input of one application.
    for (changed, path, content) in [
        (1, "two/config.yaml", config_map("two", "value", "2")),
        (
            4,
            "chart/values-prod.yaml",
            "greeting: good day\n".to_owned(),
        ),
    ] {
        let before = look(&scene, &apps, &objects).await?;
        let commit = scene
            .push("one application's file", &[(path, &content)])
            .await?;
        apps[changed].settled(&commit).await?;
        verified(&bus, &scene.repo, &commit).await?;
        let after = look(&scene, &apps, &objects).await?;
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            if index == changed {
                assert_ne!(before.version, after.version, "{path} changed nothing");
                let more: Vec<_> = before
                    .work
                    .iter()
                    .zip(after.work)
                    .map(|(a, b)| b - a)
                    .collect();
                assert_eq!(more, [1, 1, 1], "published, rendered, released for {path}");
            } else {
                assert_eq!(before, after, "{path} touched {}", objects[index]);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_outside_of_every_application_costs_no_render() -> anyhow::Result<()> {
    let scene = Scene::new("outside").await?;
    let bus = scene.towline.bus().await?;
    let first = scene.repo.commit(
        "first",
        &[("web/config.yaml", &config_map("web", "value", "1"))],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&first).await?;
    let before = work_of(scene.towline, &app).await?;
    let fetches = scene.towline.stack().git.fetches(&scene.repo);
    let commit = scene.push("a text", &[("README.md", "hello\n")]).await?;
    verified(&bus, &scene.repo, &commit).await?;
    assert_eq!(before, work_of(scene.towline, &app).await?);
    // A fetch is one request for a pack, or two when the client first says what it has.
    assert!(scene.towline.stack().git.fetches(&scene.repo) > fetches);
    Ok(())
}

#[tokio::test]
async fn one_fetch_serves_all_applications_of_a_repository() -> anyhow::Result<()> {
    let scene = Scene::new("fetch").await?;
    let bus = scene.towline.bus().await?;
    let names: Vec<String> = (0..8).map(|number| format!("app{number}")).collect();
    let manifests: Vec<(String, String)> = names
        .iter()
        .map(|name| {
            (
                format!("{name}/config.yaml"),
                config_map(name, "value", "1"),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = manifests
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let first = scene.repo.commit("first", &files)?;
    let mut apps = Vec::new();
    for name in &names {
        apps.push(scene.app(name).automated().create().await?);
    }
    for app in &apps {
        app.settled(&first).await?;
    }
    let git = &scene.towline.stack().git;
    let before = git.fetches(&scene.repo);
    let changed: Vec<(&str, String)> = manifests
        .iter()
        .map(|(path, _)| {
            (
                path.as_str(),
                config_map(path.split('/').next().unwrap_or_default(), "value", "2"),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = changed.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let commit = scene.push("all", &files).await?;
    for app in &apps {
        app.settled(&commit).await?;
    }
    verified(&bus, &scene.repo, &commit).await?;
    let fetched = git.fetches(&scene.repo) - before;
    assert!(fetched <= 2, "{fetched} requests for packs, for one commit");
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Look {
    version: String,
    /// Published, rendered, released.
    work: [usize; 3],
}

async fn look(scene: &Scene<'_>, apps: &[App<'_>], objects: &[&str]) -> anyhow::Result<Vec<Look>> {
    let mut looks = Vec::new();
    for (app, object) in apps.iter().zip(objects) {
        let live = scene.live("ConfigMap", object).await?;
        looks.push(Look {
            version: live["metadata"]["resourceVersion"].to_string(),
            work: work_of(scene.towline, app).await?,
        });
    }
    Ok(looks)
}
