//! Bitbucket Cloud: `repo:push`, told by the UUID of the webhook itself.

use api::settings::{WebhookKey, WebhookSecrets};
use serde::Deserialize;

use super::error::WebhookError;
use super::head::Head;
use super::payload::json;
use super::{Change, Said, check};

pub(super) const UUID: &str = "x-hook-uuid";
/// Bitbucket Server sends it too.
pub(super) const EVENT: &str = "x-event-key";

#[derive(Deserialize)]
struct Body {
    repository: Option<Repository>,
    push: Option<Push>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: Option<String>,
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Links {
    html: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: Option<String>,
}

#[derive(Deserialize)]
struct Push {
    changes: Option<Vec<Update>>,
}

#[derive(Deserialize)]
struct Update {
    /// None when it was deleted.
    new: Option<Reference>,
    old: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
}

pub(super) fn read(
    head: Head<'_>,
    uuid: &str,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> Result<Said, WebhookError> {
    let key = WebhookKey::BitbucketUuid;
    if let Some(secret) = check::secret(secrets, key)? {
        check::value((key, secret), "X-Hook-UUID", Some(uuid))?;
    }
    if head.one(EVENT)? != Some("repo:push") {
        return Ok(Said::Nothing);
    }
    let body: Body = json(body, "Bitbucket")?;
    let repository = body.repository.ok_or(WebhookError::Incomplete)?;
    let urls = [
        repository.links.and_then(|links| links.html?.href),
        repository
            .full_name
            .map(|name| format!("https://bitbucket.org/{name}")),
    ];
    let changes = body.push.and_then(|push| push.changes).unwrap_or_default();
    let references = changes
        .into_iter()
        .flat_map(|change| [change.new, change.old])
        .flatten()
        .filter_map(|reference| {
            let name = reference.name?;
            Some(match reference.kind.as_deref() {
                Some("tag" | "annotated_tag") => format!("refs/tags/{name}"),
                _ => format!("refs/heads/{name}"),
            })
        });
    // It doesn't say which branch HEAD is.
    Change::push(urls.into_iter().flatten(), references, None)
        .map(Said::Changed)
        .ok_or(WebhookError::Incomplete)
}
