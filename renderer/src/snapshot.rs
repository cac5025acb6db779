//! Snapshots: the packs that a source or a dependency names, fetched into an object database per repository or chart.

use std::path::PathBuf;
use std::sync::Arc;

use bus::message::desired::{Present, Snapshot};
use bus::message::need::Need;
use bus::subject::Store;
use bus::{Bus, BusError, Digest, Objects};
use tokio::sync::Mutex;

use crate::job::Source;
use crate::kept::{Bounds, Kept};
use crate::metrics::Metrics;
use crate::need::Dependencies;
use crate::tree::{Database, ReadLimits, Tree, TreeError};

/// Largest pack that is fetched, in bytes.
const MAX_PACK: usize = 1 << 30;
/// Packs that no snapshot names any more, after which a database is made anew: each costs every look-up a little.
const MAX_SURPLUS: usize = 64;

/// Databases that are kept for the next render: repositories and charts, and the bytes of their packs.
const KEPT: Bounds = Bounds {
    count: 256,
    bytes: 8 << 30,
};

/// Why a source has no tree.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the pack {0} is not in the object store")]
    MissingPack(Digest),
    #[error("indexing a pack panicked")]
    Panicked,
    #[error("the desired state resolves {resolved} of {specified} sources")]
    Mismatch { resolved: usize, specified: usize },
}

/// A repository's database, once there is one.
type Slot = Arc<Mutex<Option<Arc<Database>>>>;

pub(crate) struct Snapshots {
    objects: Objects,
    scratch: PathBuf,
    metrics: Metrics,
    /// By where the files are from. The inner lock makes renders of one repository fetch a pack once.
    databases: Mutex<Kept<Slot>>,
}

impl Snapshots {
    pub(crate) fn new(bus: &Bus, scratch: PathBuf, metrics: Metrics) -> Self {
        Self {
            objects: bus.objects(&Store::Snapshots),
            scratch,
            metrics,
            databases: Mutex::new(Kept::new(KEPT)),
        }
    }

    /// The application's sources with their trees.
    pub(crate) async fn sources(&self, present: &Present) -> Result<Vec<Source>, SnapshotError> {
        let specified = present.spec.sources();
        if specified.len() != present.sources.len() {
            return Err(SnapshotError::Mismatch {
                resolved: present.sources.len(),
                specified: specified.len(),
            });
        }
        let mut sources = Vec::with_capacity(specified.len());
        for (spec, resolved) in specified.iter().zip(&present.sources) {
            let origin = match spec.chart() {
                Some(chart) => format!("{} {chart}", resolved.repo_url),
                None => resolved.repo_url.clone(),
            };
            let database = self.database(origin, &resolved.snapshot).await?;
            sources.push(Source {
                spec: spec.clone(),
                revision: resolved.revision.clone(),
                tree: Arc::new(Tree::new(database, &resolved.tree, ReadLimits::DEFAULT)?),
            });
        }
        Ok(sources)
    }

    /// What the application's last render asked for beside its sources.
    pub(crate) async fn dependencies(
        &self,
        present: &Present,
    ) -> Result<Dependencies, SnapshotError> {
        let mut had = Vec::with_capacity(present.dependencies.len());
        for dependency in &present.dependencies {
            let origin = match &dependency.need {
                Need::Chart {
                    repository, name, ..
                } => format!("{repository} {name}"),
                Need::Git { url, .. } | Need::File { url } => url.clone(),
            };
            let database = self.database(origin, &dependency.snapshot).await?;
            let tree = Tree::new(database, &dependency.tree, ReadLimits::DEFAULT)?;
            had.push((dependency.need.clone(), Arc::new(tree)));
        }
        Ok(Dependencies::new(had))
    }

    async fn database(
        &self,
        origin: String,
        snapshot: &Snapshot,
    ) -> Result<Arc<Database>, SnapshotError> {
        let slot = self.databases.lock().await.get(origin.clone());
        let mut slot = slot.lock().await;
        let packs = &snapshot.packs;
        let database = match slot.take() {
            Some(database) if database.surplus(packs) <= MAX_SURPLUS => database,
            _ => Arc::new(Database::create(&self.scratch)?),
        };
        let filled = self.fill(&database, packs).await;
        *slot = Some(Arc::clone(&database));
        self.databases.lock().await.weigh(&origin, database.bytes());
        filled.map(|()| database)
    }

    async fn fill(&self, database: &Arc<Database>, packs: &[Digest]) -> Result<(), SnapshotError> {
        for digest in database.lacks(packs) {
            let Some(pack) = self.objects.get(&digest, MAX_PACK).await? else {
                return Err(SnapshotError::MissingPack(digest));
            };
            let database = Arc::clone(database);
            tokio::task::spawn_blocking(move || database.add(&digest, &pack))
                .await
                .map_err(|_| SnapshotError::Panicked)??;
            self.metrics.pack();
        }
        Ok(())
    }
}
