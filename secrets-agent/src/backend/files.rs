//! Secrets as files below one folder, as Kubernetes mounts them: path `files/<folder>` is that folder, each file in it is a key.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bus::seal::SecretValue;
use zeroize::Zeroizing;

use super::{Backend, BackendError, Document};
use crate::policy::SecretPath;

/// The first segment of its paths.
pub(super) const MOUNT: &str = "files";
/// Keys of one folder.
const MAX_KEYS: usize = 1_000;
/// Bytes of one value, and of all of a folder: what a Secret may hold.
const MAX_SIZE: u64 = 1 << 20;

pub struct Files {
    /// Without links.
    root: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("--secret-files {path} is not a folder that can be read")]
pub struct FilesError {
    path: String,
    source: io::Error,
}

impl Files {
    pub fn new(root: &Path) -> Result<Self, FilesError> {
        let failed = |source| FilesError {
            path: root.display().to_string(),
            source,
        };
        let root = fs::canonicalize(root).map_err(failed)?;
        fs::read_dir(&root).map_err(failed)?;
        Ok(Self { root })
    }

    /// Every regular file of the path's folder, by its name. Links are followed, but not out of the root.
    fn files(&self, path: &SecretPath) -> Result<Vec<(String, PathBuf)>, BackendError> {
        let failed = |error: io::Error| unreadable(path, &error);
        let folder = fs::canonicalize(self.root.join(rest(path))).map_err(failed)?;
        if !folder.starts_with(&self.root) {
            return Err(BackendError::NoPath { path: path.clone() });
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Kubernetes keeps what it links to in `..data`.
            let Some(name) = entry
                .file_name()
                .to_str()
                .filter(|name| !name.starts_with(".."))
                .map(str::to_owned)
            else {
                continue;
            };
            let file = fs::canonicalize(entry.path()).map_err(failed)?;
            if file.starts_with(&self.root) && file.is_file() {
                files.push((name, file));
            }
            if files.len() > MAX_KEYS {
                return Err(BackendError::Unreadable {
                    path: path.clone(),
                    why: "its folder holds more than 1,000 files",
                });
            }
        }
        files.sort();
        Ok(files)
    }

    fn document(&self, path: &SecretPath) -> Result<Document, BackendError> {
        let files = self.files(path)?;
        let version = version(&files).map_err(|error| unreadable(path, &error))?;
        let mut values = BTreeMap::new();
        let mut left = MAX_SIZE;
        for (name, file) in files {
            let value = contents(&file, left).map_err(|error| unreadable(path, &error))?;
            let Some(value) = value else {
                return Err(BackendError::Unreadable {
                    path: path.clone(),
                    why: "its files hold more than 1 MiB",
                });
            };
            left -= u64::try_from(value.len()).unwrap_or(left);
            values.insert(name, SecretValue::new(value));
        }
        Ok(Document::new(Some(version), values))
    }
}

