//! A tree in which some entries are others: submodules and large files in their places.

use std::collections::BTreeMap;

use git2::{ErrorCode, FileMode, Oid, Repository, Tree};

/// Folders within folders, at most.
const MAX_DEPTH: usize = 512;

/// What is to be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Graft {
    pub(super) id: Oid,
    pub(super) mode: FileMode,
}

/// Writes the tree with these entries in the place of those that are there. Paths that aren't there are left out.
pub(super) fn graft(
    repository: &Repository,
    tree: Oid,
    grafts: &BTreeMap<String, Graft>,
) -> Result<Oid, git2::Error> {
    let entries = grafts.iter().map(|(path, graft)| (path.as_str(), *graft));
    below(
        repository,
        &repository.find_tree(tree)?,
        entries.collect(),
        0,
    )
}

fn below(
    repository: &Repository,
    tree: &Tree<'_>,
    grafts: Vec<(&str, Graft)>,
    depth: usize,
) -> Result<Oid, git2::Error> {
    if depth > MAX_DEPTH {
        return Err(git2::Error::new(
            ErrorCode::Invalid,
            git2::ErrorClass::Tree,
            format!("folders nested deeper than {MAX_DEPTH}"),
        ));
    }
    let mut here = Vec::new();
    let mut folders = BTreeMap::<&str, Vec<(&str, Graft)>>::new();
    for (path, graft) in grafts {
        match path.split_once('/') {
            Some((folder, rest)) => folders.entry(folder).or_default().push((rest, graft)),
            None => here.push((path, graft)),
        }
    }
    let mut builder = repository.treebuilder(Some(tree))?;
    for (name, graft) in here {
        if builder.get(name)?.is_some() {
            builder.insert(name, graft.id, graft.mode.into())?;
        }
    }
    for (folder, grafts) in folders {
        let entry = builder.get(folder)?.map(|entry| entry.id());
        let Some(inner) = entry.and_then(|id| repository.find_tree(id).ok()) else {
            continue;
        };
        let id = below(repository, &inner, grafts, depth + 1)?;
        builder.insert(folder, id, FileMode::Tree.into())?;
    }
    builder.write()
}
