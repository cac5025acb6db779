//! What breaks on the way, and that a commit arrives all the same. Each test has a Towline of its own to break.

use std::process::Stdio;

use bus::message::event::EventKind;
use tests::app::condition;
use tests::events::{said, work_of};
use tests::manifest::{config_map, deployment};
use tests::scene::own;
use tests::wait::{check, until};
use tests::{Deletions, Scene};

const KINDS: &[&str] = &["ConfigMap", "Deployment"];
const OBJECTS: usize = 40;

/// One file with many `ConfigMap`s of this value, and a `Deployment` behind them.
fn many(value: &str) -> String {
    let maps = (0..OBJECTS).map(|number| config_map(&format!("part-{number}"), "value", value));
    let mut documents: Vec<String> = maps.collect();
    documents.push(deployment("web", &format!("example.org/web:{value}")));
    documents.join("---\n")
}

#[tokio::test]
async fn an_applier_killed_during_a_release_finishes_it_when_it_is_back() -> anyhow::Result<()> {
    let towline = own("kill-applier").await?;
    let scene = Scene::on(&towline, "kill-applier").await?;
    let first = scene
        .repo
        .commit("first", &[("web/all.yaml", &many("1"))])?;
    let app = scene.app("web").strict().create().await?;
    app.settled(&first).await?;
    let deletions = Deletions::watch(&scene.cluster, scene.namespace(), KINDS).await?;
    for value in ["2", "3"] {
        let commit = scene.push(value, &[("web/all.yaml", &many(value))]).await?;
        // As soon as the first object is new, the others are on their way.
        until("the release has begun", || async {
            for number in 0..OBJECTS {
                let live = scene.live("ConfigMap", &format!("part-{number}")).await?;
                if live["data"]["value"] == value {
                    return Ok(());
                }
            }
            anyhow::bail!("no object has {value}")
        })
        .await?;
        let pid = towline.kill_service("applier")?;
        towline.restarted("applier", pid).await?;
        app.settled(&commit).await?;
        for number in 0..OBJECTS {
            scene
                .config(&format!("part-{number}"), "value", value)
                .await?;
        }
    }
    deletions.none()
}

#[tokio::test]
async fn a_renderer_killed_during_a_render_renders_when_it_is_back() -> anyhow::Result<()> {
    let towline = own("kill-renderer").await?;
    let scene = Scene::on(&towline, "kill-renderer").await?;
    let first = scene
        .repo
        .commit("first", &[("web/all.yaml", &many("1"))])?;
    let app = scene.app("web").strict().create().await?;
    app.settled(&first).await?;
    let deletions = Deletions::watch(&scene.cluster, scene.namespace(), KINDS).await?;
    for value in ["2", "3"] {
        let commit = scene.push(value, &[("web/all.yaml", &many(value))]).await?;
        let pid = towline.kill_service("renderer")?;
        towline.restarted("renderer", pid).await?;
        app.settled(&commit).await?;
        scene.config("part-0", "value", value).await?;
    }
    deletions.none()
}

#[tokio::test]
async fn every_other_service_can_be_killed_too() -> anyhow::Result<()> {
    let towline = own("kill-all").await?;
    let scene = Scene::on(&towline, "kill-all").await?;
    let first = scene
        .repo
        .commit("first", &[("web/all.yaml", &many("1"))])?;
    let app = scene.app("web").strict().create().await?;
    app.settled(&first).await?;
    let deletions = Deletions::watch(&scene.cluster, scene.namespace(), KINDS).await?;
    for (value, service) in [("2", "watcher"), ("3", "monitor"), ("4", "secrets-agent")] {
        let pid = towline.kill_service(service)?;
        let commit = scene
            .repo
            .commit(value, &[("web/all.yaml", &many(value))])?;
        towline.restarted(service, pid).await?;
        until("the webhook is heard", || async {
            scene.tell(&commit).await
        })
        .await?;
        app.settled(&commit).await?;
    }
    deletions.none()
}

