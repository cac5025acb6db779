//! What a bare repository holds of a remote that isn't Git: which versions are unpacked as which trees, and what each target revision
//! was last. So nothing is downloaded twice, and what was had is there when the host isn't.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::Oid;
use serde::{Deserialize, Serialize};

use super::error::FetchError;
use super::session::has;
use super::{Revision, git};

const FILE: &str = "towline.json";
/// Versions and target revisions that are remembered, at most.
const MAX: usize = 2000;

/// The notes of one remote.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Notes {
    /// Target revision → version or digest.
    targets: BTreeMap<String, String>,
    versions: BTreeMap<String, Version>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Version {
    tree: String,
    /// What tells this content from another of the same version: a digest, or an ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

pub(super) struct Kept {
    path: PathBuf,
    folder: PathBuf,
    notes: Notes,
}

impl Kept {
    /// Opens the bare repository at `folder`, or makes it. Notes that can't be read are none.
    pub(super) fn open(folder: &Path) -> Result<Self, FetchError> {
        git::open(folder)?;
        let path = folder.join(FILE);
        let notes = std::fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ok(Self {
            path,
            folder: folder.to_owned(),
            notes,
        })
    }

    /// A version that is there, if it is still what `proof` says; a host that says nothing is believed to change no version.
    pub(super) fn version(&self, id: &str, proof: Option<&str>) -> Option<Revision> {
        let version = self.notes.versions.get(id)?;
        if proof.is_some() && version.proof.as_deref() != proof {
            return None;
        }
        let tree = Oid::from_str(&version.tree).ok()?;
        let repository = git::open(&self.folder).ok()?;
        has(&repository, tree).then(|| Revision {
            id: id.into(),
            tree,
            about: None,
        })
    }

    pub(super) fn proof(&self, id: &str) -> Option<&str> {
        self.notes.versions.get(id)?.proof.as_deref()
    }

    /// What a target revision was last.
    pub(super) fn target(&self, target: &str) -> Option<Revision> {
        let id = self.notes.targets.get(target);
        self.version(id.map_or(target, String::as_str), None)
    }

    pub(super) fn remember(&mut self, target: &str, revision: &Revision, proof: Option<&str>) {
        let Notes { targets, versions } = &mut self.notes;
        // Which of that many is needed again is unknown.
        if targets.len() >= MAX || versions.len() >= MAX {
            targets.clear();
            versions.clear();
        }
        targets.insert(target.to_owned(), revision.id.to_string());
        let version = Version {
            tree: revision.tree.to_string(),
            proof: proof.map(str::to_owned),
        };
        versions.insert(revision.id.to_string(), version);
    }

    pub(super) fn save(&self) {
        let partial = self.path.with_extension("partial");
        let written = serde_json::to_vec(&self.notes)
            .map_err(std::io::Error::other)
            .and_then(|text| std::fs::write(&partial, text))
            .and_then(|()| std::fs::rename(&partial, &self.path));
        if let Err(error) = written {
            // It is only downloaded again.
            tracing::debug!(%error, "can't note what was fetched");
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was fetched for a target; else, if the host can't be asked, what it was last.
    pub(super) fn settle(
        &mut self,
        target: &Arc<str>,
        fetched: Result<(Revision, Option<String>), FetchError>,
    ) -> Result<Revision, FetchError> {
        match fetched {
            Ok((revision, proof)) => {
                self.remember(target, &revision, proof.as_deref());
                Ok(revision)
            }
            Err(error) if error.is_outage() => self.target(target).ok_or(error).inspect(|_| {
                tracing::info!(%target, "the host can't be asked: what was had counts");
            }),
            Err(error) => Err(error),
        }
    }
}
