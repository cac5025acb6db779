//! Git objects of one repository: a bare object database in the scratch folder, filled from packs, or one that is there.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use bus::Digest;
use git2::{Indexer, ObjectType, Oid, Repository};

use super::TreeError;
use super::pack::PackLimits;

/// Parsed trees kept for the next render, and their entries together.
const KEPT_TREES: usize = 512;
const KEPT_ENTRIES: usize = 200_000;
/// Bytes of one tree as Git has it: a folder of some 250,000 files.
const MAX_LISTING: usize = 16 << 20;
/// How long indexing one pack may take: some twenty times what the largest one takes.
const INDEXING: Duration = Duration::from_mins(5);

/// Files up to this size are kept by libgit2 as it unpacked them, this many bytes of all databases together: a chart is read again for
/// each environment, and unpacking takes longer than all else that is done with a file.
const KEPT_FILE: usize = 2 << 20;
const KEPT_FILES: isize = 24 << 20;

/// Packs are checked by their digest when they are fetched, and every object when they are indexed; a repository that is there is
/// taken as Git itself takes it. Hashing each file again whenever it is read would take longer than reading it.
static SETTINGS: Once = Once::new();

fn settle() {
    SETTINGS.call_once(|| {
        git2::opts::strict_hash_verification(false);
        // SAFETY: only databases of this module read these settings, and each is made after they were set once.
        #[expect(unsafe_code, reason = "libgit2 keeps them in variables of the process")]
        // What can't be set stays as it is, which is slower and no other.
        let _ = unsafe {
            git2::opts::set_cache_object_limit(ObjectType::Blob, KEPT_FILE)
                .and_then(|()| git2::opts::set_cache_max_size(KEPT_FILES))
        };
    });
}

/// An object database, shared by renders.
pub struct Database {
    inner: Mutex<Inner>,
    /// Deleted with the database; none for one that was there.
    _folder: Option<tempfile::TempDir>,
}

struct Inner {
    repository: Repository,
    packs: HashSet<Digest>,
    trees: HashMap<Oid, Arc<Vec<Entry>>>,
    entries: usize,
    /// Bytes of all packs.
    bytes: u64,
}

/// One line of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: EntryKind,
    pub(crate) oid: Oid,
}

