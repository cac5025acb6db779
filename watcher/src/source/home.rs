//! What libgit2 takes for the user's home. It reads one file there, `.ssh/known_hosts`, to know which kinds of host keys to ask a
//! host for: without it, a host with several keys shows the one it likes best, which may be none that somebody vouched for.
//! Whether a key is believed is not decided there (`access`), and nothing that the real home holds counts.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::known_hosts::KnownHosts;

/// The folder, for as long as the process runs.
#[derive(Clone, Debug)]
pub struct Home {
    ssh: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("making the folder {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the folder {0} can't be libgit2's home")]
    Refused(PathBuf),
}

impl Home {
    /// Makes the folder libgit2's home, for the whole process: before the first repository is opened.
    pub fn at(path: &Path) -> Result<Self, HomeError> {
        let ssh = path.join(".ssh");
        fs::create_dir_all(&ssh).map_err(|source| HomeError::Folder {
            path: ssh.clone(),
            source,
        })?;
        let refused = || HomeError::Refused(path.to_owned());
        let text = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| refused())?;
        let option = libgit2_sys::GIT_OPT_SET_HOMEDIR;
        let option = i32::try_from(option).map_err(|_| refused())?;
        libgit2_sys::init();
        // SAFETY: libgit2 is initialised, and copies the text, which ends with NUL.
        let outcome = unsafe { libgit2_sys::git_libgit2_opts(option, text.as_ptr()) };
        if outcome < 0 {
            return Err(refused());
        }
        Ok(Self { ssh })
    }

    /// From now on hosts are asked for keys of the kinds that are known of them.
    pub fn prefer(&self, known: &KnownHosts) -> io::Result<()> {
        // Connections that begin meanwhile read the old file or the new one.
        let (file, partial) = (self.ssh.join("known_hosts"), self.ssh.join("partial"));
        fs::write(&partial, known.to_string())?;
        fs::rename(&partial, &file)
    }
}
