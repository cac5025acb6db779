//! Releases that go wrong or take long, and what comes after them.

use bus::message::event::EventKind;
use tests::Scene;
use tests::app::{condition, health, text};
use tests::events::said;
use tests::manifest::{annotated_config_map, config_map, deployment};

#[tokio::test]
async fn a_newer_revision_overtakes_a_release_that_waits() -> anyhow::Result<()> {
    let scene = Scene::new("overtake").await?;
    let file = |image: &str| {
        deployment("web", image)
            .replace("progressDeadlineSeconds: 4", "progressDeadlineSeconds: 600")
    };
    let behind = |value: &str| {
        annotated_config_map("behind", value, &[("argocd.argoproj.io/sync-wave", "1")])
    };
    let first = scene.repo.commit(
        "first",
        &[
            ("web/web.yaml", &file("example.org/web:1")),
            ("web/behind.yaml", &behind("1")),
        ],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&first).await?;
    let second = scene
        .push(
            "broken",
            &[
                ("web/web.yaml", &file("example.org/web:2-broken")),
                ("web/behind.yaml", &behind("2")),
            ],
        )
        .await?;
    app.until("a release of the broken revision that waits", |app| {
        text(app, "/status/operationState/phase") == "Running"
            && text(app, "/status/operationState/operation/sync/revision") == second
    })
    .await?;
    let third = scene
        .push(
            "mended",
            &[
                ("web/web.yaml", &file("example.org/web:3")),
                ("web/behind.yaml", &behind("3")),
            ],
        )
        .await?;
    app.settled(&third).await?;
    scene.config("behind", "value", "3").await?;
    said(scene.towline, &app, EventKind::ReleaseSuperseded).await?;
    Ok(())
}

#[tokio::test]
async fn a_bad_release_is_degraded_with_the_pods_own_reason() -> anyhow::Result<()> {
    for (tag, reason) in [
        ("2-broken", "CrashLoopBackOff"),
        ("2-missing", "ImagePullBackOff"),
    ] {
        let scene = Scene::new("bad").await?;
        let first = scene.repo.commit(
            "first",
            &[("web/web.yaml", &deployment("web", "example.org/web:1"))],
        )?;
        let app = scene.app("web").automated().create().await?;
        app.settled(&first).await?;
        scene
            .push(
                "bad",
                &[(
                    "web/web.yaml",
                    &deployment("web", &format!("example.org/web:{tag}")),
                )],
            )
            .await?;
        let bad = app
            .until(&format!("Degraded for {reason}"), |app| {
                let resources = app["status"]["resources"].to_string();
                health(app) == "Degraded"
                    && (resources.contains(reason)
                        || text(app, "/status/health/message").contains(reason))
            })
            .await?;
        assert_eq!(text(&bad, "/status/sync/status"), "Synced");
        let commit = scene.repo.revert()?;
        scene.tell(&commit).await?;
        app.settled(&commit).await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_applications_that_want_one_object_are_told_so() -> anyhow::Result<()> {
    let scene = Scene::new("shared").await?;
    let commit = scene.repo.commit(
        "first",
        &[
            ("one/config.yaml", &config_map("settings", "value", "1")),
            ("two/config.yaml", &config_map("settings", "value", "2")),
        ],
    )?;
    let one = scene.app("one").automated().create().await?;
    one.settled(&commit).await?;
    let two = scene.app("two").automated().create().await?;
    two.until(
        "a SharedResourceWarning or SyncError about ConfigMap settings",
        |app| {
            ["SharedResourceWarning", "SyncError"].iter().any(|kind| {
                condition(app, kind).is_some_and(|message| message.contains("settings"))
            })
        },
    )
    .await?;
    Ok(())
}
