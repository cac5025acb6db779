//! Vault's KV engines over its HTTP API.
//!
//! Written on `reqwest` and not on `vaultrs`: a path here is the raw API path that was checked, sent as it is; answers are read
//! into memory that is cleared; and no error holds a body.

mod body;
mod http;
mod login;
mod mount;

use std::time::{Duration, Instant};

use tokio::sync::RwLock;
use zeroize::Zeroizing;

use self::http::{Http, Reply};
use self::login::{Login, Token};
use self::mount::{Engine, Mounts};
use super::{Backend, BackendError, Document};
use crate::args::VaultArgs;
use crate::metrics::{Metrics, VaultRequest};
use crate::policy::SecretPath;

/// Waits between attempts of one read.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Why the connection can't be set up: all of it is the configuration's.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("--vault-addr {0} is not an http or https address without path, query or user")]
    Address(String),
    #[error("reading --vault-ca {path}")]
    ReadCa {
        path: String,
        source: std::io::Error,
    },
    #[error("--vault-ca {path} holds no PEM certificates")]
    Ca {
        path: String,
        source: reqwest::Error,
    },
    #[error("making the HTTP client")]
    Client(#[source] reqwest::Error),
    #[error("--vault-namespace is not a name")]
    Namespace,
    #[error("no way to log in: give --vault-token-file, TOWLINE_VAULT_TOKEN or --vault-jwt-role")]
    NoLogin,
}

/// A connection to Vault: one HTTP client, one token at a time.
pub struct Vault {
    http: Http,
    login: Login,
    token: RwLock<Option<Token>>,
    mounts: Mounts,
    metrics: Metrics,
}

impl Vault {
    pub fn new(args: &VaultArgs, metrics: Metrics) -> Result<Self, SetupError> {
        Ok(Self {
            http: Http::new(args)?,
            login: Login::new(args).ok_or(SetupError::NoLogin)?,
            token: RwLock::new(None),
            mounts: Mounts::default(),
            metrics,
        })
    }

    /// GETs a raw API path, after a new login if Vault refuses the token in use.
    async fn get(
        &self,
        path: &str,
        version: Option<u64>,
        request: VaultRequest,
    ) -> Result<Zeroizing<Vec<u8>>, GetError> {
        let mut denied = None;
        for _ in 0..2 {
            let token = self.token(denied.take()).await?;
            match self.once(path, version, &token, request).await? {
                Reply::Body(body) => return Ok(body),
                Reply::Missing => return Err(GetError::Missing),
                // Vault says the same of a token that ended and of one without the right.
                Reply::Denied => denied = Some(token),
            }
        }
        Err(GetError::Other(BackendError::Denied {
            what: format!("`{path}`"),
        }))
    }

    async fn once(
        &self,
        path: &str,
        version: Option<u64>,
        token: &Token,
        request: VaultRequest,
    ) -> Result<Reply, BackendError> {
        let mut waits = BACK_OFF.iter();
        loop {
            let started = Instant::now();
            let reply = self.http.get(path, version, &token.header).await;
            self.metrics
                .vault(request, reply.is_ok(), started.elapsed());
            match (reply, waits.next()) {
                (Err(error), Some(wait)) if error.is_short() => {
                    tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.5))).await;
                }
                (reply, _) => return reply,
            }
        }
    }

    /// The token in use, or a new one: when there is none, when it nears its end, or when it is the one that was `denied`.
    async fn token(&self, denied: Option<Token>) -> Result<Token, BackendError> {
        let usable = |token: &&Token| {
            token.is_fresh(Instant::now())
                && denied
                    .as_ref()
                    .is_none_or(|denied| denied.header != token.header)
        };
        if let Some(token) = self.token.read().await.as_ref().filter(usable) {
            return Ok(token.clone());
        }
        let mut held = self.token.write().await;
        // Another request may have logged in while this one waited.
        if let Some(token) = held.as_ref().filter(usable) {
            return Ok(token.clone());
        }
        let started = Instant::now();
        let fresh = self.login.log_in(&self.http).await;
        self.metrics
            .vault(VaultRequest::Login, fresh.is_ok(), started.elapsed());
        let fresh = fresh?;
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    /// The engine that `path` belongs to, and the mount's path with its closing slash.
    async fn engine<'a>(&self, path: &'a SecretPath) -> Result<(&'a str, Engine), BackendError> {
        if let Some(found) = self.mounts.of(path) {
            return Ok(found);
        }
        let asked = format!("sys/internal/ui/mounts/{path}");
        match self.get(&asked, None, VaultRequest::Mount).await {
            Ok(body) => self
                .mounts
                .learn(path, &body)
                .ok_or(BackendError::Unreadable {
                    path: path.clone(),
                    why: "Vault does not say which engine is mounted there",
                }),
            Err(GetError::Missing) => Err(BackendError::NoPath { path: path.clone() }),
            Err(GetError::Other(BackendError::Denied { .. })) => Err(BackendError::Denied {
                what: format!("the mount of `{path}`"),
            }),
            Err(GetError::Other(error)) => Err(error),
        }
    }
}

impl Backend for Vault {
    async fn read(
        &self,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Document, BackendError> {
        let (mount, engine) = self.engine(path).await?;
        let unreadable = |why| BackendError::Unreadable {
            path: path.clone(),
            why,
        };
        if engine == Engine::Versioned && !path.as_str()[mount.len()..].starts_with("data/") {
            return Err(unreadable(
                "its mount is a KV engine of version 2, whose paths are <mount>/data/<path>",
            ));
        }
        if engine == Engine::Other {
            return Err(unreadable("its mount is no KV engine"));
        }
        if engine == Engine::Plain && version.is_some() {
            return Err(unreadable(
                "its mount is a KV engine of version 1, which has no versions",
            ));
        }
        let body = match self.get(path.as_str(), version, VaultRequest::Read).await {
            Ok(body) => body,
            Err(GetError::Missing) => {
                // Perhaps another engine is mounted there by now.
                self.mounts.forget(mount);
                return Err(BackendError::NoPath { path: path.clone() });
            }
            Err(GetError::Other(error)) => return Err(error),
        };
        let document = match engine {
            Engine::Versioned => Document::of_versioned(&body),
            Engine::Plain => Document::of_plain(&body),
            Engine::Other => None,
        };
        document.ok_or_else(|| unreadable("Vault's answer holds no object of values"))
    }

    async fn newest_version(&self, path: &SecretPath) -> Result<Option<u64>, BackendError> {
        let (mount, engine) = self.engine(path).await?;
        let Some(rest) = path.as_str()[mount.len()..]
            .strip_prefix("data/")
            .filter(|_| engine == Engine::Versioned)
        else {
            return Ok(None);
        };
        let asked = format!("{mount}metadata/{rest}");
        match self.get(&asked, None, VaultRequest::Metadata).await {
            Ok(body) => Ok(mount::newest_version(&body)),
            Err(GetError::Missing) => Err(BackendError::NoPath { path: path.clone() }),
            Err(GetError::Other(error)) => Err(error),
        }
    }
}

enum GetError {
    Missing,
    Other(BackendError),
}

impl From<BackendError> for GetError {
    fn from(error: BackendError) -> Self {
        Self::Other(error)
    }
}
