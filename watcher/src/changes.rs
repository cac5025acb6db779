//! What differs between two trees, found by reading only the folders that differ: so a commit costs what it changes, and not
//! what the applications of its repository read.

use std::collections::{HashMap, HashSet};

use git2::{ObjectType, Oid, Repository};

/// More paths than this are no quicker to keep than to look each one up that somebody read.
const MOST: usize = 20_000;

/// The paths of everything that isn't the same, folders on the way included.
#[derive(Debug)]
pub struct Changes(HashSet<String>);

impl Changes {
    /// None when they are too many, or not all of them can be read.
    pub fn between(repository: &Repository, before: Oid, now: Oid) -> Option<Self> {
        let mut found = HashSet::from([String::new()]);
        let mut folders = vec![(String::new(), Some(before), Some(now))];
        while let Some((folder, before, now)) = folders.pop() {
            let read = |tree: Option<Oid>| tree.map(|id| repository.find_tree(id)).transpose();
            let (before, now) = (read(before).ok()?, read(now).ok()?);
            let mut left: HashMap<_, _> = before.iter().flat_map(entries).collect();
            let mut differ = Vec::new();
            for (name, entry) in now.iter().flat_map(entries) {
                let was = left.remove(&name);
                if was != Some(entry) {
                    differ.push((name, was, Some(entry)));
                }
            }
            differ.extend(left.into_iter().map(|(name, was)| (name, Some(was), None)));
            if found.len() + differ.len() > MOST {
                return None;
            }
            for (name, was, is) in differ {
                let name = std::str::from_utf8(&name).ok()?;
                let path = if folder.is_empty() {
                    name.to_owned()
                } else {
                    format!("{folder}/{name}")
                };
                let (was, is) = (below(was), below(is));
                if was.is_some() || is.is_some() {
                    folders.push((path.clone(), was, is));
                }
                found.insert(path);
            }
        }
        Some(Self(found))
    }

    /// Whether what is at a path, or what a listing is, may be another than before.
    pub fn touch(&self, path: &str) -> bool {
        let path = path.split_once("//").map_or(path, |(folder, _)| folder);
        if path.starts_with('/') || path.ends_with('/') {
            return true;
        }
        self.0.contains(path)
    }
}

type Entry = (Oid, bool);

fn entries(tree: &git2::Tree<'_>) -> Vec<(Box<[u8]>, Entry)> {
    let entry = |entry: git2::TreeEntry<'_>| {
        let is_folder = entry.kind() == Some(ObjectType::Tree);
        (entry.name_bytes().into(), (entry.id(), is_folder))
    };
    tree.iter().map(entry).collect()
}

fn below(entry: Option<Entry>) -> Option<Oid> {
    entry.and_then(|(id, is_folder)| is_folder.then_some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository's trees are written from lists of (path, content).
    fn tree(repository: &Repository, files: &[(&str, &str)]) -> Oid {
        let mut index = git2::Index::new().unwrap();
        for (path, content) in files {
            let entry = git2::IndexEntry {
                ctime: git2::IndexTime::new(0, 0),
                mtime: git2::IndexTime::new(0, 0),
                dev: 0,
                ino: 0,
                mode: 0o100_644,
                uid: 0,
                gid: 0,
                file_size: 0,
                id: repository.blob(content.as_bytes()).unwrap(),
                flags: 0,
                flags_extended: 0,
                path: path.as_bytes().to_vec(),
            };
            index.add(&entry).unwrap();
        }
        index.write_tree_to(repository).unwrap()
    }

    fn between(before: &[(&str, &str)], now: &[(&str, &str)]) -> Changes {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        let (before, now) = (tree(&repository, before), tree(&repository, now));
        Changes::between(&repository, before, now).unwrap()
    }

    #[test]
    fn a_changed_file_touches_itself_its_folders_and_their_listings_and_nothing_else() {
        let changes = between(
            &[
                ("a/x/one", "1"),
                ("a/x/two", "2"),
                ("a/y/one", "1"),
                ("b", "b"),
            ],
            &[
                ("a/x/one", "9"),
                ("a/x/two", "2"),
                ("a/y/one", "1"),
                ("b", "b"),
            ],
        );
        for path in ["", "a", "a/x", "a/x/one", "a/x//.yaml,/", "//.yaml"] {
            assert!(changes.touch(path), "{path:?}");
        }
        for path in ["b", "a/y", "a/y/one", "a/x/two", "a/y//.yaml", "a/x/on"] {
            assert!(!changes.touch(path), "{path:?}");
        }
    }

    #[test]
    fn all_that_is_in_a_folder_which_comes_or_goes_or_becomes_a_file_is_touched() {
        let changes = between(
            &[("gone/deep/file", "1"), ("turns/file", "2"), ("stays", "s")],
            &[("new/deep/file", "1"), ("turns", "2"), ("stays", "s")],
        );
        for path in [
            "gone/deep/file",
            "new/deep/file",
            "new/deep",
            "turns",
            "turns/file",
        ] {
            assert!(changes.touch(path), "{path:?}");
        }
        assert!(!changes.touch("stays"));
    }

    #[test]
    fn of_more_changes_than_are_kept_nothing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        let names: Vec<String> = (0..=MOST).map(|number| number.to_string()).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let (none, many) = (tree(&repository, &[]), tree(&repository, &files));
        assert!(Changes::between(&repository, none, many).is_none());
    }
}
