//! GitHub's container registry: `package` and `registry_package`, which come as GitHub's other events do.

use serde::Deserialize;

use super::error::WebhookError;
use super::payload::json;
use super::{Change, Said};

#[derive(Deserialize)]
struct Body {
    action: Option<String>,
    #[serde(alias = "registry_package")]
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: Option<String>,
    #[serde(rename = "package_type")]
    kind: Option<String>,
    namespace: Option<String>,
    owner: Option<Owner>,
    #[serde(rename = "package_version")]
    version: Option<Version>,
}

#[derive(Deserialize)]
struct Owner {
    login: Option<String>,
}

#[derive(Deserialize)]
struct Version {
    package_url: Option<String>,
    container_metadata: Option<Container>,
}

#[derive(Deserialize)]
struct Container {
    tag: Option<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: Option<String>,
}

pub(super) fn read(body: &[u8]) -> Result<Said, WebhookError> {
    let body: Body = json(body, "GitHub's registry")?;
    let package = body.package.ok_or(WebhookError::Incomplete)?;
    let is_container = package
        .kind
        .is_some_and(|kind| kind.eq_ignore_ascii_case("container"));
    let is_news = matches!(body.action.as_deref(), Some("published" | "updated"));
    if !is_container || !is_news {
        return Ok(Said::Nothing);
    }
    let Some(version) = package.version else {
        return Ok(Said::Nothing);
    };
    let tag = version
        .container_metadata
        .and_then(|container| container.tag?.name)
        .filter(|tag| !tag.is_empty());
    // A part of an image, pushed by its digest.
    let Some(tag) = tag else {
        return Ok(Said::Nothing);
    };
    let owner = package.owner.and_then(|owner| owner.login);
    let name = package.name.ok_or(WebhookError::Incomplete)?;
    let below = |owner: String| format!("oci://ghcr.io/{owner}/{name}");
    let urls = [
        owner.map(below),
        package.namespace.filter(|it| !it.is_empty()).map(below),
        // Says the host of a GitHub Enterprise.
        version.package_url.map(|url| repository(&url)),
    ];
    Change::artifact(urls.into_iter().flatten(), [tag])
        .map(Said::Changed)
        .ok_or(WebhookError::Incomplete)
}

/// `host/path:tag` or `host/path@digest` as a URL without either.
pub(super) fn repository(image: &str) -> String {
    let image = image
        .split_once("://")
        .map_or(image, |(_, rest)| rest)
        .trim();
    let name = image.split('@').next().unwrap_or(image);
    let slash = name.rfind('/').unwrap_or(0);
    let name = match name[slash..].find(':') {
        Some(colon) => &name[..slash + colon],
        None => name,
    };
    format!("oci://{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_name_loses_its_tag_and_digest_but_not_its_port() {
        for (image, expected) in [
            ("ghcr.io/acme/web:1.2", "oci://ghcr.io/acme/web"),
            ("h:8443/p/web:1", "oci://h:8443/p/web"),
            ("h:8443/p/web", "oci://h:8443/p/web"),
            ("https://h/p/web@sha256:0a", "oci://h/p/web"),
            ("h/p/web:1@sha256:0a", "oci://h/p/web"),
            ("", "oci://"),
        ] {
            assert_eq!(repository(image), expected, "{image}");
        }
    }
}
