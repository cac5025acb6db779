//! Telling of a push as GitHub does.

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, StatusCode};
use serde_json::json;
use sha2::Sha256;

use super::repo::Repo;

/// Where to, and signed with what.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub url: String,
    pub secret: Option<String>,
}

impl Webhook {
    /// Tells of a push that moved the branch to `commit`, and insists on being heard.
    pub async fn push(&self, repo: &Repo, commit: &str) -> anyhow::Result<()> {
        let status = self.send(repo, commit).await?;
        anyhow::ensure!(status.is_success(), "the webhook was answered {status}");
        Ok(())
    }

    /// The same, whatever the answer.
    pub async fn send(&self, repo: &Repo, commit: &str) -> anyhow::Result<StatusCode> {
        let page = repo.url().trim_end_matches(".git");
        let body = json!({
            "ref": format!("refs/heads/{}", Repo::BRANCH),
            "before": "0000000000000000000000000000000000000000",
            "after": commit,
            "repository": {
                "name": page.rsplit('/').next(),
                "html_url": page,
                "clone_url": repo.url(),
                "default_branch": Repo::BRANCH,
            },
            "pusher": { "name": "ada" },
            "commits": [],
        })
        .to_string();
        let mut request = Client::builder()
            .no_proxy()
            .build()?
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("X-GitHub-Event", "push")
            .header(
                "X-GitHub-Delivery",
                format!("{:032x}", rand::random::<u128>()),
            );
        if let Some(secret) = &self.secret {
            request = request.header("X-Hub-Signature-256", signature(secret, &body)?);
        }
        let answer = request
            .body(body)
            .send()
            .await
            .context("sending the webhook")?;
        Ok(answer.status())
    }
}

fn signature(secret: &str, body: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body.as_bytes());
    Ok(format!(
        "sha256={}",
        hex::encode(mac.finalize().into_bytes())
    ))
}
