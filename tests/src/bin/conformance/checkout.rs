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

/// Writes a tree's files below `folder`; `each` gets their paths, or none for one whose content isn't there.
pub(crate) fn write(
    git: &git2::Repository,
    tree: &git2::Tree<'_>,
    folder: &Path,
    parent: &str,
    each: &mut impl FnMut(Option<String>),
) -> anyhow::Result<()> {
    const LINK: i32 = 0o120_000;
    std::fs::create_dir_all(folder.join(parent))?;
    for entry in tree {
        let Ok(name) = entry.name() else {
            continue;
        };
        let path = format!("{parent}{name}");
        let target = folder.join(&path);
        match entry.kind() {
            Some(git2::ObjectType::Tree) => {
                let inner = git.find_tree(entry.id())?;
                write(git, &inner, folder, &format!("{path}/"), each)?;
            }
            Some(git2::ObjectType::Blob) => {
                let Ok(blob) = git.find_blob(entry.id()) else {
                    each(None);
                    continue;
                };
                if entry.filemode() == LINK {
                    let to = std::str::from_utf8(blob.content())?;
                    std::os::unix::fs::symlink(to, target)?;
                } else {
                    std::fs::write(target, blob.content())?;
                }
                each(Some(path));
            }
            _ => {}
        }
    }
    Ok(())
}
