//! A repository at a revision: its objects for Towline, and its files for the real tools.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use renderer::{Database, ReadLimits, Tree};
use tempfile::TempDir;
use tests::files::write;

pub(crate) struct Checkout {
    database: Arc<Database>,
    pub(crate) commit: String,
    root: String,
    folder: TempDir,
    /// Every file, sorted.
    pub(crate) files: Vec<String>,
    /// How many files the repository lacks the content of.
    pub(crate) missing: usize,
}

impl Checkout {
    pub(crate) fn new(repository: &Path, revision: &str) -> anyhow::Result<Self> {
        let opening = || format!("opening {}", repository.display());
        let git = git2::Repository::open(repository).with_context(opening)?;
        let commit = git
            .revparse_single(revision)
            .and_then(|object| object.peel_to_commit())
            .with_context(|| format!("the revision {revision} of {}", repository.display()))?;
        let tree = commit.tree()?;
        let folder = tempfile::Builder::new().prefix("conformance-").tempdir()?;
        let (mut files, mut missing) = (Vec::new(), 0_usize);
        write(
            &git,
            &tree,
            folder.path(),
            "",
            &mut |written| match written {
                Some(file) => files.push(file),
                None => missing += 1,
            },
        )
        .context("writing the files")?;
        files.sort();
        Ok(Self {
            database: Arc::new(Database::open(repository).with_context(opening)?),
            commit: commit.id().to_string(),
            root: tree.id().to_string(),
            folder,
            files,
            missing,
        })
    }

    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// A tree of its own, as a render of its own has.
    pub(crate) fn tree(&self) -> anyhow::Result<Arc<Tree>> {
        let database = Arc::clone(&self.database);
        Ok(Arc::new(Tree::new(
            database,
            &self.root,
            ReadLimits::DEFAULT,
        )?))
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        self.files
            .binary_search_by(|found| found.as_str().cmp(file))
            .is_ok()
    }
}
