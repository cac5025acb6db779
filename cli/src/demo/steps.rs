//! What the demo shows, one function a step. A step that returns held; an error says what was expected and what was seen.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use bus::message::command::Action;
use bus::message::state::{HealthStatus, PinUntil};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};

use super::show;
use super::stage::{Stage, is_settled};

/// The root application and two environments of six services.
const APPLICATIONS: usize = 13;
const SECRET_VALUE_LENGTH: usize = 32;

/// (a) All applications become healthy.
pub(super) async fn all_healthy(stage: &Stage, begun: Instant) -> anyhow::Result<()> {
    show::step(
        'a',
        "one push: six services in two environments become healthy",
    );
    let pushed = stage
        .repository
        .push("Ada Keeper", "Describe the observatory")
        .await?;
    let root = stage.repository.read("root.yaml")?;
    let root: api::Application = serde_saphyr::from_str(&root).context("reading root.yaml")?;
    let applications: Api<api::Application> = Api::namespaced(stage.cluster.clone(), "argocd");
    applications
        .create(&kube::api::PostParams::default(), &root)
        .await
        .context("applying root.yaml")?;
    let list = stage
        .until("13 applications, all Synced and Healthy", |list| {
            let settled = list.iter().filter(|app| is_settled(app)).count();
            if list.len() == APPLICATIONS && settled == APPLICATIONS {
                return Ok(list.to_vec());
            }
            let waiting = list.iter().filter(|app| !is_settled(app));
            let waiting: Vec<String> = waiting
                .map(|app| {
                    format!(
                        "{} {} {} {}",
                        app.app.name(),
                        app.sync.as_str(),
                        app.health.status.as_str(),
                        app.health.message
                    )
                })
                .collect();
            Err(format!(
                "{} applications, not settled: {}",
                list.len(),
                waiting.join("; ")
            ))
        })
        .await?;
    for app in list.iter().filter(|app| app.environment == "summit") {
        show::timeline(&stage.client.application(&app.app).await?, pushed.at);
    }
    let secret: Secret = Api::namespaced(stage.cluster.clone(), "alert-relay-summit")
        .get("alert-relay")
        .await?;
    let token = secret
        .data
        .unwrap_or_default()
        .remove("token")
        .context("the Secret has no token")?;
    ensure!(
        token.0.len() == SECRET_VALUE_LENGTH,
        "the Secret's token is not the one in Vault"
    );
    show::held(&format!(
        "{APPLICATIONS} applications Synced and Healthy, the Secret filled from Vault, {:.1} s after the start",
        begun.elapsed().as_secs_f32()
    ));
    Ok(())
}

/// (b) A commit costs what it changes.
pub(super) async fn one_change(stage: &Stage, begun: Instant) -> anyhow::Result<()> {
    show::step('b', "a commit that changes one service in one environment");
    let before = stage.footprint().await?;
    stage.repository.edit(
        "services/image-archive/values-summit.yaml",
        "retentionDays: 365",
        "retentionDays: 730",
    )?;
    let pushed = stage
        .repository
        .push("Grace Nightshift", "Keep the summit's images for two years")
        .await?;
    stage.announce(&pushed).await?;
    let view = stage
        .until_healthy_at("image-archive-summit", &pushed.commit)
        .await?;
    show::timeline(&view, pushed.at);
    let live: ConfigMap = Api::namespaced(stage.cluster.clone(), "image-archive-summit")
        .get("image-archive")
        .await?;
    let text = live
        .data
        .unwrap_or_default()
        .remove("archive.yaml")
        .unwrap_or_default();
    ensure!(
        text.contains("retentionDays: 730"),
        "the live ConfigMap still says {text:?}"
    );
    show::held(&format!(
        "live, {:.1} s after the start",
        begun.elapsed().as_secs_f32()
    ));

    let after = stage.footprint().await?;
    let changed: Vec<String> = after
        .releases
        .iter()
        .filter(|(app, release)| before.releases.get(app) != Some(release))
        .map(|(app, _)| app.name().to_owned())
        .collect();
    ensure!(
        changed == ["image-archive-summit"],
        "released again: {}",
        changed.join(", ")
    );
    let renders = after.renders - before.renders;
    ensure!(renders == 1, "{renders} renders instead of 1");
    show::held(&format!(
        "1 render, 1 release; {} applications were not touched",
        APPLICATIONS - 1
    ));
    Ok(())
}

/// (c) A bad release is seen for what it is, and its revert doesn't wait for it.
pub(super) async fn bad_release(stage: &Stage) -> anyhow::Result<()> {
    show::step('c', "a bad release, and its revert");
    let file = "services/dome-control/summit/deployment.yaml";
    stage
        .repository
        .edit(file, "dome-control:2.4.0", "dome-control:2.5.0-broken")?;
    let pushed = stage
        .repository
        .push("Lin Eager", "Try the new dome control")
        .await?;
    stage.announce(&pushed).await?;
    let view = stage
        .until_app(
            "dome-control-summit",
            "Degraded, with the pods' reason",
            |view| {
                view.health.status == HealthStatus::Degraded
                    && view.health.message.contains("CrashLoopBackOff")
            },
        )
        .await?;
    show::timeline(&view, pushed.at);
    show::held(&format!("Degraded: {}", view.health.message));
    let others = stage.client.applications().await?;
    let sick: Vec<&str> = others
        .iter()
        .filter(|app| {
            !is_settled(app)
                && app.service != "observatory"
                && app.app.name() != "dome-control-summit"
        })
        .map(|app| app.app.name())
        .collect();
    ensure!(sick.is_empty(), "others suffer: {}", sick.join(", "));

    let reverted = stage.repository.revert("Ada Keeper").await?;
    stage.announce(&reverted).await?;
    let view = stage
        .until_healthy_at("dome-control-summit", &reverted.commit)
        .await?;
    show::timeline(&view, reverted.at);
    show::held("the revert took over: Synced and Healthy");
    Ok(())
}

