//! Harbor: an artifact was pushed, in its own format and as a `CloudEvent`. It has no header of its own and no signature, but sends
//! a fixed Authorization: without one in argocd-secret it is not believed, as in Argo CD.

use api::settings::{WebhookKey, WebhookSecrets};
use serde::Deserialize;

use super::error::WebhookError;
use super::ghcr::repository;
use super::head::Head;
use super::payload::json;
use super::{Change, Said, check};

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(alias = "data")]
    event_data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    resources: Option<Vec<Resource>>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Resource {
    tag: Option<String>,
    resource_url: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_full_name: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

pub(super) fn read(
    head: Head<'_>,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> Result<Said, WebhookError> {
    let key = WebhookKey::Harbor;
    let secret = check::required(secrets, key)?;
    check::value((key, secret), "Authorization", head.one("authorization")?)?;
    let body: Body = json(body, "Harbor")?;
    if !matches!(
        body.kind.as_deref(),
        Some("PUSH_ARTIFACT" | "harbor.artifact.pushed")
    ) {
        return Ok(Said::Nothing);
    }
    let data = body.event_data.ok_or(WebhookError::Incomplete)?;
    // What has no tag can be no target revision.
    let tagged: Vec<(String, String)> = data
        .resources
        .unwrap_or_default()
        .into_iter()
        .filter_map(|resource| Some((resource.tag?, resource.resource_url?)))
        .filter(|(tag, _)| !tag.is_empty())
        .collect();
    let Some((_, first)) = tagged.first() else {
        return Ok(Said::Nothing);
    };
    let full_name = data.repository.and_then(|it| {
        it.repo_full_name
            .filter(|name| !name.is_empty())
            .or_else(|| Some(format!("{}/{}", it.namespace?, it.name?)))
    });
    // The host as clients know it is only in the resource's URL.
    let url = repository(first);
    let host = url
        .trim_start_matches("oci://")
        .split('/')
        .next()
        .unwrap_or_default();
    let named = full_name.map(|name| format!("oci://{host}/{name}"));
    let urls: Vec<String> = named.into_iter().chain([url.clone()]).collect();
    Change::artifact(urls, tagged.into_iter().map(|(tag, _)| tag))
        .map(Said::Changed)
        .ok_or(WebhookError::Incomplete)
}
