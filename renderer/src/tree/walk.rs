//! Walking paths and folders through Git's trees.

use std::sync::Arc;

use git2::Oid;

use super::database::{Entry, EntryKind};
use super::{Leaf, Tree, TreeError, Walk, clean, join};

/// As Linux bounds them.
const MAX_LINKS: usize = 40;
/// Nested folders; also what ends a link that leads to a folder above itself.
const MAX_DEPTH: usize = 64;

/// Where a path led.
pub(super) struct Found {
    /// Without links.
    pub(super) path: String,
    pub(super) place: Place,
    /// Links on the way, each with the object of its text.
    pub(super) links: Vec<(String, Oid)>,
}

pub(super) enum Place {
    File(Oid),
    Folder(Oid),
    /// `at` is the first part of the path that decides it: nothing, or something that is no folder.
    Absent {
        at: String,
        object: Option<Oid>,
    },
}

impl Tree {
    pub(super) fn walk(&self, path: &str) -> Result<Found, TreeError> {
        let cleaned = clean(path).ok_or_else(|| TreeError::Leaves {
            path: path.to_owned(),
        })?;
        // Parts still to go, the next one last.
        let mut rest: Vec<String> = cleaned
            .split('/')
            .filter(|part| !part.is_empty())
            .rev()
            .map(str::to_owned)
            .collect();
        // Folders on the way, the root first.
        let mut folders: Vec<(String, Oid)> = vec![(String::new(), self.root)];
        let mut links: Vec<(String, Oid)> = Vec::new();
        while let Some(part) = rest.pop() {
            let Some((here, oid)) = folders.last().cloned() else {
                return Err(TreeError::Leaves { path: cleaned });
            };
            if part == ".." {
                folders.pop();
                if folders.is_empty() {
                    let (link, target) = links
                        .last()
                        .map(|(link, oid)| self.describe(link, *oid))
                        .unwrap_or_default();
                    return Err(TreeError::LinkLeaves { link, target });
                }
                continue;
            }
            let at = join(&here, &part);
            let entries = self.database.tree(oid, &here)?;
            let Some(entry) = find(&entries, &part) else {
                return Ok(Found {
                    path: cleaned,
                    place: Place::Absent { at, object: None },
                    links,
                });
            };
            match entry.kind {
                EntryKind::Folder => folders.push((at, entry.oid)),
                EntryKind::Link => {
                    if links.len() >= MAX_LINKS {
                        return Err(TreeError::TooManyLinks {
                            path: cleaned,
                            limit: MAX_LINKS,
                        });
                    }
                    let (link, target) = self.describe(&at, entry.oid);
                    links.push((at, entry.oid));
                    if target.starts_with('/') {
                        return Err(TreeError::LinkLeaves { link, target });
                    }
                    rest.extend(
                        target
                            .split('/')
                            .filter(|part| !matches!(*part, "" | "."))
                            .rev()
                            .map(str::to_owned),
                    );
                }
                EntryKind::File if rest.is_empty() => {
                    return Ok(Found {
                        path: at,
                        place: Place::File(entry.oid),
                        links,
                    });
                }
                EntryKind::File | EntryKind::Submodule => {
                    let place = Place::Absent {
                        at,
                        object: Some(entry.oid),
                    };
                    return Ok(Found {
                        path: cleaned,
                        place,
                        links,
                    });
                }
            }
        }
        let Some((path, oid)) = folders.pop() else {
            return Err(TreeError::Leaves { path: cleaned });
        };
        Ok(Found {
            path,
            place: Place::Folder(oid),
            links,
        })
    }

