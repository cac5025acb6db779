//! The per-user cache of built components: `<root>/<name>-<version>/<name>`.
//!
//! A program appears there by one rename, so it is whole or absent. What builds
//! it holds the batch's file lock, which the kernel takes back from a process
//! that dies.

use std::{
    env, fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::component::Component;

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("no place for the component cache: set XDG_CACHE_HOME or HOME to an absolute path")]
    Place,
    #[error("cannot {action} {} in the component cache", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the build reported success but left no {}", path.display())]
    Absent { path: PathBuf },
}

/// What a built program is kept under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    name: String,
    version: String,
}

impl Key {
    pub(crate) fn of(component: Component) -> Self {
        Self {
            name: component.name().to_owned(),
            version: component.version().into_owned(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.version)
    }
}

pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The calling user's cache, by the XDG rules.
    pub(crate) fn per_user() -> Result<Self, CacheError> {
        let absolute = |variable: &str| {
            env::var_os(variable)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .ok_or(CacheError::Place)?;
        Ok(Self::at(base.join("towline/components")))
    }

    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<PathBuf> {
        let path = self.place(key);
        path.is_file().then_some(path)
    }

    pub(crate) fn absent(&self, key: &Key) -> CacheError {
        CacheError::Absent {
            path: self.place(key),
        }
    }

    /// Where the log of a batch's last build is.
    pub(crate) fn log(&self, batch: &str) -> PathBuf {
        self.root.join(format!("{batch}.log"))
    }

    /// Makes `keys` present. `build` gets an empty folder and leaves what is
    /// missing as `bin/<name>` in it; it runs under the batch's lock, and not at
    /// all when somebody else did the work meanwhile.
    pub(crate) fn fill<E: From<CacheError>>(
        &self,
        batch: &str,
        keys: &[Key],
        on_wait: impl FnOnce(),
        build: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.missing(keys).is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.root).map_err(file_error("create", &self.root))?;
        let _lock = self.lock(batch, on_wait)?;
        let missing = self.missing(keys);
        if missing.is_empty() {
            return Ok(());
        }
        let folder = self.root.join(format!(".building-{batch}"));
        // Only the lock's holder builds here: what lies there, a killed build left.
        remove_folder(&folder)?;
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).map_err(file_error("create", &bin))?;
        let stored = build(&folder).and_then(|()| {
            missing
                .iter()
                .try_for_each(|key| self.store(&bin, key))
                .map_err(E::from)
        });
        remove_folder(&folder)?;
        stored
    }

    fn place(&self, key: &Key) -> PathBuf {
        self.root.join(key.to_string()).join(&key.name)
    }

    fn missing<'a>(&self, keys: &'a [Key]) -> Vec<&'a Key> {
        keys.iter().filter(|k| self.get(k).is_none()).collect()
    }

    fn lock(&self, batch: &str, on_wait: impl FnOnce()) -> Result<File, CacheError> {
        let path = self.root.join(format!("{batch}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(file_error("open the lock", &path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => on_wait(),
            Err(TryLockError::Error(source)) => return Err(file_error("lock", &path)(source)),
        }
        file.lock().map_err(file_error("lock", &path))?;
        Ok(file)
    }

    fn store(&self, bin: &Path, key: &Key) -> Result<(), CacheError> {
        let built = bin.join(&key.name);
        if !built.is_file() {
            return Err(CacheError::Absent { path: built });
        }
        let place = self.place(key);
        let folder = self.root.join(key.to_string());
        fs::create_dir_all(&folder).map_err(file_error("create", &folder))?;
        fs::rename(&built, &place).map_err(file_error("move a built program to", &place))
    }
}

fn remove_folder(folder: &Path) -> Result<(), CacheError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(file_error("remove", folder)(source))
        }
        _ => Ok(()),
    }
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::File {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use super::*;

    fn key(version: &str) -> Key {
        Key {
            name: "program".to_owned(),
            version: version.to_owned(),
        }
    }

    fn leave_program(folder: &Path) {
        fs::write(folder.join("bin/program"), "built").unwrap();
    }

    /// What a build that leaves its program says.
    const BUILT: Result<(), CacheError> = Ok(());

    #[test]
    fn a_key_names_program_and_version() {
        assert_eq!(
            Key::of(Component::NatsServer).to_string(),
            "nats-server-v2.15.2"
        );
    }

    #[test]
    fn two_that_ask_at_once_build_once() {
        let root = tempfile::tempdir().unwrap();
        let builds = AtomicUsize::new(0);
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let cache = Cache::at(root.path().to_owned());
                    start.wait();
                    cache
                        .fill(
                            "batch",
                            &[key("v1")],
                            || {},
                            |folder| {
                                builds.fetch_add(1, Ordering::SeqCst);
                                leave_program(folder);
                                BUILT
                            },
                        )
                        .unwrap();
                    assert!(cache.get(&key("v1")).is_some());
                });
            }
        });
        assert_eq!(builds.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn another_version_is_another_program() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().to_owned());
        cache
            .fill(
                "batch",
                &[key("v1")],
                || {},
                |folder| {
                    leave_program(folder);
                    BUILT
                },
            )
            .unwrap();
        assert_eq!(cache.get(&key("v2")), None);
    }

    #[test]
    fn a_failed_build_leaves_nothing_to_use() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().to_owned());
        let failed = cache.fill(
            "batch",
            &[key("v1")],
            || {},
            |folder| {
                leave_program(folder);
                Err(CacheError::Place)
            },
        );
        assert!(matches!(failed, Err(CacheError::Place)));
        assert_eq!(cache.get(&key("v1")), None);
    }

    #[test]
    fn a_build_without_a_result_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().to_owned());
        let result = cache.fill("batch", &[key("v1")], || {}, |_| Ok(()));
        assert!(matches!(result, Err(CacheError::Absent { .. })));
    }

    #[test]
    fn the_rest_of_a_killed_build_is_cleared_away() {
        let root = tempfile::tempdir().unwrap();
        let rest = root.path().join(".building-batch/bin");
        fs::create_dir_all(&rest).unwrap();
        fs::write(rest.join("program"), "half").unwrap();
        let cache = Cache::at(root.path().to_owned());
        let result = cache.fill("batch", &[key("v1")], || {}, |_| Ok(()));
        assert!(matches!(result, Err(CacheError::Absent { .. })));
    }
}
