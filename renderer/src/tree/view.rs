//! A source's tree with dependencies' trees over some of its paths.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Answer, Tree, TreeError, clean, join};

/// Answers for a path from the tree that is mounted there, else from the source's own. Only the source's own answers become
/// inputs: a mounted tree is known by its need.
pub(crate) struct View {
    base: Arc<Tree>,
    mounts: Mutex<BTreeMap<String, Arc<Tree>>>,
}

impl View {
    pub(crate) fn new(base: Arc<Tree>) -> Self {
        Self {
            base,
            mounts: Mutex::default(),
        }
    }

    /// Lays a tree over a path, which must not be empty; what the source has there is out of sight.
    pub(crate) fn mount(&self, path: &str, tree: Arc<Tree>) {
        self.mounts().insert(path.to_owned(), tree);
    }

    /// The tree that answers for a path, and the path in it.
    pub(crate) fn place(&self, path: &str) -> Result<(Arc<Tree>, String), TreeError> {
        let cleaned = clean(path).ok_or_else(|| TreeError::Leaves {
            path: path.to_owned(),
        })?;
        Ok(match self.mounted(&cleaned) {
            Some((_, below, tree)) => (tree, below),
            None => (Arc::clone(&self.base), cleaned),
        })
    }

    /// The names in a folder, which don't become an input.
    pub(crate) fn peek(&self, path: &str) -> Result<Vec<String>, TreeError> {
        let (tree, folder) = self.place(path)?;
        tree.peek(&folder)
    }

    /// What is at a path, where the view has it.
    pub(crate) fn at(&self, path: &str) -> Result<Answer, TreeError> {
        let cleaned = clean(path).ok_or_else(|| TreeError::Leaves {
            path: path.to_owned(),
        })?;
        let Some((mount, below, tree)) = self.mounted(&cleaned) else {
            return self.base.at(&cleaned);
        };
        Ok(match tree.at(&below)? {
            Answer::File { path, data } => Answer::File {
                path: join(&mount, &path),
                data,
            },
            Answer::Folder { path } if path.is_empty() => Answer::Folder { path: mount },
            Answer::Folder { path } => Answer::Folder {
                path: join(&mount, &path),
            },
            Answer::Absent => Answer::Absent,
        })
    }

    fn mounted(&self, path: &str) -> Option<(String, String, Arc<Tree>)> {
        let mounts = self.mounts();
        // The deepest mount of those on the way.
        mounts.iter().rev().find_map(|(mount, tree)| {
            let below = path.strip_prefix(mount.as_str())?;
            let below = match below.strip_prefix('/') {
                Some(below) => below,
                None if below.is_empty() => below,
                None => return None,
            };
            Some((mount.clone(), below.to_owned(), Arc::clone(tree)))
        })
    }

    fn mounts(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Tree>>> {
        // Each change is one insertion: a panic leaves it whole.
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::mk_tree;

    fn mk_view() -> (Arc<Tree>, View) {
        let base = Arc::new(mk_tree(&[
            ("apps/a.yaml", "own"),
            ("remote/hidden.yaml", "own"),
            ("remote-2/b.yaml", "own"),
        ]));
        let view = View::new(Arc::clone(&base));
        view.mount("remote", Arc::new(mk_tree(&[("base/c.yaml", "remote")])));
        (base, view)
    }

    #[test]
    fn a_mounted_tree_answers_below_its_path_and_is_no_input_of_the_source() {
        let (base, view) = mk_view();
        let Answer::File { path, data } = view.at("remote/x/../base/c.yaml").unwrap() else {
            panic!("not a file")
        };
        assert_eq!(
            (path.as_str(), data.as_slice()),
            ("remote/base/c.yaml", b"remote".as_slice())
        );
        assert!(matches!(view.at("remote").unwrap(), Answer::Folder { path } if path == "remote"));
        assert!(matches!(
            view.at("remote/hidden.yaml").unwrap(),
            Answer::Absent
        ));
        assert!(base.inputs(0).is_empty());
    }

    #[test]
    fn beside_a_mount_the_source_answers() {
        let (base, view) = mk_view();
        for path in ["apps/a.yaml", "remote-2/b.yaml"] {
            assert!(matches!(view.at(path).unwrap(), Answer::File { data, .. } if data == b"own"));
        }
        assert_eq!(base.inputs(0).len(), 2);
        assert!(view.at("../x").is_err());
    }
}
