//! The files of an archive before they are a tree of Git's: nothing is written through a link, and no link leads outside.

use std::collections::BTreeMap;

use git2::{FileMode, Oid, Repository};

use super::archive::ArchiveError;

/// Links that lead to links, at most.
const MAX_HOPS: usize = 40;
/// Steps that following all links of an archive may take.
const MAX_STEPS: usize = 1_000_000;

#[derive(Default)]
pub(super) struct Folder {
    entries: BTreeMap<Vec<u8>, Entry>,
}

pub(super) enum Entry {
    Folder(Folder),
    File {
        blob: Oid,
        mode: FileMode,
        /// Where a symbolic link leads.
        link: Option<Vec<u8>>,
    },
}

impl Folder {
    /// The folder at a path, made where it isn't. A file on the way is refused, so nothing is ever written through a link.
    pub(super) fn folder(
        &mut self,
        parts: &[Vec<u8>],
        path: &[u8],
    ) -> Result<&mut Self, ArchiveError> {
        let mut folder = self;
        for part in parts {
            let entry = folder
                .entries
                .entry(part.clone())
                .or_insert_with(|| Entry::Folder(Self::default()));
            match entry {
                Entry::Folder(inner) => folder = inner,
                Entry::File { .. } => return Err(ArchiveError::Both(shown(path))),
            }
        }
        Ok(folder)
    }

    /// The last of several entries of one path counts, as for tar.
    pub(super) fn add(
        &mut self,
        parts: &[Vec<u8>],
        path: &[u8],
        file: Entry,
    ) -> Result<(), ArchiveError> {
        let Some((name, above)) = parts.split_last() else {
            return Err(ArchiveError::Path(shown(path)));
        };
        let folder = self.folder(above, path)?;
        match folder.entries.insert(name.clone(), file) {
            Some(Entry::Folder(_)) => Err(ArchiveError::Both(shown(path))),
            Some(Entry::File { .. }) | None => Ok(()),
        }
    }

    pub(super) fn chart(mut self, name: &str) -> Result<Self, ArchiveError> {
        let missing = || ArchiveError::Chart(name.chars().take(200).collect());
        if let Some(Entry::Folder(named)) = self.entries.remove(name.as_bytes()) {
            return Ok(named);
        }
        let mut folders = self.entries.into_values().filter_map(|entry| match entry {
            Entry::Folder(folder) => Some(folder),
            Entry::File { .. } => None,
        });
        match (folders.next(), folders.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(missing()),
        }
    }

    /// Refuses links that lead outside, also by way of other links.
    pub(super) fn check_links(&self) -> Result<(), ArchiveError> {
        self.check_below(self, &mut Vec::new(), &mut { MAX_STEPS })
    }

    fn check_below<'a>(
        &'a self,
        root: &'a Self,
        at: &mut Vec<&'a [u8]>,
        steps: &mut usize,
    ) -> Result<(), ArchiveError> {
        for (name, entry) in &self.entries {
            at.push(name);
            match entry {
                Entry::Folder(inner) => inner.check_below(root, at, steps)?,
                Entry::File { link: None, .. } => {}
                Entry::File {
                    link: Some(link), ..
                } => {
                    if !root.leads_inside(&at[..at.len() - 1], link, steps) {
                        return Err(ArchiveError::Link(shown(&at.join(&b'/'))));
                    }
                }
            }
            at.pop();
        }
        Ok(())
    }

    fn leads_inside<'a>(&'a self, at: &[&'a [u8]], link: &'a [u8], steps: &mut usize) -> bool {
        let mut at = at.to_vec();
        let slash: fn(&u8) -> bool = |byte| *byte == b'/';
        let mut ahead = vec![link.split(slash)];
        let mut hops = 0;
        if link.starts_with(b"/") || link.contains(&b'\\') {
            return false;
        }
        while let Some(way) = ahead.last_mut() {
            let Some(part) = way.next() else {
                ahead.pop();
                continue;
            };
            *steps = steps.saturating_sub(at.len() + 1);
            if *steps == 0 {
                return false;
            }
            match part {
                b"" | b"." => {}
                b".." => {
                    if at.pop().is_none() {
                        return false;
                    }
                }
                _ => {
                    at.push(part);
                    if let Some(Entry::File {
                        link: Some(next), ..
                    }) = self.entry(&at)
                    {
                        hops += 1;
                        if hops > MAX_HOPS || next.starts_with(b"/") {
                            return false;
                        }
                        at.pop();
                        ahead.push(next.split(slash));
                    }
                }
            }
        }
        true
    }

    fn entry(&self, path: &[&[u8]]) -> Option<&Entry> {
        let (name, above) = path.split_last()?;
        let mut folder = self;
        for part in above {
            match folder.entries.get(*part)? {
                Entry::Folder(inner) => folder = inner,
                Entry::File { .. } => return None,
            }
        }
        folder.entries.get(*name)
    }

    /// Writes the trees; a folder with no file in it is none, as in Git.
    pub(super) fn write(&self, repository: &Repository) -> Result<Option<Oid>, git2::Error> {
        let mut builder = repository.treebuilder(None)?;
        for (name, entry) in &self.entries {
            match entry {
                Entry::File { blob, mode, .. } => {
                    builder.insert(name.as_slice(), *blob, (*mode).into())?;
                }
                Entry::Folder(inner) => {
                    if let Some(tree) = inner.write(repository)? {
                        builder.insert(name.as_slice(), tree, FileMode::Tree.into())?;
                    }
                }
            }
        }
        if builder.is_empty() {
            return Ok(None);
        }
        builder.write().map(Some)
    }
}

pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(200).collect()
}
