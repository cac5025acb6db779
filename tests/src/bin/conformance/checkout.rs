//! A repository at a revision: its objects for Towline, and its files for the real tools.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use renderer::{Database, ReadLimits, Tree};
use tempfile::TempDir;

pub(crate) struct Checkout {
    database: Arc<Database>,
    pub(crate) commit: String,
    root: String,
    folder: TempDir,
    /// Every file, sorted.
    pub(crate) files: Vec<String>,
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
        let mut options = git2::build::CheckoutBuilder::new();
        options
            .force()
            .update_index(false)
            .disable_filters(true)
            .target_dir(folder.path());
        git.checkout_tree(tree.as_object(), Some(&mut options))
            .context("writing the files")?;
        let mut files = Vec::new();
        tree.walk(git2::TreeWalkMode::PreOrder, |parent, entry| {
            if entry.kind() == Some(git2::ObjectType::Blob)
                && let Ok(name) = entry.name()
            {
                files.push(format!("{parent}{name}"));
            }
            git2::TreeWalkResult::Ok
        })?;
        files.sort();
        Ok(Self {
            database: Arc::new(Database::open(repository).with_context(opening)?),
            commit: commit.id().to_string(),
            root: tree.id().to_string(),
            folder,
            files,
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
