//! What a running `towline up` says of itself, so that other commands find it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::up::keys::{create_private_folder, write_private};

/// `{"services":[{"name","pid","admin"}],"webhook":URL, …}`. Names files and addresses; holds no secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StateFile {
    pub services: Vec<ServiceState>,
    pub webhook: String,
    /// The web page, and the API under `/api/v1`.
    pub monitor: String,
    pub nats: String,
    /// The seed of the user that follows events, where the broker asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats_operator_seed: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
    pub namespace: String,
    /// Where the services log.
    pub logs: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceState {
    pub name: String,
    pub pid: u32,
    /// URL of `/livez`, `/readyz`, `/metrics`.
    pub admin: String,
}

impl StateFile {
    /// Where `up` writes, and others look, unless told otherwise.
    pub(crate) fn default_path() -> Option<PathBuf> {
        let base = std::env::var_os("XDG_STATE_HOME")
            .map(PathBuf::from)
            .or_else(|| {
                std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"))
            })?;
        Some(base.join("towline/up.json"))
    }

    /// Writes it so that no reader sees a part.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        {
            create_private_folder(folder)?;
        }
        let partial = path.with_extension("partial");
        write_private(&partial, &serde_json::to_string_pretty(self)?)?;
        std::fs::rename(&partial, path).with_context(|| format!("writing {}", path.display()))
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "reading {}: is `towline up` running? Otherwise give --server and --token",
                path.display()
            )
        })?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a state file of `towline up`", path.display()))
    }
}
