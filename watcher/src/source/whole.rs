//! A repository with everything that belongs to it though it is kept elsewhere: submodules, and files of Git LFS. Blocking.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use git2::{FileMode, ObjectType, Oid, Repository};
use sha2::{Digest, Sha256};

use super::access::Access;
use super::error::FetchError;
use super::graft::{Graft, graft};
use super::location::{Location, LocationError, Transport};
use super::submodule::{self, Submodule};
use super::{Limits, Revisions, git, lfs};
use crate::snapshot;

/// Submodules of submodules.
const MAX_DEPTH: usize = 16;
/// Submodules of one revision, with theirs.
const MAX_SUBMODULES: usize = 500;

/// The other repositories that a repository's files name.
pub trait Others: Send + Sync {
    /// Whether and as whom one is fetched, by what is configured for its URL for all projects.
    fn other(&self, url: &str) -> Result<(Location, Access), LocationError>;
}

/// Fetches as [`git::fetch`] does, and fills in what belongs to each revision: its tree is then another than the commit's.
pub fn fetch<'a>(
    repository: &Repository,
    location: &Location,
    access: &Access,
    wanted: impl IntoIterator<Item = &'a Arc<str>>,
    limits: Limits,
    submodules: Option<&dyn Others>,
) -> Result<Revisions, FetchError> {
    let mut revisions = git::fetch(repository, location, access, wanted, limits)?;
    for found in revisions.values_mut() {
        let Ok(revision) = found else { continue };
        let mut filling = Filling {
            limits,
            others: submodules,
            submodules: 0,
        };
        match filling.fill(repository, location, access, revision.tree, 0) {
            Ok(tree) => revision.tree = tree,
            Err(error) => *found = Err(error),
        }
    }
    Ok(revisions)
}

struct Filling<'a> {
    limits: Limits,
    others: Option<&'a dyn Others>,
    submodules: usize,
}

