//! All parts of the local stack under one roof: one work folder, started in
//! parallel, stopped together.

use std::{fs, io, path::PathBuf};

use crate::{
    cluster::{Cluster, ClusterError, ClusterOptions},
    component::Component,
    folder::{FolderError, WorkFolder},
    locate::{LocateError, prepare},
    nats::{Nats, NatsConfig, NatsError},
    vault::{Vault, VaultError},
};

/// Which parts to start. What is left out is neither built nor started: the
/// caller has one of its own, or no use for it.
#[derive(Clone, Debug, Default)]
pub struct StackOptions {
    pub nats: Option<NatsConfig>,
    pub cluster: Option<ClusterOptions>,
    pub vault: VaultPart,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VaultPart {
    #[default]
    Absent,
    DevServer,
}

#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error(transparent)]
    Locate(#[from] LocateError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("cannot create {}", path.display())]
    PartFolder { path: PathBuf, source: io::Error },
    #[error("the NATS server of the local stack did not start")]
    Nats(#[from] NatsError),
    #[error("the cluster of the local stack did not start")]
    Cluster(#[from] ClusterError),
    #[error("the Vault of the local stack did not start")]
    Vault(#[from] VaultError),
}

/// A running local stack. Dropping it kills all of it and removes its files.
#[derive(Debug)]
pub struct Stack {
    // In the order of their ends: the folder goes when nobody writes to it.
    pub nats: Option<Nats>,
    pub cluster: Option<Cluster>,
    pub vault: Option<Vault>,
    folder: WorkFolder,
}

impl StackOptions {
    /// Everything, with defaults.
    pub fn all() -> Self {
        Self {
            nats: Some(NatsConfig::default()),
            cluster: Some(ClusterOptions::default()),
            vault: VaultPart::DevServer,
        }
    }

    /// What it takes to start them.
    pub fn components(&self) -> Vec<Component> {
        let mut components = Vec::new();
        if self.nats.is_some() {
            components.push(Component::NatsServer);
        }
        if let Some(cluster) = &self.cluster {
            components.extend(cluster.components());
        }
        if self.vault == VaultPart::DevServer {
            components.push(Component::Vault);
        }
        components
    }
}

impl Stack {
    /// Finds or builds what `options` asks for, starts it, and returns when all of
    /// it is ready. On a failure everything is stopped again, but the folder with
    /// the logs stays until the next stack starts.
    pub async fn start(options: &StackOptions) -> Result<Self, StackError> {
        prepare(&options.components()).await?;
        let folder = WorkFolder::new()?;
        match start_parts(options, &folder).await {
            Ok((nats, cluster, vault)) => Ok(Self {
                nats,
                cluster,
                vault,
                folder,
            }),
            Err(error) => {
                folder.keep();
                Err(error)
            }
        }
    }

    /// Where stores, keys and logs are, a folder for each part.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Ends all processes and removes the folder. Nothing here is worth a
    /// graceful end: the stores go with it.
    pub async fn stop(mut self) {
        let nats = async {
            if let Some(nats) = &mut self.nats {
                nats.kill().await;
            }
        };
        let cluster = async {
            if let Some(cluster) = &mut self.cluster {
                cluster.kill().await;
            }
        };
        let vault = async {
            if let Some(vault) = &mut self.vault {
                vault.kill().await;
            }
        };
        tokio::join!(nats, cluster, vault);
    }
}

async fn start_parts(
    options: &StackOptions,
    folder: &WorkFolder,
) -> Result<(Option<Nats>, Option<Cluster>, Option<Vault>), StackError> {
    let part = |name| {
        let path = folder.path().join(name);
        match fs::create_dir(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(StackError::PartFolder { path, source }),
        }
    };
    let nats = async {
        let Some(config) = &options.nats else {
            return Ok(None);
        };
        Ok::<_, StackError>(Some(Nats::start(config, &part("nats")?).await?))
    };
    let cluster = async {
        let Some(cluster) = &options.cluster else {
            return Ok(None);
        };
        Ok(Some(Cluster::start(cluster, &part("cluster")?).await?))
    };
    let vault = async {
        match options.vault {
            VaultPart::Absent => Ok(None),
            VaultPart::DevServer => Ok(Some(Vault::start(&part("vault")?).await?)),
        }
    };
    tokio::try_join!(nats, cluster, vault)
}
