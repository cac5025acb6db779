//! A Vault dev server: unsealed, in memory, a KV v2 engine at `secret/`.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    component::Component,
    http::{self, HttpError, Trust},
    locate::{LocateError, locate},
    port::{self, NoPort, PortTaken},
    process::{Process, ProcessError, Program},
    token,
};

const READY_WITHIN: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error(transparent)]
    Locate(#[from] LocateError),
    #[error(transparent)]
    NoPort(#[from] NoPort),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("Vault runs: kill it before it is started again")]
    Runs,
}

/// A Vault of our own. It keeps its address and root token over kill and start,
/// and nothing else: a dev server's store is its memory.
pub struct Vault {
    program: Program,
    client: Client,
    root_token: SecretString,
    port: u16,
    process: Option<Process>,
}

impl Vault {
    /// Starts a server that logs under `folder`, which must exist.
    pub async fn start(folder: &Path) -> Result<Self, VaultError> {
        let executable = locate(Component::Vault).await?;
        let client = http::client(Trust::default())?;
        port::start_on_free(|| async {
            let port = port::free()?;
            let mut vault = Self::new(executable.clone(), client.clone(), folder, port);
            vault.start_again().await?;
            Ok(vault)
        })
        .await
    }

    /// `http://127.0.0.1:<port>`, the same after a restart.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn root_token(&self) -> &SecretString {
        &self.root_token
    }

    /// The running server's process, for its pid, its log and its end.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// SIGKILL. What it held is lost, as with any dev server.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Starts the killed server again, empty, at the same address.
    pub async fn start_again(&mut self) -> Result<(), VaultError> {
        if self.process.as_ref().is_some_and(|p| p.ended().is_none()) {
            return Err(VaultError::Runs);
        }
        let process = Process::start(&self.program)?;
        process
            .ready(READY_WITHIN, || self.secrets_engine())
            .await?;
        self.process = Some(process);
        Ok(())
    }

    fn new(executable: PathBuf, client: Client, folder: &Path, port: u16) -> Self {
        let root_token = token::random();
        let arguments: Vec<OsString> = vec![
            "server".into(),
            "-dev".into(),
            // Else it overwrites the token of the user's own Vault.
            "-dev-no-store-token".into(),
            format!("-dev-listen-address=127.0.0.1:{port}").into(),
        ];
        // Arguments are visible to every user of the machine: tokens are not for them.
        let environment = vec![
            (
                "VAULT_DEV_ROOT_TOKEN_ID".to_owned(),
                root_token.clone().into(),
            ),
            ("HOME".to_owned(), folder.into()),
        ];
        Self {
            program: Program {
                name: Component::Vault.name().to_owned(),
                executable,
                arguments,
                environment,
                folder: Some(folder.to_owned()),
                log: folder.join("vault.log"),
            },
            client,
            root_token: root_token.into(),
            port,
            process: None,
        }
    }

    /// The KV engine answers last, and only our own server knows the token.
    async fn secrets_engine(&self) -> Result<(), String> {
        let answer = self
            .client
            .get(format!("{}/v1/secret/config", self.address()))
            .header("X-Vault-Token", self.root_token.expose_secret())
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("its KV engine answers {status}")),
        }
    }
}

impl PortTaken for VaultError {
    fn is_port_taken(&self) -> bool {
        matches!(self, Self::Process(error) if error.is_address_in_use())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("port", &self.port)
            .field("root_token", &"<redacted>")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