impl Filling<'_> {
    fn fill(
        &mut self,
        repository: &Repository,
        location: &Location,
        access: &Access,
        tree: Oid,
        depth: usize,
    ) -> Result<Oid, FetchError> {
        let tree = self.with_submodules(repository, location, access, tree, depth)?;
        if access.lfs {
            return lfs::fill(repository, location, access, tree, self.limits);
        }
        Ok(tree)
    }

    fn with_submodules(
        &mut self,
        repository: &Repository,
        location: &Location,
        access: &Access,
        tree: Oid,
        depth: usize,
    ) -> Result<Oid, FetchError> {
        let local = |error| FetchError::local(repository, error);
        let Some(others) = self.others else {
            return Ok(tree);
        };
        let root = repository.find_tree(tree).map_err(local)?;
        let Some(file) = root.get_name(".gitmodules") else {
            return Ok(tree);
        };
        let Ok(text) = repository.find_blob(file.id()) else {
            return Ok(tree);
        };
        let submodules = submodule::parse(text.content()).map_err(|reason| {
            let reason = reason.to_string();
            FetchError::file(location, ".gitmodules", reason)
        })?;
        let mut grafts = BTreeMap::new();
        for submodule in submodules {
            let Ok(entry) = root.get_path(submodule.path.as_ref()) else {
                continue;
            };
            if entry.kind() != Some(ObjectType::Commit) {
                continue;
            }
            let at = |error| FetchError::Submodule {
                path: submodule.path.chars().take(200).collect(),
                error: Box::new(error),
            };
            self.submodules += 1;
            if depth >= MAX_DEPTH || self.submodules > MAX_SUBMODULES {
                let reason = format!(
                    "it has more than {MAX_SUBMODULES} submodules, or submodules nested deeper than {MAX_DEPTH}"
                );
                return Err(at(FetchError::file(location, ".gitmodules", reason)));
            }
            let of = Parent {
                repository,
                location,
                access,
            };
            let id = self
                .submodule(&of, others, &submodule, entry.id(), depth)
                .map_err(at)?;
            let mode = FileMode::Tree;
            grafts.insert(submodule.path.clone(), Graft { id, mode });
        }
        if grafts.is_empty() {
            return Ok(tree);
        }
        graft(repository, tree, &grafts).map_err(local)
    }

    /// The whole tree of a submodule's commit, in its parent's copy. A commit is only ever fetched once.
    fn submodule(
        &mut self,
        of: &Parent<'_>,
        others: &dyn Others,
        submodule: &Submodule,
        commit: Oid,
        depth: usize,
    ) -> Result<Oid, FetchError> {
        let unusable = |reason: String| FetchError::file(of.location, ".gitmodules", reason);
        let url = submodule::resolve(of.location.url(), &submodule.url)
            .ok_or_else(|| unusable("its URL leads out of the repository's host".to_owned()))?;
        let (location, own) = others
            .other(&url)
            .map_err(|error| unusable(error.to_string()))?;
        // As Git: whoever writes a repository elsewhere must not choose folders of this host.
        if location.transport == Transport::File && of.location.transport != Transport::File {
            return Err(unusable(
                "its URL is a folder of the watcher's own host".to_owned(),
            ));
        }
        let memo = Memo::of(of.repository, &[&location.identity(), &commit.to_string()]);
        if let Some(tree) = memo.tree(of.repository) {
            return Ok(tree);
        }
        let access = of.access_for(&location, own);
        let local = |error| FetchError::local(of.repository, error);
        let folder = of
            .repository
            .path()
            .join("modules")
            .join(name(&[&location.identity()]));
        let copy = git::open(&folder)?;
        let target: Arc<str> = commit.to_string().into();
        let mut found = git::fetch(&copy, &location, &access, [&target], self.limits)?;
        let revision = found.remove(&target).ok_or_else(|| FetchError::Lost {
            url: location.shown(),
        })??;
        let tree = self.fill(&copy, &location, &access, revision.tree, depth + 1)?;
        let limit = self.limits.bytes as u64;
        let pack = snapshot::pack(&copy, None, tree, limit)
            .map_err(|error| unusable(error.to_string()))?;
        if let Some(pack) = pack {
            let database = of.repository.odb().map_err(local)?;
            let mut writer = database.packwriter().map_err(local)?;
            writer
                .write_all(&pack.bytes)
                .map_err(|error| local(git2::Error::from_str(&error.to_string())))?;
            writer.commit().map_err(local)?;
        }
        memo.keep(tree);
        Ok(tree)
    }
}

struct Parent<'a> {
    repository: &'a Repository,
    location: &'a Location,
    access: &'a Access,
}

impl Parent<'_> {
    /// A submodule is fetched with what is configured for it; else as its parent, as Argo CD does, but never in a way that
    /// hands the parent's password to another host. A key is shown to none.
    fn access_for(&self, location: &Location, own: Access) -> Access {
        let (parent, child) = (self.location.transport, location.transport);
        let same_host = parent == child && self.location.host == location.host;
        let by_key = parent == Transport::Ssh && child == Transport::Ssh;
        if !own.credentials.is_empty() || !(same_host || by_key) {
            return Access { lfs: false, ..own };
        }
        Access {
            lfs: false,
            insecure: own.insecure || same_host && self.access.insecure,
            ..self.access.clone()
        }
    }
}

/// What was filled in before, as a file beside the copy's objects: removed with it.
pub(super) struct Memo(PathBuf);

impl Memo {
    pub(super) fn of(repository: &Repository, what: &[&str]) -> Self {
        Self(repository.path().join("filled").join(name(what)))
    }

    /// The object, if it is still there.
    pub(super) fn tree(&self, repository: &Repository) -> Option<Oid> {
        let text = fs::read_to_string(&self.0).ok()?;
        let id = Oid::from_str(text.trim()).ok()?;
        repository.odb().ok()?.exists(id).then_some(id)
    }

    pub(super) fn keep(&self, id: Oid) {
        let written = self
            .0
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&self.0, id.to_string()));
        if let Err(error) = written {
            // It is only fetched again.
            tracing::debug!(%error, path = %self.0.display(), "can't note what was filled in");
        }
    }
}

fn name(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex::encode(&digest.finalize()[..16])
}
