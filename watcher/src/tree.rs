//! What is at a path of a commit's tree. Folders that were read once aren't read again.

use std::collections::HashMap;

use bus::message::render::Listing;
use git2::{ObjectType, Oid, Repository};

/// Says what is at a path, or what a listing is: the object's id, or nothing.
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

    /// What stands for the names in a folder.
    fn listing(&mut self, listing: &Listing) -> Option<Oid> {
        let folder = self.object(&listing.folder)?;
        let repository = self.repository;
        let entries = self
            .folders
            .entry(folder)
            .or_insert_with(|| read(repository, folder));
        // Git keeps no empty folders: it's a file now.
        if entries.is_empty() {
            return None;
        }
        let name = |(name, (_, is_folder)): (&Box<[u8]>, &(Oid, bool))| {
            let slash = if *is_folder { "/" } else { "" };
            format!("{}{slash}", String::from_utf8_lossy(name))
        };
        let names: Vec<String> = entries.iter().map(name).collect();
        Oid::from_str(&listing.object(names.iter().map(String::as_str))).ok()
    }
}

impl Lookup for Tree<'_> {
    fn object(&mut self, path: &str) -> Option<Oid> {
        if let Some(listing) = Listing::parse(path) {
            return self.listing(&listing);
        }
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
