//! What is at a path of a commit's tree. Folders that were read once aren't read again.

use std::collections::HashMap;

use bus::message::render::Listing;
use git2::{ObjectType, Oid, Repository};

/// Says what is at a path, or what a listing is: the object's id, or nothing.
pub trait Lookup {
    fn object(&mut self, path: &str) -> Result<Option<Oid>, Unreadable>;
}

/// A folder on the way isn't there, though it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// A tree in a repository.
pub struct Tree<'r> {
    repository: &'r Repository,
    root: Oid,
    folders: HashMap<Oid, Option<Folder>>,
}

/// The entries of a folder: what each is, and whether that is a folder.
type Folder = HashMap<Box<[u8]>, (Oid, bool)>;

impl<'r> Tree<'r> {
    pub fn new(repository: &'r Repository, root: Oid) -> Self {
        Self {
            repository,
            root,
            folders: HashMap::new(),
        }
    }

    fn entry(&mut self, folder: Oid, name: &str) -> Result<Option<(Oid, bool)>, Unreadable> {
        let repository = self.repository;
        let entries = self
            .folders
            .entry(folder)
            .or_insert_with(|| read(repository, folder));
        let entries = entries.as_ref().ok_or(Unreadable)?;
        Ok(entries.get(name.as_bytes()).copied())
    }

    /// What is at a path, and whether that is a folder.
    fn find(&mut self, path: &str) -> Result<Option<(Oid, bool)>, Unreadable> {
        let mut current = (self.root, true);
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !current.1 {
                return Ok(None);
            }
            match self.entry(current.0, part)? {
                Some(entry) => current = entry,
                None => return Ok(None),
            }
        }
        Ok(Some(current))
    }

    /// What stands for the names in a folder.
    fn listing(&mut self, listing: &Listing) -> Result<Option<Oid>, Unreadable> {
        let Some((folder, true)) = self.find(&listing.folder)? else {
            return Ok(None);
        };
        let repository = self.repository;
        let entries = self
            .folders
            .entry(folder)
            .or_insert_with(|| read(repository, folder));
        let entries = entries.as_ref().ok_or(Unreadable)?;
        let mut names = Vec::with_capacity(entries.len());
        for (name, (_, is_folder)) in entries {
            let slash = if *is_folder { "/" } else { "" };
            names.push(format!("{}{slash}", String::from_utf8_lossy(name)));
        }
        Ok(Oid::from_str(&listing.object(names.iter().map(String::as_str))).ok())
    }
}

impl Lookup for Tree<'_> {
    fn object(&mut self, path: &str) -> Result<Option<Oid>, Unreadable> {
        match Listing::parse(path) {
            Some(listing) => self.listing(&listing),
            None => Ok(self.find(path)?.map(|(object, _)| object)),
        }
    }
}

fn read(repository: &Repository, folder: Oid) -> Option<Folder> {
    let tree = repository.find_tree(folder).ok()?;
    let entries = tree.iter().map(|entry| {
        let is_folder = entry.kind() == Some(ObjectType::Tree);
        (entry.name_bytes().into(), (entry.id(), is_folder))
    });
    Some(entries.collect())
}
