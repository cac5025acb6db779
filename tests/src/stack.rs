//! What all tests of a run share: cluster, Vault and Git server. Started once, on a runtime of its own that outlives each
//! test's; gone with the process.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, anyhow};
use deploy::{ClusterOptions, ClusterUser, Stack, StackOptions, VaultPart};
use secrecy::ExposeSecret;
use tokio::runtime::Runtime;

use crate::git::GitServer;

/// A user who may do nothing in the cluster.
pub const STRANGER: &str = "stranger";

#[derive(Debug)]
pub struct LocalStack {
    /// None once it was ended.
    stack: Mutex<Option<Stack>>,
    root: PathBuf,
    stranger: ClusterUser,
    pub git: GitServer,
    pub vault_address: String,
    pub vault_token: String,
    pub vault_token_file: PathBuf,
    kubeconfig: PathBuf,
}

impl LocalStack {
    pub async fn start() -> anyhow::Result<Self> {
        // The clients of this process need one, and every service brings its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stranger = ClusterUser::new(STRANGER, Vec::new());
        let options = StackOptions {
            nats: None,
            cluster: Some(ClusterOptions {
                users: vec![stranger.clone()],
                ..ClusterOptions::default()
            }),
            vault: VaultPart::DevServer,
        };
        let stack = Stack::start(&options).await?;
        let repositories = stack.folder().join("repositories");
        std::fs::create_dir_all(repositories.join("private"))?;
        let git = GitServer::start(&repositories).await?;
        let vault = stack.vault.as_ref().context("the stack has no Vault")?;
        let vault_token = vault.root_token().expose_secret().to_owned();
        let vault_token_file = stack.folder().join("vault.token");
        std::fs::write(&vault_token_file, &vault_token)?;
        let cluster = stack.cluster.as_ref().context("the stack has no cluster")?;
        let kubeconfig = cluster.kubeconfig().to_owned();
        let vault_address = vault.address();
        Ok(Self {
            root: stack.folder().to_owned(),
            stack: Mutex::new(Some(stack)),
            stranger,
            git,
            vault_address,
            vault_token,
            vault_token_file,
            kubeconfig,
        })
    }

    /// The one of this run.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<Result<LocalStack, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| outside(Self::start()).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("the local stack did not start: {error}"))
    }

    /// Kills cluster and Vault and removes all files. Without it, the files of a run stay until the next one starts.
    pub fn end(&self) {
        let mut stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner);
        drop(stack.take());
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The token of the user who may do nothing.
    pub fn token_of_stranger(&self) -> String {
        self.stranger.token.expose_secret().to_owned()
    }

    /// A new folder, gone with the stack.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(name);
        std::fs::create_dir(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(path)
    }

    /// Writes a KV v2 secret at `secret/<path>`.
    pub async fn write_secret(&self, path: &str, data: &serde_json::Value) -> anyhow::Result<()> {
        let url = format!("{}/v1/secret/data/{path}", self.vault_address);
        reqwest::Client::builder()
            .no_proxy()
            .build()?
            .post(url)
            .header("X-Vault-Token", &self.vault_token)
            .json(&serde_json::json!({ "data": data }))
            .send()
            .await?
            .error_for_status()
            .context("writing a secret to Vault")?;
        Ok(())
    }
}

/// Runs `work` on the runtime that lives as long as the process, from whatever thread.
pub fn outside<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap_or_else(|error| panic!("a runtime can't be made: {error}"))
    });
    let (sender, receiver) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        // Nobody listens any more only when the caller panicked.
        let _ = sender.send(work.await);
    });
    receiver
        .recv()
        .unwrap_or_else(|_| panic!("the work on the common runtime panicked"))
}
