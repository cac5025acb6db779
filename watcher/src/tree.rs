//! What is at a path of a commit's tree. Folders that were read once aren't read again.

use std::collections::HashMap;

use git2::{ObjectType, Oid, Repository};

/// Says what is at a path: the object's id, or nothing.
pub trait Lookup {
    fn object(&mut self, path: &str) -> Option<Oid>;
}

/// A tree in a repository.
pub struct Tree<'r> {
    repository: &'r Repository,
    root: Oid,
    folders: HashMap<Oid, Folder>,
}

/// The entries of a folder; empty for what isn't a folder or can't be read.
type Folder = HashMap<Box<[u8]>, (Oid, bool)>;

impl<'r> Tree<'r> {
    pub fn new(repository: &'r Repository, root: Oid) -> Self {
        Self {
            repository,
            root,
            folders: HashMap::new(),
        }
    }

    fn entry(&mut self, folder: Oid, name: &str) -> Option<(Oid, bool)> {
        let repository = self.repository;
        self.folders
            .entry(folder)
            .or_insert_with(|| read(repository, folder))
            .get(name.as_bytes())
            .copied()
    }
}

impl Lookup for Tree<'_> {
    fn object(&mut self, path: &str) -> Option<Oid> {
        let mut current = (self.root, true);
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !current.1 {
                return None;
            }
            current = self.entry(current.0, part)?;
        }
        Some(current.0)
    }
}

fn read(repository: &Repository, folder: Oid) -> Folder {
    let Ok(tree) = repository.find_tree(folder) else {
        return Folder::new();
    };
    tree.iter()
        .map(|entry| {
            let is_folder = entry.kind() == Some(ObjectType::Tree);
            (entry.name_bytes().into(), (entry.id(), is_folder))
        })
        .collect()
}