#[tokio::test]
async fn a_wiped_broker_loses_nothing_and_a_pin_stays_pinned() -> anyhow::Result<()> {
    let mut towline = own("wiped").await?;
    let (name, commit, deletions);
    {
        let scene = Scene::on(&towline, "wiped").await?;
        let one = |value: &str| config_map("pinned", "value", value);
        let two = |value: &str| config_map("free", "value", value);
        let first = scene.repo.commit(
            "1",
            &[
                ("pinned/config.yaml", &one("1")),
                ("free/all.yaml", &two("1")),
            ],
        )?;
        let pinned = scene.app("pinned").strict().create().await?;
        let free = scene.app("free").strict().create().await?;
        pinned.settled(&first).await?;
        free.settled(&first).await?;
        let second = scene
            .push("2", &[("pinned/config.yaml", &one("2"))])
            .await?;
        pinned.settled(&second).await?;
        pinned.command("rollback", &["--no-wait"]).await?;
        scene.config("pinned", "value", "1").await?;
        pinned.condition("Pinned", &[]).await?;
        deletions = Deletions::watch(&scene.cluster, scene.namespace(), KINDS).await?;
        name = scene.name.clone();
    }
    towline.nats.kill().await;
    towline.nats.wipe()?;
    // What is committed meanwhile arrives afterwards.
    let scene = Scene::again(&towline, &name).await?;
    commit = scene
        .repo
        .commit("3", &[("free/all.yaml", &config_map("free", "value", "3"))])?;
    drop(scene);
    towline.nats.start_again().await?;

    let scene = Scene::again(&towline, &name).await?;
    until("the webhook is heard", || async {
        scene.tell(&commit).await
    })
    .await?;
    let free = tests::App::existing(&scene, &format!("{name}-free"));
    let pinned = tests::App::existing(&scene, &format!("{name}-pinned"));
    free.settled(&commit).await?;
    scene.config("free", "value", "3").await?;
    pinned
        .until("pinned", |app| condition(app, "Pinned").is_some())
        .await?;
    assert_eq!(
        scene.live("ConfigMap", "pinned").await?["data"]["value"],
        "1"
    );

    // It is all there again: a rollback's history, and the way forward.
    pinned.command("unpin", &["--no-wait"]).await?;
    scene.config("pinned", "value", "2").await?;
    pinned.is("Synced", "Healthy").await?;
    deletions.none()
}

#[tokio::test]
async fn a_broker_that_is_away_for_a_while_changes_nothing() -> anyhow::Result<()> {
    let mut towline = own("away").await?;
    let (name, commit, deletions);
    {
        let scene = Scene::on(&towline, "away").await?;
        let first = scene
            .repo
            .commit("first", &[("web/all.yaml", &many("1"))])?;
        let app = scene.app("web").strict().create().await?;
        app.settled(&first).await?;
        deletions = Deletions::watch(&scene.cluster, scene.namespace(), KINDS).await?;
        name = scene.name.clone();
    }
    towline.nats.kill().await;
    {
        let scene = Scene::again(&towline, &name).await?;
        commit = scene
            .repo
            .commit("second", &[("web/all.yaml", &many("2"))])?;
        // Nobody has to listen now.
        let _ = scene.tell(&commit).await;
    }
    towline.nats.start_again().await?;
    let scene = Scene::again(&towline, &name).await?;
    until("the webhook is heard", || async {
        scene.tell(&commit).await
    })
    .await?;
    tests::App::existing(&scene, &format!("{name}-web"))
        .settled(&commit)
        .await?;
    deletions.none()
}

#[tokio::test]
async fn two_renderers_that_race_end_at_the_newest_commit() -> anyhow::Result<()> {
    let towline = own("race").await?;
    let scene = Scene::on(&towline, "race").await?;
    let log = std::fs::File::create(towline.folder().join("second-renderer.log"))?;
    let mut second = tokio::process::Command::new(&towline.options.executable)
        .args(towline.arguments_of("renderer")?)
        .envs(towline.environment_of("renderer")?)
        .env("TOWLINE_NATS", towline.nats.url())
        .env(
            "TOWLINE_NATS_SEED",
            towline.keys.folder().join("renderer.nk"),
        )
        .env("TOWLINE_ADMIN_ADDRESS", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    let log = towline.folder().join("second-renderer.log");
    until("the second renderer has started", || async {
        let text = std::fs::read_to_string(&log)?;
        check(text.contains("renderer started"), || text)
    })
    .await?;

    let first = scene.repo.commit("0", &[("web/all.yaml", &many("0"))])?;
    let app = scene.app("web").strict().create().await?;
    app.settled(&first).await?;
    let deletions = Deletions::watch(&scene.cluster, scene.namespace(), KINDS).await?;
    let mut newest = String::new();
    for round in 1..=20 {
        newest = scene
            .push("race", &[("web/all.yaml", &many(&round.to_string()))])
            .await?;
    }
    app.settled(&newest).await?;
    scene.config("part-7", "value", "20").await?;
    said(scene.towline, &app, EventKind::RenderSucceeded).await?;
    let [published, rendered, released] = work_of(scene.towline, &app).await?;
    assert!(
        released <= published + 1 && rendered <= published + 1,
        "{published} {rendered} {released}"
    );
    assert!(second.try_wait()?.is_none(), "the second renderer ended");
    deletions.none()
}
