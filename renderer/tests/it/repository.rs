//! A Git repository to render from, and jobs on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus::Digest;
use bus::message::desired::Rendering;
use bus::message::manifests::SourceType;
use bus::message::need::Need;
use bus::message::render::PseudoInput;
use renderer::{
    Database, Dependencies, Job, Limits, Pool, PoolOptions, ReadLimits, RenderError, Source, Tree,
};
use serde_json::Value;
use tempfile::TempDir;

/// A repository whose commits are made of whole sets of files.
pub(crate) struct Repository {
    folder: TempDir,
    git: git2::Repository,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let git = git2::Repository::init_bare(folder.path()).unwrap();
        Self { folder, git }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A commit with these files and nothing else; one that starts with `-> ` is a symbolic link. Gives commit and tree.
    pub(crate) fn commit<C: AsRef<[u8]>>(&self, files: &[(&str, C)]) -> (String, String) {
        let mut index = git2::Index::new().unwrap();
        for (path, content) in files {
            let (mode, content) = match content.as_ref().strip_prefix(b"-> ") {
                Some(target) => (0o120_000, target),
                None => (0o100_644, content.as_ref()),
            };
            let time = git2::IndexTime::new(0, 0);
            index
                .add(&git2::IndexEntry {
                    ctime: time,
                    mtime: time,
                    dev: 0,
                    ino: 0,
                    mode,
                    uid: 0,
                    gid: 0,
                    file_size: 0,
                    id: self.git.blob(content).unwrap(),
                    flags: 0,
                    flags_extended: 0,
                    path: path.as_bytes().to_vec(),
                })
                .unwrap();
        }
        let tree = index.write_tree_to(&self.git).unwrap();
        (self.commit_tree(tree), tree.to_string())
    }

    fn commit_tree(&self, tree: git2::Oid) -> String {
        let who = git2::Signature::new("t", "t@example.org", &git2::Time::new(0, 0)).unwrap();
        let content = self.git.find_tree(tree).unwrap();
        let commit = self
            .git
            .commit(None, &who, &who, "files", &content, &[])
            .unwrap();
        commit.to_string()
    }

    /// A pack of everything that a tree holds.
    pub(crate) fn pack(&self, tree: &str) -> (Digest, Vec<u8>) {
        let mut builder = self.git.packbuilder().unwrap();
        builder
            .insert_tree(git2::Oid::from_str(tree).unwrap())
            .unwrap();
        let mut buffer = git2::Buf::new();
        builder.write_buf(&mut buffer).unwrap();
        (Digest::of(&buffer), buffer.to_vec())
    }

    /// A job with one source on these files.
    pub(crate) fn job(&self, source: Value, files: &[(&str, &str)]) -> Job {
        self.job_of(source, files)
    }

    pub(crate) fn job_of<C: AsRef<[u8]>>(&self, source: Value, files: &[(&str, C)]) -> Job {
        let (revision, tree) = self.commit(files);
        self.job_on(source, revision, &tree)
    }

    /// A job on a folder of so many empty files.
    pub(crate) fn job_with_listing(&self, source: Value, folder: &str, count: usize) -> Job {
        let empty = self.git.blob(b"").unwrap();
        let mut listing = Vec::new();
        for index in 0..count {
            listing.extend_from_slice(format!("100644 {index:08}.yaml\0").as_bytes());
            listing.extend_from_slice(empty.as_bytes());
        }
        let odb = self.git.odb().unwrap();
        let listing = odb.write(git2::ObjectType::Tree, &listing).unwrap();
        let mut root = format!("40000 {folder}\0").into_bytes();
        root.extend_from_slice(listing.as_bytes());
        let root = odb.write(git2::ObjectType::Tree, &root).unwrap();
        self.job_on(source, "0".repeat(40), &root.to_string())
    }

    fn job_on(&self, source: Value, revision: String, tree: &str) -> Job {
        Job {
            app: "dome".to_owned(),
            instance: "dome".to_owned(),
            project: "default".to_owned(),
            namespace: "telescopes".to_owned(),
            last_mile: None,
            capabilities: None,
            rendering: Rendering::default(),
            dependencies: Dependencies::default(),
            sources: vec![Source {
                spec: serde_json::from_value(source).unwrap(),
                revision,
                tree: self.tree(tree),
            }],
        }
    }

    /// What is fetched for needs: a tree of these files each.
    pub(crate) fn dependencies(&self, fetched: &[(Need, &[(&str, &str)])]) -> Dependencies {
        let tree = |(need, files): &(Need, &[(&str, &str)])| {
            let (_, tree) = self.commit(files);
            (need.clone(), self.tree(&tree))
        };
        Dependencies::new(fetched.iter().map(tree))
    }

    fn tree(&self, tree: &str) -> Arc<Tree> {
        let database = Arc::new(Database::open(self.path()).unwrap());
        Arc::new(Tree::new(database, tree, ReadLimits::DEFAULT).unwrap())
    }
}

/// What a job came to, its objects with all their values.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) objects: Vec<Value>,
    pub(crate) source_types: Vec<SourceType>,
    pub(crate) values: Vec<PseudoInput>,
}

/// A pool with the real engine.
pub(crate) struct Engine {
    pub(crate) pool: Pool,
    pub(crate) replaced: prometheus::IntCounter,
    _folder: Option<TempDir>,
}

pub(crate) async fn mk_engine(time_limit: Duration, memory_limit: u64) -> Engine {
    let engine = deploy::locate(deploy::Component::Engine).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let replaced = prometheus::IntCounter::new("replaced", "replaced").unwrap();
    let options = PoolOptions {
        engine,
        folder: folder.path().to_owned(),
        workers: 2,
        memory_limit,
        time_limit,
        require_confinement: false,
    };
    Engine {
        pool: Pool::new(options, replaced.clone()),
        replaced,
        _folder: Some(folder),
    }
}

pub(crate) async fn mk_default_engine() -> Engine {
    mk_engine(Duration::from_mins(1), 512 << 20).await
}

impl Engine {
    pub(crate) fn new(pool: Pool, replaced: prometheus::IntCounter) -> Self {
        Self {
            pool,
            replaced,
            _folder: None,
        }
    }

    pub(crate) async fn render(&self, job: Job) -> Result<Rendered, RenderError> {
        self.render_shared(&Arc::new(job)).await
    }

    /// Of a job whose inputs are asked for afterwards.
    pub(crate) async fn render_shared(&self, job: &Arc<Job>) -> Result<Rendered, RenderError> {
        let rendered = renderer::render(job, &self.pool, Limits::DEFAULT).await?;
        Ok(Rendered {
            objects: rendered.values_of_objects().unwrap(),
            source_types: rendered.source_types,
            values: rendered.values,
        })
    }
}

pub(crate) fn names(rendered: &Rendered) -> Vec<String> {
    let name = |object: &Value| {
        format!(
            "{}/{}",
            object["kind"].as_str().unwrap(),
            object["metadata"]["name"].as_str().unwrap()
        )
    };
    rendered.objects.iter().map(name).collect()
}
