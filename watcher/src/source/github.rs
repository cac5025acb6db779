//! Logging in as a GitHub App: a token of the app's installation, asked for with a statement that the app's key signs, and kept
//! until shortly before it ends.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use api::Sensitive;
use api::settings::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bus::clock;
use reqwest::{Method, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::http::{self, Failure};

const API: &str = "https://api.github.com";
/// A token is not used any more so long before it ends, in milliseconds.
const MARGIN: u64 = 5 * 60 * 1000;
const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;
/// Logins whose tokens are kept.
const MAX_KEPT: usize = 1000;

/// Tokens by what they were asked for with. Each is asked for once, however many repositories wait for it.
static TOKENS: LazyLock<Mutex<HashMap<[u8; 32], Kept>>> = LazyLock::new(Mutex::default);

type Kept = Arc<tokio::sync::Mutex<Option<Token>>>;

#[derive(Clone)]
struct Token {
    value: Sensitive,
    /// Unix milliseconds.
    ends: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    #[error("githubAppPrivateKey must be an RSA private key in PEM format, without a passphrase")]
    Key,
    #[error("githubAppEnterpriseBaseUrl must be an http:// or https:// URL")]
    BaseUrl,
    #[error(
        "the URL names no owner and repository to look for the app's installation with: set githubAppInstallationID"
    )]
    Owner,
    #[error(
        "GitHub refuses the app {app} ({status}) for {what}. Check githubAppID, githubAppPrivateKey and githubAppInstallationID"
    )]
    Refused {
        app: u64,
        what: &'static str,
        status: u16,
    },
    #[error(
        "GitHub knows no installation of the app {app}. Install it for the repository's owner, or correct githubAppInstallationID"
    )]
    NotInstalled { app: u64 },
    #[error("GitHub's API can't be asked for {what}: {reason}")]
    Unreachable { what: &'static str, reason: String },
}

/// An app, and the repository that it is to read.
pub(super) struct App<'a> {
    id: u64,
    installation: Option<u64>,
    key: &'a Sensitive,
    base: &'a str,
    repository: &'a Url,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct Issued {
    token: Sensitive,
    expires_at: jiff::Timestamp,
}

impl<'a> App<'a> {
    /// The app of a login, if that is one.
    pub(super) fn of(credentials: &'a Credentials, repository: &'a Url) -> Option<Self> {
        Some(Self {
            id: credentials.github_app_id?,
            installation: credentials.github_app_installation_id,
            key: credentials.github_app_private_key.as_ref()?,
            base: credentials
                .github_app_enterprise_base_url
                .as_deref()
                .map_or(API, |base| base.trim_end_matches('/')),
            repository,
        })
    }

    /// A token that is good for some minutes at least.
    pub(super) async fn token(&self, client: &reqwest::Client) -> Result<Sensitive, AppError> {
        let kept = self.kept();
        let mut kept = kept.lock().await;
        if let Some(token) = &*kept
            && token.ends > clock::now_ms() + MARGIN
        {
            return Ok(token.value.clone());
        }
        let statement = self.statement(clock::now_ms() / 1000)?;
        let id = match self.installation {
            Some(id) => id,
            None => self.find(client, &statement).await?,
        };
        let path = format!("/app/installations/{id}/access_tokens");
        let issued: Issued = self
            .ask(client, (Method::POST, &path), &statement, "a token")
            .await?;
        let token = Token {
            value: issued.token,
            ends: u64::try_from(issued.expires_at.as_millisecond()).unwrap_or(0),
        };
        *kept = Some(token.clone());
        Ok(token.value)
    }

    /// A token that was refused isn't offered again.
    pub(super) async fn forget(&self) {
        *self.kept().lock().await = None;
    }

    fn kept(&self) -> Kept {
        // Without its id the installation depends on the owner, and a token only ever reaches the host that it is for.
        let owner = self.owner_and_name().map_or("", |(owner, _)| owner);
        let installation = self
            .installation
            .map_or_else(|| owner.to_lowercase(), |id| id.to_string());
        let mut digest = Sha256::new();
        for part in [
            self.key.expose(),
            self.base,
            &self.id.to_string(),
            &installation,
        ] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_KEPT {
            tokens.clear();
        }
        Arc::clone(tokens.entry(digest.finalize().into()).or_default())
    }

    async fn find(&self, client: &reqwest::Client, statement: &Sensitive) -> Result<u64, AppError> {
        let (owner, name) = self.owner_and_name().ok_or(AppError::Owner)?;
        let path = format!("/repos/{owner}/{name}/installation");
        let found: Installation = self
            .ask(client, (Method::GET, &path), statement, "its installation")
            .await?;
        Ok(found.id)
    }

    fn owner_and_name(&self) -> Option<(&str, &str)> {
        let mut path = self.repository.path_segments()?;
        let (owner, name) = (path.next()?, path.next()?);
        let name = name.strip_suffix(".git").unwrap_or(name);
        (!owner.is_empty() && !name.is_empty()).then_some((owner, name))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        client: &reqwest::Client,
        (method, path): (Method, &str),
        statement: &Sensitive,
        what: &'static str,
    ) -> Result<T, AppError> {
        let unreachable = |reason: String| AppError::Unreachable { what, reason };
        let url = Url::parse(&format!("{}{path}", self.base)).map_err(|_| AppError::BaseUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AppError::BaseUrl);
        }
        let failed = |error| {
            unreachable(match http::failure(error) {
                Failure::Certificate(why) => format!("its certificate can't be verified ({why})"),
                Failure::Timeout => "no answer in time".to_owned(),
                Failure::Other(reason) => reason,
            })
        };
        let mut answer = client
            .request(method, url)
            .timeout(TIMEOUT)
            .header("accept", "application/vnd.github+json")
            .bearer_auth(statement.expose())
            .send()
            .await
            .map_err(failed)?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND => return Err(AppError::NotInstalled { app: self.id }),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                return Err(AppError::Refused {
                    app: self.id,
                    what,
                    status: status.as_u16(),
                });
            }
            status => return Err(unreachable(format!("it answers {}", status.as_u16()))),
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(unreachable(format!(
                    "its answer is over {MAX_ANSWER} bytes"
                )));
            }
        }
        // What serde would say may quote the token.
        serde_json::from_slice(&body).map_err(|_| {
            unreachable("its answer isn't what GitHub's documentation says".to_owned())
        })
    }

    /// A JSON Web Token that says, for some minutes, who we are.
    fn statement(&self, now: u64) -> Result<Sensitive, AppError> {
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(json!({"alg": "RS256", "typ": "JWT"}));
        // Clocks differ; GitHub takes ten minutes at most.
        let (from, until) = (now.saturating_sub(60), now + 8 * 60);
        let claims = encode(json!({"iat": from, "exp": until, "iss": self.id.to_string()}));
        let said = format!("{header}.{claims}");
        let key = match PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err(AppError::Key),
        }
        .map_err(|_| AppError::Key)?;
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            said.as_bytes(),
            &mut signature,
        )
        .map_err(|_| AppError::Key)?;
        Ok(Sensitive::new(format!(
            "{said}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }
}
