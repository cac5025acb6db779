//! One source's files at its revision, and a record of every answer given about them: the render's inputs.
//!
//! There is no working tree: a path is walked through Git's trees, so nothing outside of the revision can be named. A
//! symbolic link is followed inside; what leads out of the root is an error that names it.

mod database;
mod pack;
mod path;
mod view;
mod walk;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::Digest;
use bus::message::render::{Input, Listing};
use git2::Oid;

pub use database::Database;
use database::{Entry, EntryKind};
pub use pack::PackError;
pub(crate) use path::{clean, join};
pub(crate) use view::View;
use walk::{Found, Place};

/// How much a render may read.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Bytes of one file.
    pub file: usize,
    /// Bytes of all files of one source; with base64 they must fit a frame of the engine's wire.
    pub total: usize,
    /// Number of files of one source.
    pub files: usize,
}

impl ReadLimits {
    pub const DEFAULT: Self = Self {
        file: 16 << 20,
        total: 44 << 20,
        files: 20_000,
    };
}

/// Why a tree has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("creating a folder in {path}")]
    Scratch {
        path: String,
        source: std::io::Error,
    },
    #[error("indexing the pack {pack}")]
    Pack { pack: Digest, source: git2::Error },
    #[error("the pack {pack} is refused")]
    BadPack { pack: Digest, source: PackError },
    #[error("indexing the pack {pack} takes longer than {seconds} s, the limit of one pack")]
    SlowPack { pack: Digest, seconds: u64 },
    #[error("reading Git objects")]
    Git(#[source] git2::Error),
    #[error("the Git object {0} is not in the snapshot")]
    MissingObject(Oid),
    #[error("the Git object {0} is not a tree")]
    NotATree(Oid),
    #[error("`{0}` is not a Git object id")]
    BadId(String),
    #[error("the path {path} leaves the repository")]
    Leaves { path: String },
    #[error("the symbolic link {link} points to {target}, out of the repository")]
    LinkLeaves { link: String, target: String },
    #[error("the symbolic link {link} points to {target}, where nothing is")]
    LinkDangles { link: String, target: String },
    #[error("the path {path} goes through more than {limit} symbolic links")]
    TooManyLinks { path: String, limit: usize },
    #[error("the file {path} has {size} bytes; the limit of one file is {limit}")]
    FileTooLarge {
        path: String,
        size: usize,
        limit: usize,
    },
    #[error("reading {path} goes over {limit} bytes, the limit of one render")]
    TooMuch { path: String, limit: usize },
    #[error(
        "the listing of the folder {path} has {size} bytes; the limit of one folder is {limit}"
    )]
    ListingTooLarge {
        path: String,
        size: usize,
        limit: usize,
    },
    #[error("the folder {path} holds more than {limit} files, the limit of one render")]
    TooManyFiles { path: String, limit: usize },
}

impl TreeError {
    /// Whether the snapshot lacks something, so that publishing it again helps.
    pub fn is_missing_object(&self) -> bool {
        matches!(self, Self::MissingObject(_))
    }
}

/// What is at a path. `path` is where it really is.
#[derive(Debug)]
pub(crate) enum Answer {
    File { path: String, data: Vec<u8> },
    Folder { path: String },
    Absent,
}

/// A file somewhere below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Relative to the folder, as it was reached.
    pub(crate) name: String,
    oid: Oid,
    linked: bool,
}

/// How a folder is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Only its own files.
    Flat,
    /// Folders below it, but none behind a symbolic link.
    Recursive,
    /// Folders behind symbolic links too, as Helm does.
    Following,
}

/// The files of one source.
pub struct Tree {
    database: Arc<Database>,
    root: Oid,
    limits: ReadLimits,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    inputs: BTreeMap<String, Option<Oid>>,
    bytes: usize,
}

impl Tree {
    /// `root` is the object id of the revision's tree.
    pub fn new(database: Arc<Database>, root: &str, limits: ReadLimits) -> Result<Self, TreeError> {
        let root =
            Oid::from_str(root).map_err(|_| TreeError::BadId(root.chars().take(80).collect()))?;
        Ok(Self {
            database,
            root,
            limits,
            record: Mutex::default(),
        })
    }

