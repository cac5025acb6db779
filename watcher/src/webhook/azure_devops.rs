//! Azure DevOps: `git.push`, with the user and password of basic authentication.

use api::Sensitive;
use api::settings::{WebhookKey, WebhookSecrets};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::error::WebhookError;
use super::head::Head;
use super::payload::json;
use super::{Change, Said, check};

const WHAT: &str = "Authorization with user and password";
pub(super) const ACTIVITY: &str = "x-vss-activityid";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    event_type: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    resource: Option<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    ref_updates: Option<Vec<Update>>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Update {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repository {
    remote_url: Option<String>,
    ssh_url: Option<String>,
    default_branch: Option<String>,
}

pub(super) fn read(
    head: Head<'_>,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> Result<Said, WebhookError> {
    authenticate(head, secrets)?;
    let kind: Kind = json(body, "Azure DevOps")?;
    match kind.event_type.as_deref() {
        Some("git.push") => {}
        Some(_) => return Ok(Said::Nothing),
        None => return Err(WebhookError::Body("Azure DevOps")),
    }
    let body: Body = json(body, "Azure DevOps")?;
    let resource = body.resource.ok_or(WebhookError::Incomplete)?;
    let repository = resource.repository.ok_or(WebhookError::Incomplete)?;
    let updates = resource.ref_updates.unwrap_or_default();
    Change::push(
        [repository.remote_url, repository.ssh_url]
            .into_iter()
            .flatten(),
        updates.into_iter().filter_map(|update| update.name),
        repository.default_branch,
    )
    .map(Said::Changed)
    .ok_or(WebhookError::Incomplete)
}

/// Each of the two counts when the other isn't set, as empty, as in Argo CD.
fn authenticate(head: Head<'_>, secrets: &WebhookSecrets) -> Result<(), WebhookError> {
    let (user_key, password_key) = (WebhookKey::AzureDevOpsUser, WebhookKey::AzureDevOpsPassword);
    let user = check::secret(secrets, user_key)?;
    let password = check::secret(secrets, password_key)?;
    if user.is_none() && password.is_none() {
        return Ok(());
    }
    let key = if user.is_some() {
        user_key
    } else {
        password_key
    };
    let given = head
        .one("authorization")?
        .ok_or(WebhookError::Unsigned { what: WHAT, key })?;
    let (given_user, given_password) =
        basic(given).ok_or(WebhookError::Mismatch { what: WHAT, key })?;
    let empty = Sensitive::default();
    let user = check::value(
        (user_key, user.unwrap_or(&empty)),
        WHAT,
        Some(given_user.expose()),
    );
    let password = check::value(
        (password_key, password.unwrap_or(&empty)),
        WHAT,
        Some(given_password.expose()),
    );
    user.and(password)
}

fn basic(header: &str) -> Option<(Sensitive, Sensitive)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = Sensitive::new(String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?);
    let (user, password) = text.expose().split_once(':')?;
    Some((Sensitive::new(user), Sensitive::new(password)))
}
