//! A tar archive, gzip'd or not, becomes a tree of a bare repository. The archive isn't trusted: it is bounded in every direction,
//! and what reaches beyond itself is refused. The same files make the same tree, whatever their order, times and owners.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use git2::{FileMode, ObjectType, Odb, Oid, Repository};
use tar::EntryType;

use super::archive_tree::{Entry, Folder, shown};

/// Longest path, in bytes.
const MAX_PATH: usize = 1024;
/// Folders in folders, at most.
const MAX_DEPTH: usize = 64;
/// Longest target of a link, in bytes.
const MAX_LINK: usize = 1024;
/// What an archive may unpack to.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of the unpacked archive, with its headers.
    pub unpacked: u64,
    pub entries: usize,
}

impl Bounds {
    /// Helm itself reads no larger chart.
    pub const CHART: Self = Self {
        unpacked: 100 << 20,
        entries: 50_000,
    };
    /// As Argo CD's `--oci-manifest-max-extracted-size`.
    pub const FILES: Self = Self {
        unpacked: 1 << 30,
        entries: 100_000,
    };
}

/// Which folder of the archive is the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root<'a> {
    /// Its own.
    Whole,
    /// The one that has the chart's name, or the only one: what lies beside it is no part of a chart.
    Chart(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Tar,
    Gzip,
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it is no archive that can be read ({0})")]
    Broken(#[source] io::Error),
    #[error("it unpacks to more than {0} bytes")]
    Unpacked(u64),
    #[error("it has more than {0} entries")]
    Entries(usize),
    #[error("the path {0:?} in it leads outside, or is none")]
    Path(String),
    #[error(
        "the path {0:?} in it is longer than {MAX_PATH} bytes, or deeper than {MAX_DEPTH} folders"
    )]
    Long(String),
    #[error("{0:?} in it is neither file, folder nor symbolic link")]
    Kind(String),
    #[error("the symbolic link {0:?} in it leads outside")]
    Link(String),
    #[error("{0:?} in it is both a file and a folder")]
    Both(String),
    #[error("it holds no folder {0:?}, and not exactly one other")]
    Chart(String),
    #[error("it holds no file")]
    Empty,
    #[error("writing it into the watcher's copy")]
    Store(#[source] git2::Error),
}

/// Writes an archive's files into `repository`.
pub fn unpack(
    repository: &Repository,
    archive: impl Read,
    packing: Packing,
    root: Root<'_>,
    bounds: Bounds,
) -> Result<Oid, ArchiveError> {
    let odb = repository.odb().map_err(ArchiveError::Store)?;
    let mut folder = match packing {
        Packing::Tar => read(&odb, archive, bounds)?,
        Packing::Gzip => read(&odb, MultiGzDecoder::new(archive), bounds)?,
    };
    if let Root::Chart(name) = root {
        folder = folder.chart(name)?;
    }
    folder.check_links()?;
    folder
        .write(repository)
        .map_err(ArchiveError::Store)?
        .ok_or(ArchiveError::Empty)
}

/// Counts what an archive unpacks to.
struct Counted<R> {
    inner: R,
    left: u64,
    over: Rc<Cell<bool>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            // Its end may be here.
            if self.inner.read(&mut [0])? == 0 {
                return Ok(0);
            }
            self.over.set(true);
            return Err(io::Error::other("too large"));
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let length = self.inner.read(&mut buffer[..most])?;
        self.left -= length as u64;
        Ok(length)
    }
}

