//! What is fetched by plain HTTP: bounded downloads, and a login that goes nowhere but to the host that it is for.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use reqwest::header::{
    AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    LOCATION,
};
use reqwest::{Client, Response, StatusCode, redirect};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use url::Url;

use super::access::Access;
use super::busy::{Busy, busy};
use super::error::FetchError;
use super::http::{self, Failure};
use super::smart::same_host;

const MAX_REDIRECTS: usize = 10;
/// What is written at once, in bytes.
const PIECE: usize = 256 << 10;

/// HTTP for one remote.
pub(super) struct Web {
    client: Client,
    /// What is fetched, for people.
    shown: String,
}

/// A download, complete and from its start.
pub(super) struct Downloaded {
    pub(super) file: File,
    pub(super) sha256: String,
    pub(super) length: u64,
}

impl Web {
    pub(super) fn new(access: &Access, shown: String) -> Result<Self, FetchError> {
        let settings = |reason: String| FetchError::Settings {
            url: shown.clone(),
            reason,
        };
        let client = access
            .client()
            .map_err(|error| settings(error.to_string()))?
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| settings(error.without_url().to_string()))?;
        Ok(Self { client, shown })
    }

    /// The header that says who we are to the host of `url`, by what the repository's Secret or its URL holds.
    pub(super) async fn login(
        &self,
        access: &Access,
        url: &Url,
    ) -> Result<Option<HeaderValue>, FetchError> {
        let login = access.authorization(&self.client, url).await;
        login.map_err(|reason| FetchError::App {
            url: self.shown.clone(),
            reason,
        })
    }

    /// Asks, and follows redirects; the login goes along only while the host stays the same.
    pub(super) async fn get(
        &self,
        url: &Url,
        headers: &HeaderMap,
        login: Option<&HeaderValue>,
    ) -> Result<Response, FetchError> {
        let mut url = url.clone();
        // As a header only, and only to its own host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let home = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client.get(url.clone()).headers(headers.clone());
            if let Some(login) = login.filter(|_| same_host(&home, &url)) {
                request = request.header(AUTHORIZATION, login);
            }
            let answer = request
                .send()
                .await
                .map_err(|error| self.unreachable(error))?;
            let status = answer.status();
            if let Some(Busy { after }) = busy(status, answer.headers(), SystemTime::now()) {
                return Err(FetchError::Busy {
                    url: self.shown.clone(),
                    reason: format!("it answers {}", status.as_u16()),
                    after,
                });
            }
            let to = answer.headers().get(LOCATION);
            if !status.is_redirection() || to.is_none() {
                return Ok(answer);
            }
            let to = to.and_then(|to| url.join(to.to_str().ok()?).ok());
            // Never from https to http, and to nothing else at all.
            url = to
                .filter(|to| {
                    to.scheme() == "https" || to.scheme() == "http" && url.scheme() == "http"
                })
                .ok_or_else(|| self.broken("its host redirects to nowhere that may be asked"))?;
        }
        Err(self.broken(&format!(
            "its host redirects more than {MAX_REDIRECTS} times"
        )))
    }

    /// What an answer other than success means.
    pub(super) fn refusal(&self, status: StatusCode, known: bool, what: &str) -> FetchError {
        let (url, code) = (self.shown.clone(), status.as_u16());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FetchError::Denied {
                url,
                reason: if known {
                    format!("the host refuses the login for {what} ({code})")
                } else {
                    format!(
                        "the host asks for credentials for {what} ({code}), and no repository or repo-creds Secret has any that fit"
                    )
                },
            },
            StatusCode::NOT_FOUND | StatusCode::GONE => FetchError::NotFound {
                url,
                reason: format!("its host has no {what} ({code})"),
            },
            _ => self.broken(&format!("its host answers {code} for {what}")),
        }
    }

    /// Keeps an answer's body in a file without a name, in `folder`.
    pub(super) async fn download(
        &self,
        mut answer: Response,
        most: usize,
        folder: &Path,
    ) -> Result<Downloaded, FetchError> {
        let too_large = || FetchError::TooLarge {
            url: self.shown.clone(),
            limit: most,
        };
        let most = most as u64;
        if answer.content_length().is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let stuck = |error: std::io::Error| FetchError::Disk {
            url: self.shown.clone(),
            reason: error.kind().to_string(),
        };
        let folder = folder.to_owned();
        let made = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder));
        let file = made.await.map_err(|_| self.lost())?.map_err(stuck)?;
        let mut file = BufWriter::with_capacity(PIECE, tokio::fs::File::from_std(file));
        let (mut digest, mut length) = (Sha256::new(), 0_u64);
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            length += piece.len() as u64;
            if length > most {
                return Err(too_large());
            }
            digest.update(&piece);
            file.write_all(&piece).await.map_err(stuck)?;
        }
        file.flush().await.map_err(stuck)?;
        file.rewind().await.map_err(stuck)?;
        Ok(Downloaded {
            file: file.into_inner().into_std().await,
            sha256: hex::encode(digest.finalize()),
            length,
        })
    }

    /// A short body.
    pub(super) async fn text(
        &self,
        mut answer: Response,
        most: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            if body.len() + piece.len() > most {
                return Err(FetchError::TooLarge {
                    url: self.shown.clone(),
                    limit: most,
                });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    pub(super) fn shown(&self) -> String {
        self.shown.clone()
    }

    /// The work's task is gone.
    pub(super) fn lost(&self) -> FetchError {
        FetchError::Lost {
            url: self.shown.clone(),
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> FetchError {
        let url = self.shown.clone();
        match http::failure(error) {
            Failure::Certificate(reason) => FetchError::Certificate { url, reason },
            Failure::Timeout => FetchError::Timeout { url },
            Failure::Other(reason) => FetchError::Unreachable { url, reason },
        }
    }

    pub(super) fn broken(&self, reason: &str) -> FetchError {
        FetchError::Unreachable {
            url: self.shown.clone(),
            reason: reason.to_owned(),
        }
    }

    /// What came is no use.
    pub(super) fn content(&self, reason: impl Into<String>) -> FetchError {
        FetchError::Content {
            url: self.shown.clone(),
            reason: reason.into(),
        }
    }
}

/// What a host tells one content of an address from another by, if it does.
pub(super) fn validator(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(ETAG).or_else(|| headers.get(LAST_MODIFIED))?;
    said.to_str().ok().map(str::to_owned)
}

/// Asks for content only if it is another than that of this validator.
pub(super) fn unless(validator: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let name = if is_tag(validator) {
        IF_NONE_MATCH
    } else if httpdate::parse_http_date(validator).is_ok() {
        IF_MODIFIED_SINCE
    } else {
        return headers;
    };
    headers.extend(validator.parse().ok().map(|value| (name, value)));
    headers
}

fn is_tag(validator: &str) -> bool {
    validator.starts_with('"') || validator.starts_with("W/\"")
}
