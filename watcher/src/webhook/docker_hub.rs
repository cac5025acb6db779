//! Docker Hub: somebody pushed a tag. It can neither sign nor send a header: the secret is the parameter `token` of the URL that it
//! is given. Without one in argocd-secret it is not believed.

use api::settings::{WebhookKey, WebhookSecrets};
use serde::Deserialize;

use super::error::WebhookError;
use super::head::Head;
use super::payload::json;
use super::{Change, Said, check};

/// The registry's names.
const HOSTS: [&str; 3] = ["registry-1.docker.io", "docker.io", "index.docker.io"];

#[derive(Deserialize)]
struct Body {
    push_data: Option<Pushed>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Pushed {
    tag: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_name: Option<String>,
}

pub(super) fn read(
    head: Head<'_>,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> Result<Said, WebhookError> {
    let key = WebhookKey::DockerHub;
    let secret = check::required(secrets, key)?;
    let token = head.parameter("token");
    check::value((key, secret), "the URL's ?token=", token.as_deref())?;
    let body: Body = json(body, "Docker Hub")?;
    let name = body.repository.and_then(|it| it.repo_name);
    let (Some(name), Some(tag)) = (name, body.push_data.and_then(|it| it.tag)) else {
        return Err(WebhookError::Incomplete);
    };
    if name.is_empty() {
        return Err(WebhookError::Incomplete);
    }
    // Official images have no namespace.
    let name = if name.contains('/') {
        name
    } else {
        format!("library/{name}")
    };
    Change::artifact(HOSTS.map(|host| format!("oci://{host}/{name}")), [tag])
        .map(Said::Changed)
        .ok_or(WebhookError::Incomplete)
}