impl Entry {
    /// Its name in a [`bus::message::render::Listing`].
    pub(super) fn listed_name(&self) -> String {
        match self.kind {
            EntryKind::Folder => format!("{}/", self.name),
            EntryKind::File | EntryKind::Link | EntryKind::Submodule => self.name.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Folder,
    Link,
    /// A submodule's commit: its files are in another repository.
    Submodule,
}

impl Database {
    /// An empty one in a folder of its own under `scratch`.
    pub fn create(scratch: &Path) -> Result<Self, TreeError> {
        let folder = tempfile::Builder::new()
            .prefix("objects-")
            .tempdir_in(scratch)
            .map_err(|source| TreeError::Scratch {
                path: scratch.display().to_string(),
                source,
            })?;
        settle();
        let repository = Repository::init_bare(folder.path()).map_err(TreeError::Git)?;
        Ok(Self::new(repository, Some(folder)))
    }

    /// The objects of an existing repository, bare or not; nothing is written to it.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        settle();
        Ok(Self::new(
            Repository::open(path).map_err(TreeError::Git)?,
            None,
        ))
    }

    fn new(repository: Repository, folder: Option<tempfile::TempDir>) -> Self {
        let inner = Inner {
            repository,
            packs: HashSet::new(),
            trees: HashMap::new(),
            entries: 0,
            bytes: 0,
        };
        Self {
            inner: Mutex::new(inner),
            _folder: folder,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half done in Inner when a holder panics.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn ids_for_tests(&self) -> Vec<Oid> {
        let mut ids = Vec::new();
        let inner = self.lock();
        let odb = inner.repository.odb().unwrap();
        odb.foreach(|id| {
            ids.push(*id);
            true
        })
        .unwrap();
        ids
    }

    #[cfg(test)]
    pub(super) fn lock_for_tests(&self) -> impl std::ops::Deref<Target = Repository> {
        struct Held<'a>(MutexGuard<'a, Inner>);
        impl std::ops::Deref for Held<'_> {
            type Target = Repository;
            fn deref(&self) -> &Repository {
                &self.0.repository
            }
        }
        Held(self.lock())
    }

    /// Which of the packs were not added yet, in their order.
    pub(crate) fn lacks(&self, packs: &[Digest]) -> Vec<Digest> {
        let inner = self.lock();
        packs
            .iter()
            .filter(|pack| !inner.packs.contains(*pack))
            .cloned()
            .collect()
    }

    /// Bytes of the packs that were added.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// How many packs it holds that are not among these.
    pub(crate) fn surplus(&self, packs: &[Digest]) -> usize {
        self.lock()
            .packs
            .iter()
            .filter(|pack| !packs.contains(pack))
            .count()
    }

    /// Adds the objects of a pack; deltas may be against objects of packs added before.
    pub fn add(&self, digest: &Digest, pack: &[u8]) -> Result<(), TreeError> {
        super::pack::check(pack, PackLimits::DEFAULT).map_err(|source| TreeError::BadPack {
            pack: digest.clone(),
            source,
        })?;
        let mut inner = self.lock();
        let folder = inner.repository.path().join("objects/pack");
        let until = Instant::now() + INDEXING;
        let index = || -> Result<(), git2::Error> {
            std::fs::create_dir_all(&folder)
                .map_err(|error| git2::Error::from_str(&error.to_string()))?;
            let odb = inner.repository.odb()?;
            // Not verified for connectivity: an incremental pack lacks what the one before it has.
            let mut indexer = Indexer::new(Some(&odb), &folder, 0o600, false)?;
            // Deltas in an order of malice take time that grows with their number squared.
            indexer.progress(|_| Instant::now() < until);
            indexer
                .write_all(pack)
                .map_err(|error| git2::Error::from_str(&error.to_string()))?;
            indexer.commit()?;
            odb.refresh()
        };
        index().map_err(|source| {
            let pack = digest.clone();
            if Instant::now() < until {
                TreeError::Pack { pack, source }
            } else {
                let seconds = INDEXING.as_secs();
                TreeError::SlowPack { pack, seconds }
            }
        })?;
        inner.packs.insert(digest.clone());
        inner.bytes += pack.len() as u64;
        Ok(())
    }

    /// Size of a file's object.
    pub(crate) fn size(&self, oid: Oid) -> Result<usize, TreeError> {
        let inner = self.lock();
        let odb = inner.repository.odb().map_err(TreeError::Git)?;
        odb.read_header(oid)
            .map(|(size, _)| size)
            .map_err(|error| failed(oid, error))
    }

    pub(crate) fn blob(&self, oid: Oid) -> Result<Vec<u8>, TreeError> {
        let inner = self.lock();
        let odb = inner.repository.odb().map_err(TreeError::Git)?;
        let object = odb.read(oid).map_err(|error| failed(oid, error))?;
        Ok(object.data().to_vec())
    }

    /// The entries of a tree, sorted as Git sorts them. `path` is where it was met.
    pub(crate) fn tree(&self, oid: Oid, path: &str) -> Result<Arc<Vec<Entry>>, TreeError> {
        let mut inner = self.lock();
        if let Some(entries) = inner.trees.get(&oid) {
            return Ok(Arc::clone(entries));
        }
        let entries = {
            let odb = inner.repository.odb().map_err(TreeError::Git)?;
            let (size, kind) = odb.read_header(oid).map_err(|error| failed(oid, error))?;
            if kind != ObjectType::Tree {
                return Err(TreeError::NotATree(oid));
            }
            if size > MAX_LISTING {
                return Err(TreeError::ListingTooLarge {
                    path: path.to_owned(),
                    size,
                    limit: MAX_LISTING,
                });
            }
            let object = odb.read(oid).map_err(|error| failed(oid, error))?;
            Arc::new(parse(object.data()).ok_or(TreeError::NotATree(oid))?)
        };
        if inner.trees.len() >= KEPT_TREES || inner.entries + entries.len() > KEPT_ENTRIES {
            inner.trees.clear();
            inner.entries = 0;
        }
        inner.entries += entries.len();
        inner.trees.insert(oid, Arc::clone(&entries));
        Ok(entries)
    }
}

fn failed(oid: Oid, error: git2::Error) -> TreeError {
    if error.code() == git2::ErrorCode::NotFound {
        TreeError::MissingObject(oid)
    } else {
        TreeError::Git(error)
    }
}

fn parse(mut data: &[u8]) -> Option<Vec<Entry>> {
    const ID: usize = 20;
    let mut entries = Vec::new();
    while !data.is_empty() {
        let space = data.iter().position(|byte| *byte == b' ')?;
        let end = data.iter().position(|byte| *byte == 0)?;
        let id = data.get(end + 1..end + 1 + ID)?;
        let kind = match data.get(..space)? {
            b"40000" | b"040000" => EntryKind::Folder,
            b"120000" => EntryKind::Link,
            b"160000" => EntryKind::Submodule,
            _ => EntryKind::File,
        };
        entries.push(Entry {
            name: String::from_utf8_lossy(data.get(space + 1..end)?).into_owned(),
            kind,
            oid: Oid::from_bytes(id).ok()?,
        });
        data = &data[end + 1 + ID..];
    }
    Some(entries)
}
