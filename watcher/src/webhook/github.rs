//! GitHub, also GitHub Enterprise: `push`, signed over the body as it was sent. Its registry's events are [`super::ghcr`]'s.

use api::settings::{WebhookKey, WebhookSecrets};

use super::error::WebhookError;
use super::head::Head;
use super::payload::{Push, json, unwrapped};
use super::{Said, check, ghcr};

pub(super) const EVENT: &str = "x-github-event";
const SIGNATURE: &str = "x-hub-signature-256";

/// Whether an event is about a package.
pub(super) fn is_package(event: &str) -> bool {
    matches!(event, "package" | "registry_package")
}

pub(super) fn read(
    head: Head<'_>,
    event: &str,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> Result<Said, WebhookError> {
    let key = WebhookKey::GitHub;
    if let Some(secret) = check::secret(secrets, key)? {
        let signature = head.one(SIGNATURE)?;
        let hex = signature.map(|value| value.strip_prefix("sha256=").unwrap_or_default());
        check::signature((key, secret), "X-Hub-Signature-256", hex, body)?;
    }
    match event {
        "push" => json::<Push>(&unwrapped(body), "GitHub")?
            .change()
            .map(Said::Changed),
        event if is_package(event) => ghcr::read(&unwrapped(body)),
        _ => Ok(Said::Nothing),
    }
}