fn read(odb: &Odb<'_>, stream: impl Read, bounds: Bounds) -> Result<Folder, ArchiveError> {
    let over = Rc::new(Cell::new(false));
    let broken = |error| {
        if over.get() {
            ArchiveError::Unpacked(bounds.unpacked)
        } else {
            ArchiveError::Broken(error)
        }
    };
    let mut archive = tar::Archive::new(Counted {
        inner: stream,
        left: bounds.unpacked,
        over: Rc::clone(&over),
    });
    let mut root = Folder::default();
    for (index, entry) in archive.entries().map_err(broken)?.enumerate() {
        if index >= bounds.entries {
            return Err(ArchiveError::Entries(bounds.entries));
        }
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        let parts = parts(&path)?;
        match kind {
            EntryType::Directory => {
                root.folder(&parts, &path)?;
            }
            // How the oldest archives say folder.
            EntryType::Regular if path.ends_with(b"/") => {
                root.folder(&parts, &path)?;
            }
            EntryType::Regular | EntryType::Continuous => {
                let executable = entry.header().mode().unwrap_or_default() & 0o111 != 0;
                let blob = store(odb, &mut entry, bounds).map_err(|error| match error {
                    Stored::Read(error) => broken(error),
                    Stored::Odb(error) => ArchiveError::Store(error),
                })?;
                let mode = if executable {
                    FileMode::BlobExecutable
                } else {
                    FileMode::Blob
                };
                root.add(
                    &parts,
                    &path,
                    Entry::File {
                        blob,
                        mode,
                        link: None,
                    },
                )?;
            }
            EntryType::Symlink => {
                let link = entry.link_name_bytes().unwrap_or_default().into_owned();
                if link.is_empty() || link.len() > MAX_LINK || link.contains(&0) {
                    return Err(ArchiveError::Link(shown(&path)));
                }
                let blob = odb
                    .write(ObjectType::Blob, &link)
                    .map_err(ArchiveError::Store)?;
                let (mode, link) = (FileMode::Link, Some(link));
                root.add(&parts, &path, Entry::File { blob, mode, link })?;
            }
            _ => return Err(ArchiveError::Kind(shown(&path))),
        }
    }
    Ok(root)
}

enum Stored {
    Read(io::Error),
    Odb(git2::Error),
}

/// Writes a file piece by piece: its size is the archive's word, and what isn't that long is refused.
fn store(
    odb: &Odb<'_>,
    entry: &mut tar::Entry<'_, impl Read>,
    bounds: Bounds,
) -> Result<Oid, Stored> {
    let size = entry.size();
    if size > bounds.unpacked {
        // Reading on says so: it ends over the bound, or before the size.
        io::copy(entry, &mut io::sink()).map_err(Stored::Read)?;
        return Err(Stored::Read(io::ErrorKind::UnexpectedEof.into()));
    }
    let length = usize::try_from(size).unwrap_or(usize::MAX);
    let mut writer = odb.writer(length, ObjectType::Blob).map_err(Stored::Odb)?;
    let mut buffer = vec![0; 64 << 10];
    let mut written = 0_u64;
    loop {
        let length = entry.read(&mut buffer).map_err(Stored::Read)?;
        if length == 0 {
            break;
        }
        written += length as u64;
        let failed = |error: io::Error| Stored::Odb(git2::Error::from_str(&error.to_string()));
        writer.write_all(&buffer[..length]).map_err(failed)?;
    }
    if written != size {
        return Err(Stored::Read(io::ErrorKind::UnexpectedEof.into()));
    }
    writer.finalize().map_err(Stored::Odb)
}

/// A path's parts; none for the archive's own folder.
fn parts(path: &[u8]) -> Result<Vec<Vec<u8>>, ArchiveError> {
    if path.len() > MAX_PATH {
        return Err(ArchiveError::Long(shown(path)));
    }
    let outside = || ArchiveError::Path(shown(path));
    // Archives made on Windows: as Helm, one kind of slash per path.
    let slash = if path.contains(&b'\\') { b'\\' } else { b'/' };
    if path.is_empty() || path.starts_with(b"/") || path.starts_with(b"\\") || path.contains(&0) {
        return Err(outside());
    }
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == slash) {
        match part {
            b"" | b"." => {}
            b".." => return Err(outside()),
            // Git takes no entry of this name, in whatever case.
            _ if part.eq_ignore_ascii_case(b".git") || part.contains(&b'/') => {
                return Err(outside());
            }
            _ => parts.push(part.to_vec()),
        }
    }
    // A drive of Windows.
    let drive =
        |part: &Vec<u8>| part.len() == 2 && part[0].is_ascii_alphabetic() && part[1] == b':';
    if parts.iter().take(2).any(drive) {
        return Err(outside());
    }
    if parts.len() > MAX_DEPTH {
        return Err(ArchiveError::Long(shown(path)));
    }
    Ok(parts)
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
