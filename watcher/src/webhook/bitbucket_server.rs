//! Bitbucket Server and Data Center: `repo:refs_changed`, signed; and the ping of its button "Test connection", which is not.

use api::settings::{WebhookKey, WebhookSecrets};
use serde::Deserialize;

use super::error::WebhookError;
use super::head::Head;
use super::payload::json;
use super::{Change, Said, check};

const SIGNATURE: &str = "x-hub-signature";

#[derive(Deserialize)]
struct Body {
    repository: Option<Repository>,
    changes: Option<Vec<Update>>,
}

#[derive(Deserialize)]
struct Repository {
    slug: Option<String>,
    project: Option<Project>,
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Project {
    key: Option<String>,
}

#[derive(Deserialize)]
struct Links {
    clone: Option<Vec<Link>>,
}

#[derive(Deserialize)]
struct Link {
    href: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    #[serde(rename = "ref")]
    reference: Option<Reference>,
    ref_id: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    id: Option<String>,
}

pub(super) fn read(
    head: Head<'_>,
    event: &str,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> Result<Said, WebhookError> {
    if event == "diagnostics:ping" {
        return Ok(Said::Nothing);
    }
    let key = WebhookKey::BitbucketServer;
    if let Some(secret) = check::secret(secrets, key)? {
        let signature = head.one(SIGNATURE)?;
        let hex = signature.map(|value| value.strip_prefix("sha256=").unwrap_or_default());
        check::signature((key, secret), "X-Hub-Signature", hex, body)?;
    }
    if event != "repo:refs_changed" {
        return Ok(Said::Nothing);
    }
    let body: Body = json(body, "Bitbucket Server")?;
    let repository = body.repository.ok_or(WebhookError::Incomplete)?;
    let links = repository.links.and_then(|links| links.clone);
    let mut urls: Vec<String> = links
        .unwrap_or_default()
        .into_iter()
        .filter_map(|link| link.href)
        .collect();
    // Older servers name no URL: then it is this project's repository, wherever it is.
    if let (true, Some(slug), Some(key)) = (
        urls.is_empty(),
        repository.slug,
        repository.project.and_then(|project| project.key),
    ) && !slug.is_empty()
        && !key.is_empty()
    {
        urls.push(format!("/{key}/{slug}"));
    }
    let changes = body.changes.unwrap_or_default().into_iter();
    let references =
        changes.filter_map(|change| change.reference.and_then(|it| it.id).or(change.ref_id));
    // It doesn't say which branch HEAD is.
    Change::push(urls, references, None)
        .map(Said::Changed)
        .ok_or(WebhookError::Incomplete)
}
