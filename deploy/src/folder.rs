//! The work folder of a stack: stores, keys, logs. On tmpfs where there is room,
//! because stores write many small files; removed with the stack.
//!
//! A stack that was killed can't remove its folder. So each folder has a lock
//! file beside it, which its owner holds locked for as long as it lives, and each
//! new stack removes the folders whose lock is free.

use std::{
    env,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::sys::statvfs::statvfs;

const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "towline-stack-";
/// What a stack under test writes stays well below.
const ENOUGH_ROOM: u64 = 2 << 30;

#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the work folder {}", path.display())]
pub struct FolderError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Removes itself and what is in it when dropped.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    path: PathBuf,
    lock: PathBuf,
    keep: bool,
    _locked: File,
}

impl WorkFolder {
    pub(crate) fn new() -> Result<Self, FolderError> {
        let base = base();
        sweep(&base);
        Self::under(&base)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder for somebody to read its logs, until the next stack starts.
    pub(crate) fn keep(mut self) {
        self.keep = true;
    }

    fn under(base: &Path) -> Result<Self, FolderError> {
        loop {
            let name = format!("{PREFIX}{:08x}", rand::random::<u32>());
            let path = base.join(&name);
            let lock = base.join(format!("{name}.lock"));
            let error = |action| {
                let path = path.clone();
                move |source| FolderError {
                    action,
                    path,
                    source,
                }
            };
            let file = match create_lock(&lock) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(source) => return Err(error("lock")(source)),
            };
            DirBuilder::new()
                .mode(0o700)
                .create(&path)
                .map_err(error("create"))?;
            return Ok(Self {
                path,
                lock,
                keep: false,
                _locked: file,
            });
        }
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
        let _ = fs::remove_file(&self.lock);
    }
}

/// The lock file, locked; nothing if somebody else got hold of it.
fn create_lock(path: &Path) -> io::Result<Option<File>> {
    let file = match File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        result => result?,
    };
    if file.try_lock().is_err() {
        return Ok(None);
    }
    // A sweep between creation and lock has removed it: nobody would find it locked.
    Ok((file.metadata()?.nlink() > 0).then_some(file))
}

fn base() -> PathBuf {
    let memory = Path::new(MEMORY);
    let room = statvfs(memory).map(|s| s.blocks_available() * s.fragment_size());
    let writable = nix::unistd::access(memory, nix::unistd::AccessFlags::W_OK).is_ok();
    if writable && room.is_ok_and(|room| room >= ENOUGH_ROOM) {
        memory.to_owned()
    } else {
        env::temp_dir()
    }
}

/// Removes the folders of this user's stacks that are no more. What can't be
/// removed stays: it is not the new stack's concern.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    let own = nix::unistd::geteuid().as_raw();
    for lock in entries.flatten().map(|entry| entry.path()) {
        let name = lock.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(PREFIX) || !name.ends_with(".lock") {
            continue;
        }
        if let Ok(file) = File::options().write(true).open(&lock)
            && file.metadata().is_ok_and(|data| data.uid() == own)
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(lock.with_extension(""));
            let _ = fs::remove_file(&lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_folder_is_gone() {
        let base = tempfile::tempdir().unwrap();
        let folder = WorkFolder::under(base.path()).unwrap();
        fs::write(folder.path().join("store"), "x").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_sweep_takes_what_nobody_holds_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let held = WorkFolder::under(base.path()).unwrap();
        let left = WorkFolder::under(base.path()).unwrap();
        let left_path = left.path().to_owned();
        left.keep();
        let other = base.path().join("other.lock");
        fs::write(&other, "").unwrap();
        sweep(base.path());
        assert!(held.path().exists());
        assert!(!left_path.exists());
        assert!(other.exists());
    }
}
