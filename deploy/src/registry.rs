//! A registry (OCI distribution) in memory, by plain HTTP, for charts and other artifacts of tests.

use std::{path::Path, time::Duration};

use crate::{
    component::Component,
    locate::{LocateError, locate},
    port::{self, NoPort, PortTaken},
    process::{Process, ProcessError, Program},
};

const READY_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(transparent)]
    Locate(#[from] LocateError),
    #[error(transparent)]
    NoPort(#[from] NoPort),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// A registry of our own. What it holds is gone with it.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    process: Process,
}

impl Registry {
    /// Starts a registry that logs under `folder`, which must exist.
    pub async fn start(folder: &Path) -> Result<Self, RegistryError> {
        let executable = locate(Component::Registry).await?;
        port::start_on_free(|| async {
            let port = port::free()?;
            let process = Process::start(&Program {
                name: Component::Registry.name().to_owned(),
                executable: executable.clone(),
                arguments: vec![format!("-port={port}").into()],
                environment: Vec::new(),
                folder: Some(folder.to_owned()),
                log: folder.join("registry.log"),
            })?;
            // It says so itself, which nobody else on that port can.
            let serving = format!("serving on port {port}");
            let probe = || async {
                let said = process.log_tail();
                said.contains(&serving)
                    .then_some(())
                    .ok_or_else(|| "it doesn't say that it serves".to_owned())
            };
            process.ready(READY_WITHIN, probe).await?;
            Ok(Self { port, process })
        })
        .await
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process, for its pid, its log and its end.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

impl PortTaken for RegistryError {
    fn is_port_taken(&self) -> bool {
        matches!(self, Self::Process(error) if error.is_address_in_use())
    }
}
