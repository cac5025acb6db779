//! Waves and hooks: what comes before what.

use tests::Scene;
use tests::app::text;
use tests::manifest::{annotated_config_map, config_map, deployment, job};

const WAVE: &str = "argocd.argoproj.io/sync-wave";
const HOOK: &str = "argocd.argoproj.io/hook";
const POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// The stack's pods start so much later.
const SLOW: &str = "      annotations: {towline.dev/demo-delay: 2s}\n";

#[tokio::test]
async fn a_wave_waits_for_the_health_of_the_one_before() -> anyhow::Result<()> {
    let scene = Scene::new("waves").await?;
    let slow = deployment("web", "example.org/web:1").replace(
        "      labels: {app: web}\n",
        &format!("      labels: {{app: web}}\n{SLOW}"),
    );
    assert!(slow.contains(SLOW));
    let commit = scene.repo.commit(
        "first",
        &[
            (
                "web/a-last.yaml",
                &annotated_config_map("last", "x", &[(WAVE, "1")]),
            ),
            ("web/b-middle.yaml", &slow),
            (
                "web/c-first.yaml",
                &annotated_config_map("first", "x", &[(WAVE, "-1")]),
            ),
        ],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&commit).await?;
    let created =
        |object: &serde_json::Value| text(object, "/metadata/creationTimestamp").to_owned();
    let first = created(&scene.live("ConfigMap", "first").await?);
    let last = created(&scene.live("ConfigMap", "last").await?);
    let web = scene.live("Deployment", "web").await?;
    let conditions = web["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let available = conditions
        .iter()
        .find(|one| one["type"] == "Available")
        .map(|one| text(one, "/lastTransitionTime").to_owned());
    let available = available.unwrap_or_default();
    assert!(
        first <= created(&web),
        "first {first}, web {}",
        created(&web)
    );
    assert!(
        created(&web) < available,
        "the Deployment was not slow: {available}"
    );
    assert!(available <= last, "available {available}, last {last}");
    Ok(())
}

#[tokio::test]
async fn hooks_run_before_and_after_and_are_deleted_as_they_say() -> anyhow::Result<()> {
    let scene = Scene::new("hooks").await?;
    let before = job(
        "before",
        &[(HOOK, "PreSync"), (POLICY, "BeforeHookCreation")],
    );
    let before = before.replace(
        "  template:\n",
        "  template:\n    metadata:\n      annotations: {towline.dev/demo-delay: 2s}\n",
    );
    let after = job("after", &[(HOOK, "PostSync"), (POLICY, "HookSucceeded")]);
    let commit = scene.repo.commit(
        "first",
        &[
            ("web/config.yaml", &config_map("settings", "value", "1")),
            ("web/before.yaml", &before),
            ("web/after.yaml", &after),
        ],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.settled(&commit).await?;
    let ended = app
        .until("an operation that succeeded", |app| {
            text(app, "/status/operationState/phase") == "Succeeded"
        })
        .await?;

    let hook = scene.live("Job", "before").await?;
    let completed = text(&hook, "/status/completionTime").to_owned();
    let config = scene.live("ConfigMap", "settings").await?;
    let created = text(&config, "/metadata/creationTimestamp");
    assert!(
        !completed.is_empty() && completed.as_str() <= created,
        "hook {completed}, object {created}"
    );
    scene.gone("Job", "after").await?;
    let results = ended["status"]["operationState"]["syncResult"]["resources"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let phase = |name: &str| {
        let found = results.iter().find(|result| result["name"] == name);
        found.map(|result| {
            (
                text(result, "/hookType").to_owned(),
                text(result, "/hookPhase").to_owned(),
            )
        })
    };
    assert_eq!(
        phase("before"),
        Some(("PreSync".to_owned(), "Succeeded".to_owned())),
        "{results:?}"
    );
    assert_eq!(
        phase("after"),
        Some(("PostSync".to_owned(), "Succeeded".to_owned())),
        "{results:?}"
    );

    // The next release makes its own.
    let commit = scene
        .push(
            "next",
            &[("web/config.yaml", &config_map("settings", "value", "2"))],
        )
        .await?;
    app.settled(&commit).await?;
    let again = scene.live("Job", "before").await?;
    assert_ne!(hook["metadata"]["uid"], again["metadata"]["uid"]);
    Ok(())
}

#[tokio::test]
async fn a_hook_that_fails_keeps_the_release_from_going_on() -> anyhow::Result<()> {
    let scene = Scene::new("hook-fails").await?;
    let failing = job(
        "before",
        &[(HOOK, "PreSync"), (POLICY, "BeforeHookCreation")],
    );
    let failing = failing.replace(
        "  template:\n",
        "  template:\n    metadata:\n      annotations: {towline.dev/demo-fail: exit}\n",
    );
    scene.repo.commit(
        "first",
        &[
            ("web/config.yaml", &config_map("settings", "value", "1")),
            ("web/before.yaml", &failing),
        ],
    )?;
    let app = scene.app("web").automated().create().await?;
    app.until("a failed operation that names the hook", |app| {
        text(app, "/status/operationState/phase") == "Failed"
            && text(app, "/status/operationState/message").contains("before")
    })
    .await?;
    assert_eq!(
        scene
            .cluster
            .find("ConfigMap", scene.namespace(), "settings")
            .await?,
        None
    );

    let mended = job(
        "before",
        &[(HOOK, "PreSync"), (POLICY, "BeforeHookCreation")],
    );
    let commit = scene
        .push("mended", &[("web/before.yaml", &mended)])
        .await?;
    app.settled(&commit).await?;
    scene.config("settings", "value", "1").await?;
    Ok(())
}