    /// What is at a path; the answer becomes an input. That something is a folder is none: what is then read of it is.
    pub(crate) fn at(&self, path: &str) -> Result<Answer, TreeError> {
        let found = self.walk(path)?;
        self.remember(&found);
        match found.place {
            Place::File(oid) => Ok(Answer::File {
                data: self.read(&found.path, oid)?,
                path: found.path,
            }),
            Place::Folder(_) => Ok(Answer::Folder { path: found.path }),
            Place::Absent { .. } => Ok(Answer::Absent),
        }
    }

    /// A file's content; none if there is no such file.
    pub(crate) fn file(&self, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
        match self.at(path)? {
            Answer::File { data, .. } => Ok(Some(data)),
            Answer::Folder { .. } | Answer::Absent => Ok(None),
        }
    }

    /// The files of a folder, in lexical order; the folder as a whole becomes an input. None if there is no such folder.
    pub(crate) fn folder(&self, path: &str, walk: Walk) -> Result<Option<Vec<Leaf>>, TreeError> {
        let found = self.walk(path)?;
        self.remember(&found);
        let Place::Folder(oid) = found.place else {
            return Ok(None);
        };
        self.lock().inputs.insert(found.path.clone(), Some(oid));
        self.leaves(&found.path, oid, walk, None).map(Some)
    }

    /// The files of a folder that end in one of these, in lexical order. Which there are becomes an input, and so does each
    /// that is read; the folder as a whole is none. None if there is no such folder.
    pub(crate) fn find(
        &self,
        path: &str,
        walk: Walk,
        endings: &[&str],
    ) -> Result<Option<Vec<Leaf>>, TreeError> {
        let found = self.walk(path)?;
        self.remember(&found);
        let Place::Folder(oid) = found.place else {
            return Ok(None);
        };
        let mut endings: Vec<String> = endings.iter().map(|&ending| ending.to_owned()).collect();
        if walk != Walk::Flat {
            endings.push("/".to_owned());
        }
        self.leaves(&found.path, oid, walk, Some(&endings))
            .map(Some)
    }

    /// The content of a file that [`Self::find`] listed.
    pub(crate) fn found(&self, folder: &str, leaf: &Leaf) -> Result<Vec<u8>, TreeError> {
        // Of a link, the link itself and its target are inputs already.
        let path = join(folder, &leaf.name);
        if !leaf.linked {
            self.lock().inputs.insert(path.clone(), Some(leaf.oid));
        }
        self.read(&path, leaf.oid)
    }