impl Backend for Files {
    async fn read(
        &self,
        _: &str,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Document, BackendError> {
        if version.is_some() {
            return Err(BackendError::Unreadable {
                path: path.clone(),
                why: "files have no earlier versions",
            });
        }
        self.document(path)
    }

    async fn api_path(&self, _: &str, path: &SecretPath) -> Result<SecretPath, BackendError> {
        Ok(path.clone())
    }

    async fn newest_version(
        &self,
        _: &str,
        path: &SecretPath,
    ) -> Result<Option<u64>, BackendError> {
        let files = self.files(path)?;
        version(&files)
            .map(Some)
            .map_err(|error| unreadable(path, &error))
    }
}

/// The path below the root.
fn rest(path: &SecretPath) -> &str {
    path.as_str().split_once('/').map_or("", |(_, rest)| rest)
}

/// When the newest of the files was written, in Unix milliseconds, moved on by how many there are: a removed one counts, too.
fn version(files: &[(String, PathBuf)]) -> io::Result<u64> {
    let mut newest = 0;
    for (_, file) in files {
        let written = fs::metadata(file)?.modified()?;
        let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        newest = newest.max(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    }
    let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
    Ok(newest.saturating_add(count))
}

/// The bytes of a file; none when there are more than `limit`.
fn contents(file: &Path, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = File::open(file)?;
    let size = file.metadata()?.len();
    if size > limit {
        return Ok(None);
    }
    // As large as the file is now, and one byte more to see that it doesn't grow: a buffer that grows leaves copies behind.
    let room = usize::try_from(size)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    let mut value = Zeroizing::new(Vec::with_capacity(room));
    file.take(size + 1).read_to_end(&mut value)?;
    Ok((u64::try_from(value.len()).unwrap_or(u64::MAX) <= size).then_some(value))
}

fn unreadable(path: &SecretPath, error: &io::Error) -> BackendError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            BackendError::NoPath { path: path.clone() }
        }
        kind => BackendError::Store {
            path: path.clone(),
            why: format!("a file can't be read: {kind}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> SecretPath {
        SecretPath::parse(text).unwrap()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("team/shop")).unwrap();
        fs::write(folder.path().join("team/shop/user"), "ada\n").unwrap();
        fs::write(folder.path().join("team/shop/pass"), [0xff, 0]).unwrap();
        folder
    }

    #[tokio::test]
    async fn each_file_of_a_folder_is_a_key_byte_for_byte() {
        let folder = folder();
        let files = Files::new(folder.path()).unwrap();
        let document = files
            .read("", &path("files/team/shop"), None)
            .await
            .unwrap();
        assert_eq!(document.get("user").unwrap().expose(), b"ada\n");
        assert_eq!(document.get("pass").unwrap().expose(), [0xff, 0]);
        assert!(document.get("none").is_none());
        let missing = files
            .read("", &path("files/team/bank"), None)
            .await
            .unwrap_err();
        assert!(matches!(missing, BackendError::NoPath { .. }));
        assert!(
            files
                .read("", &path("files/team/shop"), Some(1))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_mounted_secret_is_read_through_its_links_and_a_link_out_of_the_root_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("shop/..2026")).unwrap();
        fs::write(root.join("shop/..2026/user"), "ada").unwrap();
        fs::write(folder.path().join("outside"), "no").unwrap();
        std::os::unix::fs::symlink("..2026", root.join("shop/..data")).unwrap();
        std::os::unix::fs::symlink("..data/user", root.join("shop/user")).unwrap();
        std::os::unix::fs::symlink("../../outside", root.join("shop/out")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        let files = Files::new(&root).unwrap();
        let document = files.read("", &path("files/shop"), None).await.unwrap();
        assert_eq!(document.get("user").unwrap().expose(), b"ada");
        assert!(document.get("out").is_none());
        assert!(document.get("..data").is_none());
        assert!(files.read("", &path("files/up"), None).await.is_err());
    }

    #[tokio::test]
    async fn a_changed_or_removed_file_is_another_version() {
        let folder = folder();
        let files = Files::new(folder.path()).unwrap();
        let shop = path("files/team/shop");
        let first = files.newest_version("", &shop).await.unwrap().unwrap();
        assert_eq!(
            files.read("", &shop, None).await.unwrap().version,
            Some(first)
        );
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        let user = File::options()
            .write(true)
            .open(folder.path().join("team/shop/user"))
            .unwrap();
        user.set_modified(later).unwrap();
        let second = files.newest_version("", &shop).await.unwrap().unwrap();
        assert!(second > first);
        fs::remove_file(folder.path().join("team/shop/pass")).unwrap();
        assert_ne!(files.newest_version("", &shop).await.unwrap(), Some(second));
    }

    #[tokio::test]
    async fn too_large_a_folder_is_refused_whole() {
        let folder = folder();
        let large = File::create(folder.path().join("team/shop/large")).unwrap();
        large.set_len(MAX_SIZE).unwrap();
        let files = Files::new(folder.path()).unwrap();
        let error = files
            .read("", &path("files/team/shop"), None)
            .await
            .unwrap_err();
        assert!(matches!(error, BackendError::Unreadable { .. }), "{error}");
    }
}
