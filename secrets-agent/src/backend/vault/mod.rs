//! Vault over its HTTP API: `values` reads what is secret, `session` asks the rest through vaultrs.

mod body;
mod certificate;
mod connection;
mod health;
mod lease;
mod login;
mod mount;
mod projects;
mod session;
mod token;
mod values;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bus::seal::SecretValue;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::connection::{Connection, Reply};
use self::health::Health;
use self::login::Login;
use self::mount::{Engine, Mounts};
use self::projects::Projects;
use self::token::{Token, Tokens};
use super::document::lease_of;
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
    #[error(
        "no way to log in: give --vault-jwt-role, --vault-approle-role-id, --vault-cert, --vault-token-file or TOWLINE_VAULT_TOKEN"
    )]
    NoLogin,
}

/// A connection to Vault: one HTTP client, one token at a time.
pub struct Vault {
    connection: Connection,
    tokens: Arc<Tokens>,
    projects: Option<Projects>,
    health: Health,
    mounts: Mounts,
    metrics: Metrics,
}

impl Vault {
    /// None without an address.
    pub fn new(args: &VaultArgs, metrics: Metrics) -> Result<Option<Self>, SetupError> {
        let Some(address) = &args.vault_addr else {
            return Ok(None);
        };
        let connection = Connection::new(address, args)?;
        let login = Login::new(args, &connection, metrics.clone())?;
        let tokens = Arc::new(Tokens::new(login, metrics.clone()));
        let projects = args.vault_project_role.clone().map(|role| {
            Projects::new(
                role,
                Arc::clone(&tokens),
                connection.clone(),
                metrics.clone(),
            )
        });
        Ok(Some(Self {
            tokens,
            projects,
            health: Health::new(&connection, metrics.clone())?,
            connection,
            mounts: Mounts::default(),
            metrics,
        }))
    }

    /// Keeps the agent logged in until `shutdown`. Without it, requests log in as they need.
    pub async fn keep_logged_in(&self, shutdown: CancellationToken) -> Result<(), Infallible> {
        // A login may have a large client of its own.
        Box::pin(self.tokens.keep(&self.health, shutdown)).await;
        Ok(())
    }

    /// Whose token is used for a project.
    fn tokens_of(&self, project: &str) -> Result<Arc<Tokens>, BackendError> {
        match &self.projects {
            Some(projects) => projects.tokens(project),
            None => Ok(Arc::clone(&self.tokens)),
        }
    }

    /// What `call` gives, with another token if Vault refuses the one in use; none for what isn't there. `what` is for people.
    async fn ask<T, F>(
        &self,
        project: &str,
        request: VaultRequest,
        what: &str,
        call: impl Fn(Arc<Token>) -> F,
    ) -> Result<Option<T>, BackendError>
    where
        F: Future<Output = Result<Reply<T>, BackendError>>,
    {
        match self.ask_twice(project, request, what, call).await {
            Ok(found) => Ok(found),
            Err(error) => Err(self.health.explain(error).await),
        }
    }

    async fn ask_twice<T, F>(
        &self,
        project: &str,
        request: VaultRequest,
        what: &str,
        call: impl Fn(Arc<Token>) -> F,
    ) -> Result<Option<T>, BackendError>
    where
        F: Future<Output = Result<Reply<T>, BackendError>>,
    {
        let tokens = self.tokens_of(project)?;
        let mut token = Some(tokens.current().await?);
        for _ in 0..2 {
            let Some(used) = token.take() else { break };
            match self.patiently(request, || call(Arc::clone(&used))).await? {
                Reply::Found(found) => return Ok(Some(found)),
                Reply::Missing => return Ok(None),
                Reply::Denied => token = tokens.instead_of(&used).await?,
            }
        }
        Err(BackendError::Denied {
            what: what.to_owned(),
        })
    }

    async fn patiently<T, F>(
        &self,
        request: VaultRequest,
        call: impl Fn() -> F,
    ) -> Result<Reply<T>, BackendError>
    where
        F: Future<Output = Result<Reply<T>, BackendError>>,
    {
        for wait in BACK_OFF {
            match self.metrics.timed(request, call()).await {
                Err(error) if error.is_short() => {
                    tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.5))).await;
                }
                reply => return reply,
            }
        }
        self.metrics.timed(request, call()).await
    }

    /// Ends what Vault lent, so that refused attempts leave no credentials behind.
    async fn give_back(&self, project: &str, path: &SecretPath, lease: String) {
        let body = json!({ "lease_id": lease }).to_string();
        let given = self
            .ask(
                project,
                VaultRequest::Revoke,
                "sys/leases/revoke",
                |token| values::post(&self.connection, "sys/leases/revoke", body.clone(), token),
            )
            .await;
        if !matches!(given, Ok(Some(_))) {
            tracing::warn!(%path, "credentials that can't be used were not given back to Vault, and last until their lease ends");
        }
    }

    /// The engine that `path` belongs to, and the mount's path with its closing slash.
    async fn engine<'a>(
        &self,
        project: &str,
        path: &'a SecretPath,
    ) -> Result<(&'a str, Engine), BackendError> {
        if let Some(found) = self.mounts.of(path) {
            return Ok(found);
        }
        let mount = self
            .ask(
                project,
                VaultRequest::Mount,
                &format!("the mount of `{path}`"),
                |token| async move { token.session.mount_of(path).await },
            )
            .await?
            .ok_or_else(|| BackendError::NoPath { path: path.clone() })?;
        self.mounts
            .learn(path, mount)
            .ok_or_else(|| BackendError::Unreadable {
                path: path.clone(),
                why: "Vault does not say which engine is mounted there",
            })
    }
}

