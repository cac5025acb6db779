//! GitLab: push and tag push of a project, and the same as system hooks of a whole instance; with a token in a header.

use api::settings::{WebhookKey, WebhookSecrets};
use serde::Deserialize;

use super::error::WebhookError;
use super::head::Head;
use super::payload::json;
use super::{Change, Said, check};

pub(super) const EVENT: &str = "x-gitlab-event";
const TOKEN: &str = "x-gitlab-token";

#[derive(Deserialize)]
struct Kind {
    object_kind: Option<String>,
    event_name: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Of the system hook `repository_update`, which comes once for all references of a push.
    refs: Option<Vec<String>>,
    project: Option<Project>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Project {
    web_url: Option<String>,
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    default_branch: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    homepage: Option<String>,
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
}

pub(super) fn read(
    head: Head<'_>,
    event: &str,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> Result<Said, WebhookError> {
    let key = WebhookKey::GitLab;
    if let Some(secret) = check::secret(secrets, key)? {
        check::value((key, secret), "X-Gitlab-Token", head.one(TOKEN)?)?;
    }
    match event {
        "Push Hook" | "Tag Push Hook" => {}
        "System Hook" => {
            let kind: Kind = json(body, "GitLab")?;
            let kind = kind.object_kind.or(kind.event_name);
            if !matches!(
                kind.as_deref(),
                Some("push" | "tag_push" | "repository_update")
            ) {
                return Ok(Said::Nothing);
            }
        }
        _ => return Ok(Said::Nothing),
    }
    let body: Body = json(body, "GitLab")?;
    let (project, repository) = (body.project.as_ref(), body.repository.as_ref());
    let urls = [
        project.and_then(|it| it.web_url.clone()),
        project.and_then(|it| it.git_http_url.clone()),
        project.and_then(|it| it.git_ssh_url.clone()),
        repository.and_then(|it| it.homepage.clone()),
        repository.and_then(|it| it.git_http_url.clone()),
        repository.and_then(|it| it.git_ssh_url.clone()),
    ];
    let default_branch = project.and_then(|it| it.default_branch.clone());
    let references = body.refs.unwrap_or_default().into_iter();
    Change::push(
        urls.into_iter().flatten(),
        references.chain(body.reference),
        default_branch,
    )
    .map(Said::Changed)
    .ok_or(WebhookError::Incomplete)
}
