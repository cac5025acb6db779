//! A commit's files as packs of Git objects, each holding only what the ones before lack. Blocking.

use std::collections::HashSet;

use git2::{Buf, ObjectType, Oid, Repository, Tree, TreeEntry};

/// Folders within folders, at most.
const MAX_DEPTH: usize = 512;
/// Objects of one pack, at most.
const MAX_OBJECTS: usize = 2_000_000;

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("comparing tree {tree} with the previous snapshot")]
    Compare { tree: Oid, source: git2::Error },
    #[error("packing the objects of tree {tree}")]
    Pack { tree: Oid, source: git2::Error },
    #[error("tree {tree} has folders nested deeper than {MAX_DEPTH}")]
    TooDeep { tree: Oid },
    #[error("tree {tree} has more than {MAX_OBJECTS} objects")]
    TooMany { tree: Oid },
    #[error("the files of tree {tree} are over {limit} bytes")]
    TooLarge { tree: Oid, limit: u64 },
}

/// A pack and what is in it.
#[derive(Debug)]
pub struct Pack {
    pub bytes: Vec<u8>,
    pub objects: usize,
    /// Whether it holds the whole tree, so that nothing before is needed.
    pub full: bool,
}

/// The objects of `tree` that `base` lacks, as one pack; none if there are none. A base that isn't in the repository is no
/// base.
pub fn pack(
    repository: &Repository,
    base: Option<Oid>,
    tree: Oid,
    limit: u64,
) -> Result<Option<Pack>, SnapshotError> {
    let base = base.and_then(|base| repository.find_tree(base).ok());
    let full = base.is_none();
    let missing = missing(repository, base, tree)?;
    if missing.is_empty() {
        return Ok(None);
    }
    check_size(repository, &missing, tree, limit)?;
    let packing = |source| SnapshotError::Pack { tree, source };
    let mut builder = repository.packbuilder().map_err(packing)?;
    // One thread: the same objects give the same bytes, and a commit's few objects are packed before threads would start.
    builder.set_threads(1);
    for oid in &missing {
        builder.insert_object(*oid, None).map_err(packing)?;
    }
    let mut buffer = Buf::new();
    builder.write_buf(&mut buffer).map_err(packing)?;
    Ok(Some(Pack {
        bytes: buffer.to_vec(),
        objects: missing.len(),
        full,
    }))
}

/// Compares path by path: what is the same at the same path is left out with everything below it.
fn missing(
    repository: &Repository,
    base: Option<Tree<'_>>,
    tree: Oid,
) -> Result<Vec<Oid>, SnapshotError> {
    let comparing = |source| SnapshotError::Compare { tree, source };
    if base.as_ref().is_some_and(|base| base.id() == tree) {
        return Ok(Vec::new());
    }
    let mut found = vec![tree];
    let mut seen = HashSet::from([tree]);
    // A folder may be at many paths (in a hostile repository at exponentially many): each is compared once with each folder
    // that was there before.
    let mut compared = HashSet::new();
    let mut open = vec![(base, repository.find_tree(tree).map_err(comparing)?, 0)];
    while let Some((old, new, depth)) = open.pop() {
        let whole = (new.id(), None);
        if compared.contains(&whole) || !compared.insert((new.id(), old.as_ref().map(Tree::id))) {
            continue;
        }
        if depth > MAX_DEPTH {
            return Err(SnapshotError::TooDeep { tree });
        }
        for entry in &new {
            let before = old
                .as_ref()
                .and_then(|old| old.get_name_bytes(entry.name_bytes()));
            if before.as_ref().map(TreeEntry::id) == Some(entry.id()) {
                continue;
            }
            match entry.kind() {
                Some(ObjectType::Blob) if seen.insert(entry.id()) => found.push(entry.id()),
                Some(ObjectType::Tree) => {
                    if seen.insert(entry.id()) {
                        found.push(entry.id());
                    }
                    let below = before
                        .filter(|before| before.kind() == Some(ObjectType::Tree))
                        .and_then(|before| repository.find_tree(before.id()).ok());
                    let new = repository.find_tree(entry.id()).map_err(comparing)?;
                    open.push((below, new, depth + 1));
                }
                // Seen before, or a submodule, whose objects are another repository's.
                _ => {}
            }
        }
        if found.len() > MAX_OBJECTS {
            return Err(SnapshotError::TooMany { tree });
        }
    }
    Ok(found)
}

fn check_size(
    repository: &Repository,
    objects: &[Oid],
    tree: Oid,
    limit: u64,
) -> Result<(), SnapshotError> {
    let odb = repository
        .odb()
        .map_err(|source| SnapshotError::Pack { tree, source })?;
    let mut total = 0_u64;
    for oid in objects {
        let (size, _) = odb
            .read_header(*oid)
            .map_err(|source| SnapshotError::Pack { tree, source })?;
        total = total.saturating_add(size as u64);
        if total > limit {
            return Err(SnapshotError::TooLarge { tree, limit });
        }
    }
    Ok(())
}