impl Backend for Vault {
    async fn read(
        &self,
        project: &str,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Document, BackendError> {
        let (mount, engine) = self.engine(project, path).await?;
        let unreadable = |why| BackendError::Unreadable {
            path: path.clone(),
            why,
        };
        if engine == Engine::Versioned && !path.as_str()[mount.len()..].starts_with("data/") {
            return Err(unreadable(
                "its mount is a KV engine of version 2, whose paths are <mount>/data/<path>",
            ));
        }
        if engine != Engine::Versioned && version.is_some() {
            return Err(unreadable(
                "its mount is no KV engine of version 2, and others have no versions",
            ));
        }
        let body = self
            .ask(
                project,
                VaultRequest::Read,
                &format!("`{path}`"),
                |token| async move {
                    values::get(&self.connection, path.as_str(), version, &token.header).await
                },
            )
            .await?
            .ok_or_else(|| {
                // Perhaps another engine is mounted there by now.
                self.mounts.forget(mount);
                BackendError::NoPath { path: path.clone() }
            })?;
        let document = match engine {
            Engine::Versioned => Document::of_versioned(&body),
            Engine::Plain | Engine::Transit | Engine::Other => Document::of_plain(&body),
        };
        if let Some(lease) = lease_of(&body) {
            self.give_back(project, path, lease).await;
            return Err(unreadable(
                "Vault lends it for a time only, and such credentials are not kept alive here",
            ));
        }
        document.ok_or_else(|| unreadable("Vault's answer holds no object of values"))
    }

    async fn decrypt(
        &self,
        project: &str,
        path: &SecretPath,
        ciphertext: &str,
    ) -> Result<SecretValue, BackendError> {
        let (mount, engine) = self.engine(project, path).await?;
        let unreadable = |why| BackendError::Unreadable {
            path: path.clone(),
            why,
        };
        if engine != Engine::Transit || !path.as_str()[mount.len()..].starts_with("decrypt/") {
            return Err(unreadable(
                "it decrypts nothing: expected <mount of a transit engine>/decrypt/<key>",
            ));
        }
        let body = json!({ "ciphertext": ciphertext }).to_string();
        let answer = self
            .ask(
                project,
                VaultRequest::Decrypt,
                &format!("`{path}`"),
                |token| values::post(&self.connection, path.as_str(), body.clone(), token),
            )
            .await?
            .ok_or_else(|| {
                unreadable("its engine has no such key, or did not encrypt this text")
            })?;
        Document::plaintext(&answer).ok_or_else(|| unreadable("Vault's answer holds no plaintext"))
    }

    async fn api_path(&self, project: &str, path: &SecretPath) -> Result<SecretPath, BackendError> {
        let (mount, engine) = self.engine(project, path).await?;
        if engine != Engine::Versioned {
            return Ok(path.clone());
        }
        let rest = &path.as_str()[mount.len()..];
        SecretPath::parse(&format!("{mount}data/{rest}")).map_err(|_| BackendError::Unreadable {
            path: path.clone(),
            why: "it is too long",
        })
    }

    async fn newest_version(
        &self,
        project: &str,
        path: &SecretPath,
    ) -> Result<Option<u64>, BackendError> {
        let (mount, engine) = self.engine(project, path).await?;
        let Some(rest) = path.as_str()[mount.len()..]
            .strip_prefix("data/")
            .filter(|_| engine == Engine::Versioned)
        else {
            return Ok(None);
        };
        let found = self
            .ask(
                project,
                VaultRequest::Metadata,
                &format!("`{mount}metadata/{rest}`"),
                |token| async move {
                    let mount = mount.trim_end_matches('/');
                    token.session.newest_version(mount, rest).await
                },
            )
            .await?;
        found
            .map(Some)
            .ok_or_else(|| BackendError::NoPath { path: path.clone() })
    }
}
