//! A name in a registry (OCI distribution, v2): tag, range or digest → manifest → its one layer with files → tree. Everything that comes
//! is checked against the digest that names it.

use std::sync::Arc;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, LINK, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use url::Url;

use super::access::Access;
use super::archive::{self, Bounds, Packing, Root};
use super::error::FetchError;
use super::kept::Kept;
use super::location::Location;
use super::oci_login::{self, Challenge};
use super::oci_manifest::{Descriptor, Manifest, is_digest, short};
use super::version::{self, Range, Version};
use super::web::{Downloaded, Web};
use super::{Content, Limits, Revision};

const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// Largest manifest and page of tags, in bytes.
const MAX_TEXT: usize = 4 << 20;
const MAX_PAGES: usize = 1000;
const MAX_TAGS: usize = 200_000;
/// Largest archive of a chart, in bytes.
const MAX_CHART: usize = 100 << 20;

/// One name in a registry.
pub(super) struct Registry<'a> {
    web: Web,
    /// `https://<host>/v2/<name>/`.
    base: Url,
    name: String,
    content: Content,
    access: &'a Access,
    limits: Limits,
    login: Mutex<Option<HeaderValue>>,
    written: Url,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl<'a> Registry<'a> {
    pub(super) fn new(
        location: &Location,
        content: Content,
        access: &'a Access,
        limits: Limits,
        shown: String,
    ) -> Result<Self, FetchError> {
        let web = Web::new(access, shown)?;
        let url = |text: &str| Url::parse(text).map_err(|error| web.broken(&error.to_string()));
        let written = url(location.url())?;
        let name = written.path().trim_matches('/').to_owned();
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte)
        };
        if name.is_empty()
            || !name.bytes().all(plain)
            || name
                .split('/')
                .any(|part| part.is_empty() || part.starts_with('.'))
        {
            return Err(FetchError::NotFound {
                url: web.shown(),
                reason: "a registry has only names of small letters, digits, '.', '_', '-' and '/'"
                    .to_owned(),
            });
        }
        let scheme = if access.plain_http { "http" } else { "https" };
        let host = match written.host_str().unwrap_or_default() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        let port = written
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        let base = url(&format!("{scheme}://{host}{port}/v2/{name}/"))?;
        Ok(Self {
            web,
            base,
            name,
            content,
            access,
            limits,
            login: Mutex::default(),
            written,
        })
    }

    /// What a target revision is.
    pub(super) async fn target(
        &self,
        target: &str,
        kept: &Kept,
    ) -> Result<(Revision, Option<String>), FetchError> {
        match self.content {
            // As Helm: a version is a tag, and anything else a range over tags.
            Content::Chart if Version::parse(target).is_some() => self.tag(target, kept).await,
            Content::Chart => {
                let range = if target.is_empty() {
                    Some(Range::any())
                } else {
                    Range::parse(target)
                };
                let range = range.ok_or_else(|| {
                    self.no_revision(format!(
                        "{:?} is neither a version nor a range of versions",
                        short(target)
                    ))
                })?;
                let tag = self.newest(&range, target).await?;
                self.tag(&tag, kept).await
            }
            // As Argo CD: what the registry knows by this very name comes first.
            Content::Files => match self.tag(target, kept).await {
                Err(error @ (FetchError::NotFound { .. } | FetchError::Revision { .. })) => {
                    let Some(range) = version::range(target) else {
                        return Err(error);
                    };
                    let tag = self.newest(&range, target).await?;
                    self.tag(&tag, kept).await
                }
                done => done,
            },
        }
    }

    /// A tag (with `+` for the `_` that registries need) or a digest, unpacked.
    pub(super) async fn tag(
        &self,
        tag: &str,
        kept: &Kept,
    ) -> Result<(Revision, Option<String>), FetchError> {
        let by_digest = tag.starts_with("sha256:");
        let reference = tag.replace('+', "_");
        let named = if by_digest {
            is_digest(tag)
        } else {
            is_tag(&reference)
        };
        if !named {
            return Err(
                self.no_revision(format!("{:?} is neither tag, range nor digest", short(tag)))
            );
        }
        let (mut digest, mut manifest) = self.manifest(&reference).await?;
        // The digest of what was asked for is what it is known by, also if that is a list of one.
        let asked = digest.clone();
        let id: Arc<str> = match self.content {
            Content::Chart => tag.replace('_', "+").into(),
            Content::Files => asked.as_str().into(),
        };
        if let Some(had) = kept.version(&id, Some(&asked)) {
            return Ok((had, Some(asked)));
        }
        let only = manifest.only().map_err(|reason| self.web.content(reason))?;
        if let Some(only) = only {
            (digest, manifest) = self.manifest(&only).await?;
        }
        let chart = manifest.is_chart();
        let layer = manifest
            .files(self.content)
            .map_err(|reason| self.web.content(reason))?;
        let tree = self.unpack(layer, chart, kept).await?;
        tracing::debug!(%digest, name = self.name, "an artifact was fetched");
        Ok((
            Revision {
                id,
                tree,
                about: None,
            },
            Some(asked),
        ))
    }

    async fn unpack(
        &self,
        layer: &Descriptor,
        chart: bool,
        kept: &Kept,
    ) -> Result<git2::Oid, FetchError> {
        let most = if chart {
            MAX_CHART.min(self.limits.bytes)
        } else {
            self.limits.bytes
        };
        if layer.size > most as u64 {
            return Err(FetchError::TooLarge {
                url: self.web.shown(),
                limit: most,
            });
        }
        let answer = self.get(&format!("blobs/{}", layer.digest), "*/*").await?;
        let Downloaded {
            file,
            sha256,
            length,
        } = self.web.download(answer, most, kept.folder()).await?;
        if format!("sha256:{sha256}") != layer.digest || layer.size != length {
            return Err(self.web.content(format!(
                "its layer {} came with other content",
                layer.digest
            )));
        }
        let packing = if layer.media_type.ends_with("tar") {
            Packing::Tar
        } else {
            Packing::Gzip
        };
        let bounds = if chart { Bounds::CHART } else { Bounds::FILES };
        let folder = kept.folder().to_owned();
        let name = self.name.rsplit('/').next().unwrap_or_default().to_owned();
        let unpacked = tokio::task::spawn_blocking(move || {
            let repository = super::git::open(&folder)?;
            let root = if chart {
                Root::Chart(&name)
            } else {
                Root::Whole
            };
            Ok::<_, FetchError>(archive::unpack(&repository, file, packing, root, bounds))
        });
        let lost = |_| FetchError::Lost {
            url: self.web.shown(),
        };
        let tree = unpacked.await.map_err(lost)??;
        tree.map_err(|error| self.web.content(format!("its layer: {error}")))
    }

    async fn manifest(&self, reference: &str) -> Result<(String, Manifest), FetchError> {
        let answer = self
            .get(&format!("manifests/{reference}"), ACCEPTED)
            .await?;
        let body = self.web.text(answer, MAX_TEXT).await?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&body)));
        if reference.starts_with("sha256:") && reference != digest {
            return Err(self
                .web
                .content(format!("the manifest {reference} came with other content")));
        }
        let manifest = serde_json::from_slice(&body).map_err(|error| {
            self.web
                .content(format!("its manifest can't be read: {error}"))
        })?;
        Ok((digest, manifest))
    }

    /// The newest tag of a range, as a version.
    async fn newest(&self, range: &Range, target: &str) -> Result<String, FetchError> {
        let tags = self.tags().await?;
        let newest = range.newest(tags.iter().map(String::as_str));
        newest.map(str::to_owned).ok_or_else(|| {
            self.no_revision(format!(
                "none of its {} tags is a version that {:?} allows",
                tags.len(),
                short(target)
            ))
        })
    }

    async fn tags(&self) -> Result<Vec<String>, FetchError> {
        let mut tags: Vec<String> = Vec::new();
        let mut next = Some("tags/list?n=1000".to_owned());
        for _ in 0..MAX_PAGES {
            let Some(page) = next.take() else {
                return Ok(tags);
            };
            let answer = self.get(&page, "application/json").await?;
            // The next page is asked of the same registry, whatever host its link names.
            next = answer
                .headers()
                .get(LINK)
                .and_then(|link| following(link.to_str().ok()?));
            let body = self.web.text(answer, MAX_TEXT).await?;
            let page: Tags = serde_json::from_slice(&body).map_err(|error| {
                self.web
                    .content(format!("its list of tags can't be read: {error}"))
            })?;
            tags.extend(
                page.tags
                    .unwrap_or_default()
                    .into_iter()
                    .map(|tag| tag.replace('_', "+")),
            );
            if tags.len() > MAX_TAGS {
                break;
            }
        }
        Err(self.web.content(format!(
            "it has more than {MAX_TAGS} tags, or pages without end"
        )))
    }

    /// Asks, and logs in when told to.
    async fn get(&self, below: &str, accept: &'static str) -> Result<Response, FetchError> {
        let url = self
            .base
            .join(below)
            .map_err(|error| self.web.broken(&error.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let mut login = self.login.lock().await;
        let answer = self.web.get(&url, &headers, login.as_ref()).await?;
        let answer = if answer.status() == StatusCode::UNAUTHORIZED {
            let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
            let challenges = challenges.filter_map(|value| Challenge::parse(value.to_str().ok()?));
            let challenge =
                challenges.max_by_key(|challenge| matches!(challenge, Challenge::Token { .. }));
            let Some(challenge) = challenge else {
                return Err(self
                    .web
                    .refusal(StatusCode::UNAUTHORIZED, login.is_some(), "this"));
            };
            *login =
                oci_login::answer(&self.web, self.access, &self.written, &self.name, challenge)
                    .await?;
            self.web.get(&url, &headers, login.as_ref()).await?
        } else {
            answer
        };
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => {
                let what = below.split(['/', '?']).next().unwrap_or_default();
                let what = match what {
                    "manifests" => "such tag or digest",
                    "tags" => "such name",
                    _ => "such layer",
                };
                Err(self.web.refusal(status, login.is_some(), what))
            }
        }
    }

    fn no_revision(&self, reason: String) -> FetchError {
        FetchError::Revision {
            url: self.web.shown(),
            reason,
        }
    }
}

fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|symbol: char| symbol.is_ascii_alphanumeric() || symbol == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The query of the next page.
fn following(link: &str) -> Option<String> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    parameters.contains("next").then_some(())?;
    let (_, query) = target.split_once('?')?;
    Some(format!("tags/list?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_asked_of_the_same_registry() {
        let next = following(r#"<https://elsewhere/v2/a/tags/list?last=x&n=5>; rel="next""#);
        assert_eq!(next.as_deref(), Some("tags/list?last=x&n=5"));
        assert_eq!(following("<a>; rel=\"next\""), None);
        assert_eq!(following("no link"), None);
    }

    #[test]
    fn nothing_but_tags_and_digests_reaches_a_url() {
        assert!(is_tag("1.2.3_b-1") && is_digest(&format!("sha256:{}", "a".repeat(64))));
        for text in ["", "../a", "a/b", "a?b", "sha256:a", "é"] {
            assert!(!is_tag(text) && !is_digest(text), "{text}");
        }
    }
}