    /// The names in a folder that end so, sorted; which there are becomes an input. None for what is no folder.
    pub(crate) fn names(&self, path: &str, ending: &str) -> Result<Vec<String>, TreeError> {
        let found = self.walk(path)?;
        self.remember(&found);
        let Place::Folder(oid) = found.place else {
            return Ok(Vec::new());
        };
        self.listed(&found.path, oid, &[ending.to_owned()])?;
        let entries = self.database.tree(oid, path)?;
        let mut names: Vec<String> = entries
            .iter()
            .filter(|entry| entry.name.ends_with(ending))
            .map(|entry| entry.name.clone())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Makes the names in a folder an input.
    fn listed(&self, path: &str, oid: Oid, endings: &[String]) -> Result<(), TreeError> {
        let listing = Listing {
            folder: path.to_owned(),
            endings: endings.to_vec(),
        };
        let object = self.listing(&listing, oid)?;
        let id = Oid::from_str(&object).map_err(|_| TreeError::BadId(object))?;
        self.lock().inputs.insert(listing.to_string(), Some(id));
        Ok(())
    }

    fn listing(&self, listing: &Listing, oid: Oid) -> Result<String, TreeError> {
        let entries = self.database.tree(oid, &listing.folder)?;
        let names: Vec<String> = entries.iter().map(Entry::listed_name).collect();
        Ok(listing.object(names.iter().map(String::as_str)))
    }

    /// A folder and all below it, each before those in it, none behind a symbolic link.
    pub(crate) fn folders_below(&self, path: &str) -> Result<Vec<String>, TreeError> {
        let mut folders = Vec::new();
        let mut rest = vec![path.to_owned()];
        while let Some(folder) = rest.pop() {
            let names = self.names(&folder, "")?;
            let below = names.iter().rev().map(|name| join(&folder, name));
            for path in below {
                if matches!(self.raw(&path)?, Some((EntryKind::Folder, _))) {
                    rest.push(path);
                }
            }
            if folders.len() >= self.limits.files {
                return Err(TreeError::TooManyFiles {
                    path: path.to_owned(),
                    limit: self.limits.files,
                });
            }
            folders.push(folder);
        }
        Ok(folders)
    }

    /// The names in a folder, without making it an input: for a caller that knows which of them matter.
    pub(crate) fn peek(&self, path: &str) -> Result<Vec<String>, TreeError> {
        match self.walk(path)?.place {
            Place::Folder(oid) => Ok(self
                .database
                .tree(oid, path)?
                .iter()
                .map(|entry| entry.name.clone())
                .collect()),
            Place::File(_) | Place::Absent { .. } => Ok(Vec::new()),
        }
    }

    /// The content of a file that [`Self::folder`] listed.
    pub(crate) fn leaf(&self, folder: &str, leaf: &Leaf) -> Result<Vec<u8>, TreeError> {
        self.read(&join(folder, &leaf.name), leaf.oid)
    }

    /// Every answer so far.
    pub(crate) fn inputs(&self, source: u32) -> Vec<Input> {
        let record = self.lock();
        record
            .inputs
            .iter()
            .map(|(path, oid)| Input {
                source,
                path: path.clone(),
                object: oid.map(|oid| oid.to_string()),
            })
            .collect()
    }

    /// The object id of the tree itself.
    pub(crate) fn root(&self) -> String {
        self.root.to_string()
    }

    /// Takes over recorded answers that are known to be still right.
    pub(crate) fn remember_all<'a>(&self, inputs: impl Iterator<Item = &'a Input>) {
        let mut record = self.lock();
        for input in inputs {
            let oid = input
                .object
                .as_deref()
                .and_then(|oid| Oid::from_str(oid).ok());
            record.inputs.insert(input.path.clone(), oid);
        }
    }

    /// Whether a path still has the object that an earlier render recorded. Links are not followed: they are inputs
    /// of their own.
    pub(crate) fn still(&self, input: &Input) -> Result<bool, TreeError> {
        let object = match Listing::parse(&input.path) {
            None => self.raw(&input.path)?.map(|(_, oid)| oid.to_string()),
            Some(listing) => match self.raw(&listing.folder)? {
                Some((EntryKind::Folder, oid)) => Some(self.listing(&listing, oid)?),
                _ => None,
            },
        };
        Ok(object == input.object)
    }

    fn read(&self, path: &str, oid: Oid) -> Result<Vec<u8>, TreeError> {
        let size = self.database.size(oid)?;
        if size > self.limits.file {
            return Err(TreeError::FileTooLarge {
                path: path.to_owned(),
                size,
                limit: self.limits.file,
            });
        }
        {
            let mut record = self.lock();
            record.bytes += size;
            if record.bytes > self.limits.total {
                return Err(TreeError::TooMuch {
                    path: path.to_owned(),
                    limit: self.limits.total,
                });
            }
        }
        self.database.blob(oid)
    }

    fn remember(&self, found: &Found) {
        let mut record = self.lock();
        for (link, oid) in &found.links {
            record.inputs.insert(link.clone(), Some(*oid));
        }
        match &found.place {
            Place::File(oid) => {
                record.inputs.insert(found.path.clone(), Some(*oid));
            }
            Place::Absent { at, object } => {
                record.inputs.insert(at.clone(), *object);
            }
            Place::Folder(_) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        // Each change of the record is one insertion: a panic leaves it whole.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
