//! A folder as it was, for after a tool has changed it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::files::copy_all;

/// What a tool may change beside a chart or an overlay, as it was.
pub(crate) struct Kept {
    folder: PathBuf,
    copy: TempDir,
    names: Vec<std::ffi::OsString>,
}

impl Kept {
    /// Files of the folder itself, and those of `charts`.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
        let copy = tempfile::tempdir()?;
        let mut names = Vec::new();
        if folder.is_dir() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                names.push(entry.file_name());
                let target = copy.path().join(entry.file_name());
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), target)?;
                } else if entry.file_name() == "charts" && entry.file_type()?.is_dir() {
                    copy_all(&entry.path(), &target)?;
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            copy,
            names,
        })
    }

    pub(crate) fn restore(self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let is_folder = entry.file_type()?.is_dir();
            let is_known = self.names.contains(&entry.file_name());
            if is_folder && (!is_known || entry.file_name() == "charts") {
                std::fs::remove_dir_all(entry.path())?;
            } else if !is_known {
                std::fs::remove_file(entry.path())?;
            }
        }
        copy_all(self.copy.path(), &self.folder)
    }
}