/// (d) What is edited by hand comes back.
pub(super) async fn hand_edit(stage: &Stage) -> anyhow::Result<()> {
    show::step('d', "an object edited by hand");
    let maps: Api<ConfigMap> = Api::namespaced(stage.cluster.clone(), "dome-control-summit");
    let edit = serde_json::json!({"data": {"wind-limit": "99"}});
    let at = Instant::now();
    let edited = maps
        .patch(
            "dome-control",
            &PatchParams {
                field_manager: Some("kubectl-edit".into()),
                ..PatchParams::default()
            },
            &Patch::Merge(&edit),
        )
        .await
        .context("editing the ConfigMap")?;
    let edited_version = edited.metadata.resource_version;
    let healed =
        kube::runtime::wait::await_condition(maps, "dome-control", |map: Option<&ConfigMap>| {
            map.is_some_and(|map| {
                map.metadata.resource_version != edited_version
                    && map
                        .data
                        .as_ref()
                        .and_then(|data| data.get("wind-limit"))
                        .is_some_and(|value| value == "18")
            })
        });
    if tokio::time::timeout(std::time::Duration::from_mins(1), healed)
        .await
        .is_err()
    {
        bail!("expected wind-limit to be 18 again; it is not after 60 s");
    }
    show::held(&format!(
        "wind-limit set to 99 by hand, back at 18 after {} ms",
        at.elapsed().as_millis()
    ));
    stage
        .until_app("dome-control-summit", "Synced and Healthy", |view| {
            is_settled(&view.summary())
        })
        .await?;
    Ok(())
}

/// (e) Going back is one command, holds, and ends by another.
pub(super) async fn rollback(stage: &Stage) -> anyhow::Result<()> {
    show::step('e', "a rollback by command, pinned, and its unpin");
    let name = "night-log-summit";
    let app = stage.app(name)?;
    let base = "services/night-log/base/deployment.yaml";
    stage
        .repository
        .edit(base, "night-log:0.9.4", "night-log:0.9.5")?;
    let newer = stage
        .repository
        .push("Lin Eager", "Night log 0.9.5")
        .await?;
    stage.announce(&newer).await?;
    let view = stage.until_healthy_at(name, &newer.commit).await?;
    let good = view
        .history
        .iter()
        .rev()
        .nth(1)
        .context("no release to go back to")?
        .release;

    let at = Instant::now();
    stage
        .client
        .command(
            &app,
            &Action::Rollback {
                release: Some(good),
                until: PinUntil::Unpinned,
            },
        )
        .await?;
    stage
        .until_app(name, "pinned", |view| {
            view.pin.is_some() && view.health.status == HealthStatus::Healthy
        })
        .await?;
    let images = live_image(stage, name).await?;
    ensure!(
        images.ends_with("0.9.4"),
        "expected image 0.9.4 to be live, seen {images}"
    );
    show::held(&format!(
        "back at release {good} and pinned after {} ms: {images}",
        at.elapsed().as_millis()
    ));

    stage
        .repository
        .edit(base, "night-log:0.9.5", "night-log:0.9.6")?;
    let held_back = stage
        .repository
        .push("Lin Eager", "Night log 0.9.6")
        .await?;
    stage.announce(&held_back).await?;
    stage
        .until_healthy_at("night-log-test", &held_back.commit)
        .await?;
    stage
        .until_app(name, "the newer commit known, the pin kept", |view| {
            view.pin.is_some()
                && view
                    .sources
                    .iter()
                    .any(|source| source.revision.as_deref() == Some(&*held_back.commit))
        })
        .await?;
    let images = live_image(stage, name).await?;
    ensure!(
        images.ends_with("0.9.4"),
        "the pin did not hold: {images} is live"
    );
    show::held("a newer commit went to the test stand; the summit stays where it is pinned");

    stage.client.command(&app, &Action::Unpin).await?;
    let view = stage.until_healthy_at(name, &held_back.commit).await?;
    ensure!(view.pin.is_none(), "still pinned after the unpin");
    let images = live_image(stage, name).await?;
    ensure!(
        images.ends_with("0.9.6"),
        "expected image 0.9.6 to be live, seen {images}"
    );
    show::held(&format!("unpinned: {images}"));
    Ok(())
}

async fn live_image(stage: &Stage, namespace: &str) -> anyhow::Result<String> {
    let deployment: Deployment = Api::namespaced(stage.cluster.clone(), namespace)
        .get("night-log")
        .await?;
    let pod = deployment
        .spec
        .template
        .spec
        .context("the Deployment has no pod template")?;
    pod.containers
        .into_iter()
        .next()
        .and_then(|container| container.image)
        .context("the Deployment has no image")
}
