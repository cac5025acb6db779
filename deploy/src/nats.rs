//! A nats-server with JetStream, its store in the work folder.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::{
    component::Component,
    locate::{LocateError, locate},
    port::{self, NoPort, PortTaken},
    process::{Process, ProcessError, Program},
    token,
};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// The server's configuration file. Address, name, JetStream and store come on
/// the command line and win over what a file says of them.
#[derive(Clone, Debug)]
pub enum NatsConfig {
    /// Written for the server: `include` is nats-server configuration text, such
    /// as `accounts { … }` and `authorization { … }`, or nothing.
    Generated { include: String },
    /// A file of the caller's.
    File(PathBuf),
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self::Generated {
            include: String::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    #[error(transparent)]
    Locate(#[from] LocateError),
    #[error(transparent)]
    NoPort(#[from] NoPort),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the NATS server runs: kill it before its store is wiped or it is started again")]
    Runs,
}

/// A NATS server of our own. It keeps its port over kill and start.
#[derive(Debug)]
pub struct Nats {
    program: Program,
    server_name: String,
    store: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Nats {
    /// Starts a server that keeps everything under `folder`, which must exist.
    pub async fn start(config: &NatsConfig, folder: &Path) -> Result<Self, NatsError> {
        let executable = locate(Component::NatsServer).await?;
        let config = match config {
            NatsConfig::File(path) => path.clone(),
            NatsConfig::Generated { include } => {
                let path = folder.join("nats.conf");
                fs::write(&path, include).map_err(file_error("write", &path))?;
                path
            }
        };
        port::start_on_free(|| async {
            let port = port::free()?;
            let mut nats = Self::new(executable.clone(), &config, folder, port);
            nats.start_again().await?;
            Ok(nats)
        })
        .await
    }

    /// `nats://127.0.0.1:<port>`, the same after a restart.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The running server's process, for its pid, its log and its end.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// SIGKILL, as a crash would be: nothing is flushed.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Deletes all that JetStream kept. The server must be killed before.
    pub fn wipe(&self) -> Result<(), NatsError> {
        self.must_be_down()?;
        match fs::remove_dir_all(&self.store) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(file_error("delete", &self.store)(source))
            }
            _ => Ok(()),
        }
    }

    /// Starts the killed server again, on its port, with what its store holds.
    pub async fn start_again(&mut self) -> Result<(), NatsError> {
        self.must_be_down()?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.store)
            .map_err(file_error("create", &self.store))?;
        let process = Process::start(&self.program)?;
        process
            .ready(READY_WITHIN, || greeting(self.port, &self.server_name))
            .await?;
        self.process = Some(process);
        Ok(())
    }

    fn new(executable: PathBuf, config: &Path, folder: &Path, port: u16) -> Self {
        // Only the server that has this name is ours, whoever else has the port.
        let server_name = format!("towline-{}", &token::random()[..16]);
        let store = folder.join("jetstream");
        let port_text = port.to_string();
        let arguments: Vec<OsString> = vec![
            "--config".into(),
            config.into(),
            "--addr".into(),
            "127.0.0.1".into(),
            "--port".into(),
            port_text.into(),
            "--name".into(),
            server_name.clone().into(),
            "--jetstream".into(),
            "--store_dir".into(),
            store.clone().into(),
        ];
        Self {
            program: Program {
                name: Component::NatsServer.name().to_owned(),
                executable,
                arguments,
                environment: Vec::new(),
                folder: Some(folder.to_owned()),
                log: folder.join("nats-server.log"),
            },
            server_name,
            store,
            port,
            process: None,
        }
    }

    fn must_be_down(&self) -> Result<(), NatsError> {
        match &self.process {
            Some(process) if process.ended().is_none() => Err(NatsError::Runs),
            _ => Ok(()),
        }
    }
}

impl PortTaken for NatsError {
    fn is_port_taken(&self) -> bool {
        matches!(self, Self::Process(error) if error.is_address_in_use())
    }
}

/// The server greets each connection with its name and whether JetStream is up,
/// before it asks who is there: readiness needs no user.
async fn greeting(port: u16, server_name: &str) -> Result<(), String> {
    let stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .await
        .map_err(|error| error.to_string())?;
    let json = line.strip_prefix("INFO ").unwrap_or_default();
    let info: serde_json::Value =
        serde_json::from_str(json).map_err(|_| format!("it greets with {line:?}"))?;
    if info["server_name"] != server_name {
        return Err(format!("another server answers on port {port}"));
    }
    if info["jetstream"] != true {
        return Err("JetStream is not enabled yet".to_owned());
    }
    Ok(())
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NatsError {
    let path = path.to_owned();
    move |source| NatsError::File {
        action,
        path,
        source,
    }
}
