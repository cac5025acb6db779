//! Where the demo plays: a running Towline, its repository, and eyes on both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bus::message::state::{HealthStatus, SyncStatus};
use bus::{AppId, Generation, ReleaseId};
use monitor::view::{Summary, View};

use super::repository::{Pushed, Repository};
use crate::client::{Client, kubeconfig_token};
use crate::up::{Towline, control};

const WITHIN: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Everything that a step needs.
pub(super) struct Stage {
    pub client: Client,
    pub cluster: kube::Client,
    pub repository: Repository,
    webhook: String,
    metrics: Vec<(String, String)>,
    http: reqwest::Client,
}

/// What must not change when something else does: releases and generations by application, and renders in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footprint {
    pub releases: BTreeMap<AppId, (Option<ReleaseId>, Option<Generation>)>,
    pub renders: u64,
}

impl Stage {
    pub(super) async fn set(towline: &Towline, repository: Repository) -> anyhow::Result<Self> {
        let state = &towline.state;
        let token = kubeconfig_token(state.kubeconfig.as_deref()).await?;
        Ok(Self {
            client: Client::new(&state.monitor, token, state.namespace.clone())?,
            cluster: control::client(state.kubeconfig.as_deref()).await?,
            repository,
            webhook: state.webhook.clone(),
            metrics: state
                .services
                .iter()
                .map(|service| (service.name.clone(), service.admin.clone()))
                .collect(),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()?,
        })
    }

    pub(super) fn app(&self, name: &str) -> anyhow::Result<AppId> {
        self.client.app(name)
    }

    /// Tells Towline of a push, as the Git host would.
    pub(super) async fn announce(&self, pushed: &Pushed) -> anyhow::Result<()> {
        let body = serde_json::json!({
            "ref": "refs/heads/main",
            "after": pushed.commit,
            "repository": {
                "html_url": self.repository.url,
                "clone_url": self.repository.url,
                "default_branch": "main",
            },
        });
        let answer = self
            .http
            .post(&self.webhook)
            .header("X-GitHub-Event", "push")
            .json(&body)
            .send()
            .await
            .context("calling the webhook")?;
        if !answer.status().is_success() {
            bail!(
                "the webhook answered {}: {}",
                answer.status(),
                answer.text().await.unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Waits until `check` finds in the applications what it looks for; `goal` names it in the error.
    pub(super) async fn until<T>(
        &self,
        goal: &str,
        mut check: impl FnMut(&[Summary]) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            let seen = match self.client.applications().await {
                Ok(list) => match check(&list) {
                    Ok(found) => return Ok(found),
                    Err(seen) => seen,
                },
                Err(error) => format!("{error:#}"),
            };
            if begun.elapsed() > WITHIN {
                bail!(
                    "expected: {goal}; seen after {} s: {seen}",
                    WITHIN.as_secs()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until `check` holds of one application.
    pub(super) async fn until_app(
        &self,
        name: &str,
        goal: &str,
        mut check: impl FnMut(&View) -> bool,
    ) -> anyhow::Result<View> {
        let app = self.app(name)?;
        let begun = Instant::now();
        loop {
            let seen = match self.client.application(&app).await {
                Ok(view) if check(&view) => return Ok(view),
                Ok(view) => format!(
                    "{} {}: {} (release {:?}, conditions {:?})",
                    view.sync.as_str(),
                    view.health.status.as_str(),
                    view.health.message,
                    view.operation
                        .as_ref()
                        .map(|operation| (operation.release.0, operation.phase)),
                    view.conditions
                        .iter()
                        .map(|condition| &condition.message)
                        .collect::<Vec<_>>()
                ),
                Err(error) => format!("{error:#}"),
            };
            if begun.elapsed() > WITHIN {
                bail!(
                    "expected of {app}: {goal}; seen after {} s: {seen}",
                    WITHIN.as_secs()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until an application is live at a commit, Synced and Healthy.
    pub(super) async fn until_healthy_at(&self, name: &str, commit: &str) -> anyhow::Result<View> {
        self.until_app(
            name,
            &format!("Synced and Healthy at {}", &commit[..8]),
            |view| {
                is_settled(&view.summary())
                    && view.history.last().is_some_and(|entry| {
                        entry.revisions.iter().any(|revision| revision == commit)
                    })
            },
        )
        .await
    }

    pub(super) async fn footprint(&self) -> anyhow::Result<Footprint> {
        let mut releases = BTreeMap::new();
        for summary in self.client.applications().await? {
            let view = self.client.application(&summary.app).await?;
            releases.insert(
                summary.app,
                (
                    view.operation.as_ref().map(|operation| operation.release),
                    view.generation,
                ),
            );
        }
        Ok(Footprint {
            releases,
            renders: self.metric("renderer", "towline_renders_total").await?,
        })
    }

    /// The sum of a counter over its labels.
    async fn metric(&self, service: &str, name: &str) -> anyhow::Result<u64> {
        let (_, admin) = self
            .metrics
            .iter()
            .find(|(known, _)| known == service)
            .context("no such service")?;
        let text = self
            .http
            .get(format!("{admin}/metrics"))
            .send()
            .await?
            .text()
            .await?;
        let values = text
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name));
        let sum: f64 = values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter of renders is a small whole number"
        )]
        Ok(sum as u64)
    }
}

pub(super) fn is_settled(app: &Summary) -> bool {
    app.sync == SyncStatus::Synced && app.health.status == HealthStatus::Healthy
}
