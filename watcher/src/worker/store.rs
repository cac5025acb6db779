//! A repository's bare copy on disk and its snapshots: everything that blocks, behind one lock.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use bus::message::condition::ConditionType;
use bus::{Bus, BusError, Digest, subject};
use git2::{Oid, Repository};

use crate::intent::Problem;
use crate::links::{Link, Links};
use crate::packs::{self, Packs, Snapshots};
use crate::snapshot::{self, SnapshotError};
use crate::source::access::Access;
use crate::source::error::FetchError;
use crate::source::location::Location;
use crate::source::whole::{self, Others};
use crate::source::{self, Limits, Look, Looked, Remote, Revisions, git};

/// A fetch that doesn't keep to its own deadline is given up after this much more.
const GRACE: Duration = Duration::from_secs(15);
/// Packs of fetches in the copy, after which it is made anew: each look-up asks each of them.
const MAX_FETCHED_PACKS: usize = 200;

#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Bytes of one snapshot's files.
    pub snapshot_bytes: u64,
    /// A full pack is made after so many.
    pub packs: usize,
    /// Whether Git's submodules are fetched.
    pub submodules: bool,
}

type Copy = Arc<Mutex<Option<Repository>>>;

pub struct Store {
    folder: PathBuf,
    /// Held while fetching.
    copy: Copy,
    /// The same for who reads, so that nobody waits for a host.
    reading: Copy,
    /// One pack is made at a time.
    packing: tokio::sync::Mutex<()>,
    snapshots: Mutex<Snapshots>,
    links: Arc<Mutex<Links>>,
    limits: StoreLimits,
    /// As whom submodules are fetched.
    others: Arc<dyn Others>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Open(#[from] FetchError),
    #[error("a blocking task of the repository at {folder} ended without a result")]
    Lost { folder: String },
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("storing a snapshot")]
    Put(#[from] BusError),
    #[error("following the links of tree {tree}")]
    Links { tree: Oid, source: git2::Error },
    #[error("{0}")]
    Outside(Link),
}

impl StoreError {
    /// Whether the same may succeed later without anybody changing the repository.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Open(_) | Self::Lost { .. } | Self::Put(_) => true,
            Self::Snapshot(_) | Self::Links { .. } | Self::Outside(_) => false,
        }
    }

    /// For the application's conditions.
    pub fn problem(&self, remote: &Remote) -> Problem {
        let what = match self {
            Self::Snapshot(SnapshotError::TooLarge { .. }) => format!(
                "{remote} can't be used: {self}. Keep large files elsewhere, or raise the watcher's flag --max-snapshot-bytes"
            ),
            Self::Snapshot(error) => format!("{remote} can't be used: {error}"),
            Self::Outside(_) => format!(
                "{remote} can't be used: {self}. Remove the link, or start the watcher with --allow-oob-symlinks"
            ),
            Self::Links { .. } => format!("{remote} can't be used: {self} failed"),
            Self::Open(_) | Self::Lost { .. } | Self::Put(_) => {
                format!("{remote}: {self} failed; it is tried again by itself")
            }
        };
        (ConditionType::ComparisonError, what)
    }
}

impl Store {
    pub fn new(
        folder: PathBuf,
        adopted: Vec<(Arc<str>, Oid, Packs)>,
        limits: StoreLimits,
        others: Arc<dyn Others>,
    ) -> Self {
        let mut snapshots = Snapshots::default();
        for (target, tree, packs) in adopted {
            snapshots.remember(&target, tree, packs);
        }
        Self {
            folder,
            copy: Arc::default(),
            reading: Arc::default(),
            packing: tokio::sync::Mutex::default(),
            snapshots: Mutex::new(snapshots),
            links: Arc::default(),
            limits,
            others,
        }
    }

    /// Looks at the host and brings what is wanted.
    pub async fn fetch(
        &self,
        remote: &Remote,
        access: &Arc<Access>,
        targets: &[Arc<str>],
        look: Look,
        limits: Limits,
    ) -> Result<Looked, FetchError> {
        match remote {
            Remote::Git(location) => {
                let git = self.git(location.clone(), access, targets, limits);
                Ok(Looked {
                    revisions: git.await?,
                    outage: None,
                })
            }
            remote => source::fetch(remote, access, targets, (&self.folder, look), limits).await,
        }
    }

