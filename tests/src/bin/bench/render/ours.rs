//! Towline's side: what the service does with a desired state, from files in an indexed snapshot to a digest of the objects.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::Digest;
use bus::message::cluster::Capabilities;
use bus::message::desired::Rendering;
use deploy::Component;
use git2::{Buf, Repository};
use renderer::{
    Confinement, Database, Dependencies, Job, Limits, Pool, PoolOptions, ReadLimits, Source, Tree,
};

use super::case::{Case, Files};

/// As a renderer has it unless it is told otherwise.
const MEMORY_LIMIT: u64 = 512 << 20;
const TIME_LIMIT: Duration = Duration::from_mins(1);
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) struct Towline {
    pool: Pool,
    confinement: Confinement,
    scratch: PathBuf,
    engine: Digest,
}

/// A repository's files as the service has them: a database filled from a pack, and the tree's id.
pub(crate) struct Snapshot {
    database: Arc<Database>,
    root: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    digest: Option<Digest>,
    pub(crate) objects: usize,
    pub(crate) bytes: usize,
}

impl Towline {
    pub(crate) async fn start(scratch: &Path, workers: usize) -> anyhow::Result<Self> {
        let empty = scratch.join("empty");
        std::fs::create_dir(&empty)?;
        let options = PoolOptions {
            engine: deploy::locate(Component::Engine).await?,
            folder: empty,
            workers,
            memory_limit: MEMORY_LIMIT,
            time_limit: TIME_LIMIT,
            require_confinement: true,
        };
        let replaced = prometheus::IntCounter::new("replaced", "Workers replaced")?;
        let pool = Pool::new(options, replaced);
        let confinement = pool.try_out().await.context("starting a worker")?;
        Ok(Self {
            pool,
            confinement,
            scratch: scratch.to_owned(),
            engine: Digest::of(b"bench"),
        })
    }

    /// What workers are cut off from.
    pub(crate) fn confinement(&self) -> Vec<&'static str> {
        let layers = self.confinement.layers().filter(|(_, there)| *there);
        layers.map(|(layer, _)| layer.name()).collect()
    }

    pub(crate) fn source(&self, case: &Case) -> anyhow::Result<Snapshot> {
        let (pack, root) = pack(&self.scratch, &case.files)?;
        let database = Database::create(&self.scratch)?;
        database.add(&Digest::of(&pack), &pack)?;
        Ok(Snapshot {
            database: Arc::new(database),
            root,
        })
    }

    pub(crate) async fn render(&self, case: &Case, from: &Snapshot) -> anyhow::Result<Outcome> {
        let database = Arc::clone(&from.database);
        let tree = Tree::new(database, &from.root, ReadLimits::DEFAULT)?;
        let job = Arc::new(Job {
            app: "dome".to_owned(),
            instance: "dome".to_owned(),
            project: "default".to_owned(),
            namespace: "summit".to_owned(),
            last_mile: case.last_mile.clone(),
            capabilities: Some(Capabilities {
                // Helm's own.
                kube_version: String::new(),
                api_versions: Vec::new(),
            }),
            rendering: Rendering::default(),
            dependencies: Dependencies::default(),
            sources: vec![Source {
                spec: case.source.clone(),
                revision: REVISION.to_owned(),
                tree: Arc::new(tree),
            }],
        });
        std::hint::black_box(job.parameters(&self.engine)?);
        let rendered = renderer::render(&job, &self.pool, Limits::DEFAULT)
            .await
            .with_context(|| format!("rendering: {}", case.name))?;
        let json = renderer::json(&rendered.objects)?;
        std::hint::black_box(job.inputs());
        Ok(Outcome {
            digest: Some(Digest::of(json.as_bytes())),
            objects: rendered.objects.len(),
            bytes: json.len(),
        })
    }
}

/// The files as one pack, as the watcher stores them.
fn pack(scratch: &Path, files: &Files) -> anyhow::Result<(Vec<u8>, String)> {
    let folder = tempfile::tempdir_in(scratch)?;
    let repository = Repository::init_bare(folder.path())?;
    let mut update = git2::build::TreeUpdateBuilder::new();
    for (path, data) in files {
        let blob = repository.blob(data)?;
        update.upsert(path.as_str(), blob, git2::FileMode::Blob);
    }
    let empty = repository.find_tree(repository.treebuilder(None)?.write()?)?;
    let root = update.create_updated(&repository, &empty)?;
    let mut builder = repository.packbuilder()?;
    builder.insert_tree(root)?;
    let mut buffer = Buf::new();
    builder.write_buf(&mut buffer)?;
    Ok((buffer.to_vec(), root.to_string()))
}
