//! Where secrets come from: one trait, one file or folder per kind of store; `stores` chooses among them.

mod document;
mod files;
mod kubernetes;
mod stores;
mod vault;

use std::future::Future;

pub use document::Document;
pub use files::{Files, FilesError};
pub use kubernetes::{KubernetesError, KubernetesSecrets};
pub use stores::Stores;
pub use vault::{SetupError, Vault};

use bus::message::secret::RefusalReason;
use bus::seal::SecretValue;

use crate::policy::SecretPath;

/// A store of secrets. What it is asked for has passed the policy; it may give a project less than that.
pub trait Backend: Send + Sync + 'static {
    /// Everything at `path`, at `version` or the newest.
    fn read(
        &self,
        project: &str,
        path: &SecretPath,
        version: Option<u64>,
    ) -> impl Future<Output = Result<Document, BackendError>> + Send;

    /// What `path` makes of a text that its engine encrypted. Only Vault has such engines.
    fn decrypt(
        &self,
        _project: &str,
        path: &SecretPath,
        _ciphertext: &str,
    ) -> impl Future<Output = Result<SecretValue, BackendError>> + Send {
        let why = "its store decrypts nothing";
        std::future::ready(Err(BackendError::Unreadable {
            path: path.clone(),
            why,
        }))
    }

    /// The path that is read where people write `path`: `kv/data/shop` for `kv/shop`, where versions are counted.
    fn api_path(
        &self,
        project: &str,
        path: &SecretPath,
    ) -> impl Future<Output = Result<SecretPath, BackendError>> + Send;

    /// The newest version of `path`, without its values; none where versions aren't counted.
    fn newest_version(
        &self,
        project: &str,
        path: &SecretPath,
    ) -> impl Future<Output = Result<Option<u64>, BackendError>> + Send;
}

/// Why a store gave nothing. Built from status codes and our own words alone: what a server says in its errors may quote what it
/// was sent or holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    #[error("{path} does not exist, or this version of it was deleted")]
    NoPath { path: SecretPath },
    #[error("{path} cannot be read as a secret: {why}")]
    Unreadable { path: SecretPath, why: &'static str },
    #[error(
        "Vault refuses this agent's token or role for {what}: check its policy and that the token is valid"
    )]
    Denied { what: String },
    #[error("Vault is sealed: unseal it")]
    Sealed,
    #[error("Vault does not serve: {why}")]
    NotServing { why: &'static str },
    #[error("Vault at {address} cannot be reached: {why}")]
    Unreachable { address: String, why: &'static str },
    #[error("Vault at {address} does not answer in time")]
    Slow { address: String },
    #[error("Vault at {address} answers status {status}")]
    Failing { address: String, status: u16 },
    #[error("the agent cannot log in to Vault: {why}")]
    Login { why: String },
    #[error("the agent has no token of Vault for project `{project}`: {why}")]
    Project { project: String, why: String },
    #[error("{path}: {why}")]
    Store { path: SecretPath, why: String },
    #[error("this agent has no store for {path}: start it with {flag}")]
    NoStore {
        path: SecretPath,
        flag: &'static str,
    },
}

impl BackendError {
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::NoPath { .. } | Self::Unreadable { .. } | Self::NoStore { .. } => {
                RefusalReason::NotFound
            }
            Self::Denied { .. }
            | Self::Sealed
            | Self::NotServing { .. }
            | Self::Unreachable { .. }
            | Self::Slow { .. }
            | Self::Failing { .. }
            | Self::Login { .. }
            | Self::Project { .. }
            | Self::Store { .. } => RefusalReason::Unavailable,
        }
    }

    /// Whether asking again within the same request is worth it.
    pub(crate) fn is_short(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Failing { status, .. } => matches!(status, 412 | 429 | 500 | 502 | 504),
            Self::NoPath { .. }
            | Self::Unreadable { .. }
            | Self::Denied { .. }
            | Self::Sealed
            | Self::NotServing { .. }
            | Self::Slow { .. }
            | Self::Login { .. }
            | Self::Project { .. }
            | Self::Store { .. }
            | Self::NoStore { .. } => false,
        }
    }
}