    async fn git(
        &self,
        location: Location,
        access: &Arc<Access>,
        targets: &[Arc<str>],
        limits: Limits,
    ) -> Result<Revisions, FetchError> {
        let (access, targets) = (Arc::clone(access), targets.to_vec());
        let shown = location.shown();
        let lost = || FetchError::Lost { url: shown.clone() };
        let (copy, folder) = (Arc::clone(&self.copy), self.folder.clone());
        let reading = Arc::clone(&self.reading);
        let others = self.limits.submodules.then(|| Arc::clone(&self.others));
        let task = tokio::task::spawn_blocking(move || {
            let mut copy = match copy.try_lock() {
                Ok(copy) => copy,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // An earlier fetch, given up, still waits for its host.
                Err(TryLockError::WouldBlock) => {
                    return Err(FetchError::Timeout {
                        url: location.shown(),
                    });
                }
            };
            if renew(&mut copy, &folder) {
                *reading.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            let repository = opened(&mut copy, &folder)?;
            let result = whole::fetch(
                repository,
                &location,
                &access,
                &targets,
                limits,
                others.as_deref(),
            );
            if matches!(result, Err(FetchError::Local { .. })) || !folder.exists() {
                // The copy is broken, or was removed under us: the next look makes it anew.
                *copy = None;
                *reading.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            result
        });
        let patience = limits
            .deadline
            .saturating_duration_since(std::time::Instant::now())
            + GRACE;
        match tokio::time::timeout(patience, task).await {
            Ok(ended) => ended.unwrap_or_else(|_| Err(lost())),
            Err(_) => Err(FetchError::Timeout { url: shown }),
        }
    }

    /// Reads from the copy, where blocking is allowed.
    pub async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Repository) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reading, folder) = (Arc::clone(&self.reading), self.folder.clone());
        let task = tokio::task::spawn_blocking(move || {
            let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            opened(&mut reading, &folder).map(job)
        });
        let lost = |_| StoreError::Lost {
            folder: self.folder.display().to_string(),
        };
        Ok(task.await.map_err(lost)??)
    }

    /// The packs that a tree needs, all stored; and how many bytes are new.
    pub async fn snapshot(
        &self,
        bus: &Bus,
        target: &Arc<str>,
        tree: Oid,
    ) -> Result<(Packs, usize), StoreError> {
        let _alone = self.packing.lock().await;
        let base = {
            let snapshots = self.snapshots();
            if let Some(packs) = snapshots.get(tree) {
                return Ok((packs, 0));
            }
            snapshots.base(target, self.limits.packs)
        };
        let base_tree = base.as_ref().map(|(tree, _)| *tree);
        let limit = self.limits.snapshot_bytes;
        let pack = self
            .blocking(move |repository| {
                snapshot::pack(repository, base_tree, tree, limit)
                    .map(|pack| pack.map(|pack| (Digest::of(&pack.bytes), pack.full, pack.bytes)))
            })
            .await??;
        let mut size = 0;
        let pack = match pack {
            Some((digest, full, bytes)) => {
                size = bytes.len();
                bus.objects(&subject::Store::Snapshots)
                    .put(&digest, bytes.into())
                    .await?;
                Some((digest, full))
            }
            None => None,
        };
        let packs = packs::after(base.map(|(_, packs)| packs), pack);
        self.snapshots().remember(target, tree, Arc::clone(&packs));
        Ok((packs, size))
    }

    /// Whether all links below a folder of a tree stay in the tree.
    pub async fn inside(&self, tree: Oid, folder: &Arc<str>) -> Result<(), StoreError> {
        let (links, folder) = (Arc::clone(&self.links), Arc::clone(folder));
        let found = self.blocking(move |repository| {
            let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
            links.outside(repository, tree, &folder)
        });
        match found.await? {
            Ok(None) => Ok(()),
            Ok(Some(link)) => Err(StoreError::Outside(link)),
            Err(source) => Err(StoreError::Links { tree, source }),
        }
    }

    /// What was stored may be gone.
    pub fn forget(&self) {
        self.snapshots().forget();
    }

    /// Nobody needs the copy any more.
    pub async fn remove(&self) {
        let (copy, folder) = (Arc::clone(&self.copy), self.folder.clone());
        let reading = Arc::clone(&self.reading);
        let removed = tokio::task::spawn_blocking(move || {
            let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
            let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            (*copy, *reading) = (None, None);
            std::fs::remove_dir_all(&folder)
        });
        match removed.await {
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(folder = %self.folder.display(), %error, "can't remove a repository's copy");
            }
            _ => {}
        }
    }

    fn snapshots(&self) -> std::sync::MutexGuard<'_, Snapshots> {
        self.snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn opened<'r>(
    copy: &'r mut Option<Repository>,
    folder: &std::path::Path,
) -> Result<&'r Repository, FetchError> {
    let repository = match copy.take() {
        Some(repository) => repository,
        None => git::open(folder)?,
    };
    Ok(copy.insert(repository))
}

/// Starts a copy anew that has become slow, or that can't be opened. Says whether it did.
fn renew(copy: &mut Option<Repository>, folder: &std::path::Path) -> bool {
    let packs = std::fs::read_dir(folder.join("objects/pack"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|it| it == "pack"))
        .count();
    let broken = folder.exists() && copy.is_none() && git::open(folder).is_err();
    let renewed = packs > MAX_FETCHED_PACKS || broken;
    if renewed {
        *copy = None;
        if let Err(error) = std::fs::remove_dir_all(folder) {
            tracing::warn!(folder = %folder.display(), %error, "can't renew a repository's copy");
        }
    }
    renewed
}