    /// What is at a path as it stands, links not followed.
    pub(super) fn raw(&self, path: &str) -> Result<Option<(EntryKind, Oid)>, TreeError> {
        let mut found = (EntryKind::Folder, self.root);
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if found.0 != EntryKind::Folder {
                return Ok(None);
            }
            let entries = self.database.tree(found.1, path)?;
            let Some(entry) = find(&entries, part) else {
                return Ok(None);
            };
            found = (entry.kind, entry.oid);
        }
        Ok(Some(found))
    }

    /// The files below a folder, which is an input as a whole already, or of which only names with these endings count;
    /// targets of links become inputs.
    pub(super) fn leaves(
        &self,
        folder: &str,
        oid: Oid,
        walk: Walk,
        endings: Option<&[String]>,
    ) -> Result<Vec<Leaf>, TreeError> {
        let mut leaves = Vec::new();
        self.collect(folder, "", oid, (walk, endings), 0, &mut leaves)?;
        leaves.sort_by(|one, other| one.name.split('/').cmp(other.name.split('/')));
        Ok(leaves)
    }

    fn collect(
        &self,
        folder: &str,
        below: &str,
        oid: Oid,
        rules: (Walk, Option<&[String]>),
        depth: usize,
        leaves: &mut Vec<Leaf>,
    ) -> Result<(), TreeError> {
        if depth > MAX_DEPTH {
            return Err(TreeError::TooManyLinks {
                path: join(folder, below),
                limit: MAX_DEPTH,
            });
        }
        let (walk, endings) = rules;
        if let Some(endings) = endings {
            let path = join(folder, below);
            self.listed(path.trim_end_matches('/'), oid, endings)?;
        }
        let counts = |entry: &Entry| {
            let name = entry.listed_name();
            endings.is_none_or(|endings| endings.iter().any(|ending| name.ends_with(ending)))
        };
        let entries: Arc<Vec<Entry>> = self.database.tree(oid, &join(folder, below))?;
        for entry in entries.iter().filter(|entry| counts(entry)) {
            let name = join(below, &entry.name);
            match entry.kind {
                EntryKind::File => push(
                    leaves,
                    Leaf {
                        name,
                        oid: entry.oid,
                        linked: false,
                    },
                    folder,
                    self.limits.files,
                )?,
                EntryKind::Folder if walk != Walk::Flat => {
                    self.collect(folder, &name, entry.oid, rules, depth + 1, leaves)?;
                }
                EntryKind::Link => {
                    let found = self.walk(&join(folder, &name))?;
                    self.remember(&found);
                    match found.place {
                        Place::File(oid) => {
                            let leaf = Leaf {
                                name,
                                oid,
                                linked: true,
                            };
                            push(leaves, leaf, folder, self.limits.files)?;
                        }
                        Place::Folder(oid) if walk == Walk::Following => {
                            self.lock().inputs.insert(found.path, Some(oid));
                            self.collect(folder, &name, oid, rules, depth + 1, leaves)?;
                        }
                        Place::Absent { .. } if walk == Walk::Following => {
                            let link = join(folder, &name);
                            let (link, target) = self.describe(&link, entry.oid);
                            return Err(TreeError::LinkDangles { link, target });
                        }
                        // A link to nothing among plain manifests: Argo CD skips it.
                        Place::Folder(_) | Place::Absent { .. } => {}
                    }
                }
                EntryKind::Folder | EntryKind::Submodule => {}
            }
        }
        Ok(())
    }

    fn describe(&self, link: &str, oid: Oid) -> (String, String) {
        const LONGEST: usize = 4096;
        let target = match self.database.size(oid) {
            Ok(size) if size <= LONGEST => self.database.blob(oid).unwrap_or_default(),
            _ => Vec::new(),
        };
        (
            link.to_owned(),
            String::from_utf8_lossy(&target).into_owned(),
        )
    }
}

fn push(leaves: &mut Vec<Leaf>, leaf: Leaf, folder: &str, limit: usize) -> Result<(), TreeError> {
    if leaves.len() >= limit {
        return Err(TreeError::TooManyFiles {
            path: folder.to_owned(),
            limit,
        });
    }
    leaves.push(leaf);
    Ok(())
}

fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.name == name)
}
