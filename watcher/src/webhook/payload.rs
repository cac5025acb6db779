//! A body as JSON, and what several hosts' bodies have in common.

use std::borrow::Cow;

use serde::Deserialize;

use super::Change;
use super::error::WebhookError;

/// Reads what a host sends. Fields that are not asked for cost nothing, however deep they go; the parser bounds the depth of the
/// others.
pub(super) fn json<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    sender: &'static str,
) -> Result<T, WebhookError> {
    serde_json::from_slice(body).map_err(|_| WebhookError::Body(sender))
}

/// The JSON of a body, which may be a form with the JSON in its field `payload`.
pub(super) fn unwrapped(body: &[u8]) -> Cow<'_, [u8]> {
    if !body.starts_with(b"payload=") {
        return Cow::Borrowed(body);
    }
    let payload = url::form_urlencoded::parse(body)
        .find(|(key, _)| key == "payload")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    Cow::Owned(payload.into_bytes())
}

/// A push as GitHub and those who follow it write one.
#[derive(Deserialize)]
pub(super) struct Push {
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Of events about one branch or tag, whose `ref` is short.
    ref_type: Option<String>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    html_url: Option<String>,
    clone_url: Option<String>,
    ssh_url: Option<String>,
    git_url: Option<String>,
    default_branch: Option<String>,
}

impl Push {
    pub(super) fn change(self) -> Result<Change, WebhookError> {
        let (Some(reference), Some(repository)) = (self.reference, self.repository) else {
            return Err(WebhookError::Incomplete);
        };
        let reference = match self.ref_type.as_deref() {
            Some("tag") if !reference.starts_with("refs/") => format!("refs/tags/{reference}"),
            _ => reference,
        };
        let urls = [
            repository.html_url,
            repository.clone_url,
            repository.ssh_url,
            repository.git_url,
        ];
        Change::push(
            urls.into_iter().flatten(),
            [reference],
            repository.default_branch,
        )
        .ok_or(WebhookError::Incomplete)
    }
}
