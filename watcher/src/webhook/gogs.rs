//! Gogs, and its descendants Gitea and Forgejo: the same bodies and signatures under each one's names, with GitHub's headers
//! besides. All sign the JSON, also when they send it in a form.

use api::settings::{WebhookKey, WebhookSecrets};

use super::error::WebhookError;
use super::head::Head;
use super::payload::{Push, json, unwrapped};
use super::{Said, check};

/// The youngest name first: each sends those of its ancestors too.
pub(super) const EVENTS: [&str; 3] = ["x-forgejo-event", "x-gitea-event", "x-gogs-event"];
const SIGNATURES: [&str; 3] = [
    "x-forgejo-signature",
    "x-gitea-signature",
    "x-gogs-signature",
];

pub(super) fn read(
    head: Head<'_>,
    event: &str,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> Result<Said, WebhookError> {
    let body = unwrapped(body);
    let is_gogs = head.any(&EVENTS[..2])?.is_none();
    if let Some((key, secret)) = secret(secrets, is_gogs)? {
        let signature = head.any(&SIGNATURES)?.map(|(_, value)| value);
        let what = if is_gogs {
            "X-Gogs-Signature"
        } else {
            "X-Gitea-Signature"
        };
        check::signature((key, secret), what, signature, &body)?;
    }
    match event {
        // Gogs tells of a tag by `create` alone.
        "push" | "create" | "delete" => json::<Push>(&body, "Gogs, Gitea or Forgejo")?
            .change()
            .map(Said::Changed),
        _ => Ok(Said::Nothing),
    }
}

/// Argo CD has one key for all of them; Gitea's own, where there is one, goes first.
fn secret(
    secrets: &WebhookSecrets,
    is_gogs: bool,
) -> Result<Option<(WebhookKey, &api::Sensitive)>, WebhookError> {
    let own = |key| Ok(check::secret(secrets, key)?.map(|secret| (key, secret)));
    if !is_gogs && let Some(found) = own(WebhookKey::Gitea)? {
        return Ok(Some(found));
    }
    own(WebhookKey::Gogs)
}
