//! What a bare repository holds of a remote that isn't Git: which versions are unpacked as which trees, and what each target revision
//! was last. So nothing is downloaded twice, and what was had is there when the host isn't.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::Oid;
use serde::{Deserialize, Serialize};

use super::error::FetchError;
use super::session::has;
use super::{Revision, git};

const FILE: &str = "towline.json";
/// Below it, a reference for each tree, so that Git's own collection leaves it.
const REFERENCES: &str = "refs/towline/";
/// Versions and target revisions that are remembered, at most.
const MAX: usize = 2000;

/// How a host is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// What is there isn't brought again, unless the host says that it is another.
    Usual,
    /// Everything is brought again: a hard refresh.
    Hard,
}

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
    /// What tells this content from another of the same version: a digest, or an `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

pub(super) struct Kept {
    path: PathBuf,
    folder: PathBuf,
    look: Look,
    notes: Notes,
}

impl Kept {
    /// Opens the bare repository at `folder`, or makes it. Notes that can't be read are none.
    pub(super) fn open(folder: &Path, look: Look) -> Result<Self, FetchError> {
        git::open(folder)?;
        let path = folder.join(FILE);
        let notes = std::fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ok(Self {
            path,
            folder: folder.to_owned(),
            look,
            notes,
        })
    }

    /// A version that is there, if it is still what `proof` says.
    pub(super) fn version(&self, id: &str, proof: Option<&str>) -> Option<Revision> {
        let known = self.notes.versions.get(id)?.proof.as_deref();
        (self.look == Look::Usual && (proof.is_none() || known == proof))
            .then(|| self.had(id))
            .flatten()
    }

    fn had(&self, id: &str) -> Option<Revision> {
        let version = self.notes.versions.get(id)?;
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

    pub(super) const fn look(&self) -> Look {
        self.look
    }

    /// What a target revision was last.
    pub(super) fn target(&self, target: &str) -> Option<Revision> {
        let id = self.notes.targets.get(target);
        self.had(id.map_or(target, String::as_str))
    }

    /// The same, where that isn't to be brought again.
    pub(super) fn trusted(&self, target: &str) -> Option<Revision> {
        self.target(target).filter(|_| self.look == Look::Usual)
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

    /// Holds the trees by references. Not those of a Git repository, whose own fetch reads all references. Blocks.
    pub(super) fn hold(&self) {
        if let Err(error) = self.refer() {
            // Nobody collects here but by hand.
            tracing::debug!(%error, "can't hold what was fetched by references");
        }
    }

    /// Writes the notes down. Blocks.
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

    fn refer(&self) -> Result<(), git2::Error> {
        let repository = git2::Repository::open_bare(&self.folder)?;
        let trees = self.notes.versions.values();
        let mut missing: BTreeSet<&str> = trees.map(|version| version.tree.as_str()).collect();
        for reference in repository.references_glob(&format!("{REFERENCES}*"))? {
            let mut reference = reference?;
            let name = reference.name().unwrap_or_default().to_owned();
            if !missing.remove(name.strip_prefix(REFERENCES).unwrap_or_default()) {
                reference.delete()?;
            }
        }
        for tree in missing {
            let name = format!("{REFERENCES}{tree}");
            repository.reference(&name, Oid::from_str(tree)?, true, "fetched")?;
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was fetched for a target; else, if the host can't be asked, what it was last, with the reason.
    pub(super) fn settle(
        &mut self,
        target: &Arc<str>,
        fetched: Result<(Revision, Option<String>), FetchError>,
    ) -> (Result<Revision, FetchError>, Option<FetchError>) {
        match fetched {
            Ok((revision, proof)) => {
                self.remember(target, &revision, proof.as_deref());
                (Ok(revision), None)
            }
            Err(error) if error.is_outage() => {
                let had = self.target(target).inspect(|_| {
                    tracing::info!(%target, %error, "the host can't be asked: what was had counts");
                });
                (had.ok_or_else(|| error.clone()), Some(error))
            }
            Err(error) => (Err(error), None),
        }
    }
}
