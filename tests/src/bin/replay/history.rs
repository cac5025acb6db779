//! The repository: its commits, and trees made from it with one file changed.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult};
use renderer::{Database, ReadLimits, Tree};
use tempfile::TempDir;
use watcher::affected::Place;

/// A state of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) place: Place,
    /// What it did, in a line.
    pub(crate) subject: String,
}

pub(crate) struct History {
    /// Sees the objects of the repository that was given, and takes those that are made here.
    pub(crate) git: Repository,
    database: Arc<Database>,
    _folder: TempDir,
}

impl History {
    pub(crate) fn open(repository: &Path) -> anyhow::Result<Self> {
        let opening = || format!("opening {}", repository.display());
        let given = Repository::open(repository).with_context(opening)?;
        let folder = tempfile::Builder::new().prefix("replay-").tempdir()?;
        let git = Repository::init_bare(folder.path())?;
        let objects = given.commondir().join("objects").canonicalize()?;
        let alternates = format!("{}\n", objects.display());
        std::fs::write(folder.path().join("objects/info/alternates"), alternates)?;
        drop(git);
        Ok(Self {
            git: Repository::open(folder.path())?,
            database: Arc::new(Database::open(folder.path()).with_context(opening)?),
            _folder: folder,
        })
    }

    /// The last commits by first parents, the oldest first: one more than asked for, to begin from.
    pub(crate) fn commits(
        repository: &Path,
        revision: &str,
        number: usize,
    ) -> anyhow::Result<Vec<Commit>> {
        let given = Repository::open(repository)?;
        let last = given
            .revparse_single(revision)
            .and_then(|object| object.peel_to_commit())
            .with_context(|| format!("the revision {revision} of {}", repository.display()))?;
        let mut commits = vec![commit(&last)];
        let mut current = last;
        while commits.len() <= number {
            // The first of all, or the end of a shallow repository.
            let Ok(parent) = current.parent(0) else {
                break;
            };
            commits.push(commit(&parent));
            current = parent;
        }
        commits.reverse();
        Ok(commits)
    }

    /// A tree of its own, as a render of its own has.
    pub(crate) fn tree(&self, place: &Place) -> anyhow::Result<Arc<Tree>> {
        let database = Arc::clone(&self.database);
        let root = place.tree.to_string();
        Ok(Arc::new(Tree::new(database, &root, ReadLimits::DEFAULT)?))
    }

    /// Every file, in the tree's order.
    pub(crate) fn files(&self, place: &Place) -> anyhow::Result<Vec<String>> {
        let mut files = Vec::new();
        let tree = self.git.find_tree(place.tree)?;
        tree.walk(TreeWalkMode::PreOrder, |parent, entry| {
            if entry.kind() == Some(ObjectType::Blob)
                && let Ok(name) = entry.name()
            {
                files.push(format!("{parent}{name}"));
            }
            TreeWalkResult::Ok
        })?;
        Ok(files)
    }

    /// The files that differ between two states.
    pub(crate) fn between(&self, from: &Place, to: &Place) -> anyhow::Result<Vec<String>> {
        let [from, to] = [self.git.find_tree(from.tree)?, self.git.find_tree(to.tree)?];
        let diff = self.git.diff_tree_to_tree(Some(&from), Some(&to), None)?;
        let path = |delta: git2::DiffDelta<'_>| {
            let file = delta.new_file().path().or(delta.old_file().path())?;
            Some(file.to_string_lossy().into_owned())
        };
        Ok(diff.deltas().filter_map(path).collect())
    }

    /// What is at a path.
    pub(crate) fn object(&self, place: &Place, path: &str) -> Option<Oid> {
        let tree = self.git.find_tree(place.tree).ok()?;
        Some(tree.get_path(Path::new(path)).ok()?.id())
    }

    /// The top-level entries.
    pub(crate) fn top(&self, place: &Place) -> anyhow::Result<Vec<(String, Oid)>> {
        let tree = self.git.find_tree(place.tree)?;
        let name = |entry: &git2::TreeEntry<'_>| {
            (
                String::from_utf8_lossy(entry.name_bytes()).into_owned(),
                entry.id(),
            )
        };
        Ok(tree.iter().map(|entry| name(&entry)).collect())
    }

    /// The same but for one file, whose text `change` gives.
    pub(crate) fn changed(
        &self,
        from: &Commit,
        path: &str,
        change: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<Commit> {
        let tree = self.git.find_tree(from.place.tree)?;
        let entry = tree.get_path(Path::new(path))?;
        let blob = self.git.find_blob(entry.id())?;
        let text = change(&String::from_utf8_lossy(blob.content()));
        let new = self.git.blob(text.as_bytes())?;
        let mut update = TreeUpdateBuilder::new();
        update.upsert(path, new, FileMode::Blob);
        let root = update.create_updated(&self.git, &tree)?;
        Ok(Commit {
            place: Place {
                id: root.to_string().into(),
                tree: root,
            },
            subject: path.to_owned(),
        })
    }
}

fn commit(commit: &git2::Commit<'_>) -> Commit {
    let subject = commit.summary().ok().flatten().unwrap_or_default();
    Commit {
        place: Place {
            id: commit.id().to_string().into(),
            tree: commit.tree_id(),
        },
        subject: subject.to_owned(),
    }
}
