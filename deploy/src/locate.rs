//! Where a component's program is: the one that a variable names, else one on
//! the PATH whose version fits, else the cached one, else one that is built now.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use tokio::sync::oneshot;

use crate::{
    build::{
        self, BuildError,
        cache::{Cache, CacheError, Key},
    },
    component::{Component, version::Version},
};

#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    #[error(
        "{variable} names {}, which is no executable file: correct it, or unset it to let \
         {component} be found or built",
        path.display()
    )]
    Variable {
        component: &'static str,
        variable: &'static str,
        path: PathBuf,
    },
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("cannot start a thread to look for components")]
    Thread(#[source] io::Error),
    #[error("the search for components broke off: it panicked, which is a bug in Towline")]
    CutOff,
}

/// The path of one component's program. Builds it if need be, which can take minutes.
pub async fn locate(component: Component) -> Result<PathBuf, LocateError> {
    in_thread(move || match find(component)? {
        Some(path) => Ok(path),
        None => build_one(component),
    })
    .await
}

/// Builds what of `components` is found nowhere, one batch after another;
/// programs that share a Go module are built together.
pub async fn prepare(components: &[Component]) -> Result<(), LocateError> {
    let components = components.to_vec();
    in_thread(move || {
        let mut batches = BTreeMap::<String, Vec<Component>>::new();
        for component in components {
            if find(component)?.is_none() {
                let batch = component.recipe().batch;
                batches.entry(batch).or_default().push(component);
            }
        }
        for batch in batches.values() {
            build::build(&Cache::per_user()?, batch)?;
        }
        Ok(())
    })
    .await
}

/// Runs `work` on a thread of its own. The runtime's blocking pool would keep
/// the process from ending on Ctrl-C until a build of minutes is done.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LocateError> + Send + 'static,
) -> Result<T, LocateError> {
    let (sender, result) = oneshot::channel();
    thread::Builder::new()
        .name("locate".to_owned())
        .spawn(move || {
            // Whoever asked may have lost interest; the build is kept anyway.
            let _ = sender.send(work());
        })
        .map_err(LocateError::Thread)?;
    result.await.map_err(|_| LocateError::CutOff)?
}

fn find(component: Component) -> Result<Option<PathBuf>, LocateError> {
    let variable = env::var_os(component.variable());
    if let Some(path) = by_variable(component, variable.as_deref())? {
        return Ok(Some(path));
    }
    if let Some(path) = on_path(component) {
        return Ok(Some(path));
    }
    Ok(Cache::per_user()?.get(&Key::of(component)))
}

fn build_one(component: Component) -> Result<PathBuf, LocateError> {
    let cache = Cache::per_user()?;
    build::build(&cache, &[component])?;
    let key = Key::of(component);
    Ok(cache.get(&key).ok_or_else(|| cache.absent(&key))?)
}

fn by_variable(
    component: Component,
    value: Option<&OsStr>,
) -> Result<Option<PathBuf>, LocateError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(value);
    if !is_executable(&path) {
        return Err(LocateError::Variable {
            component: component.name(),
            variable: component.variable(),
            path,
        });
    }
    Ok(Some(path))
}

fn on_path(component: Component) -> Option<PathBuf> {
    let pinned = component.pinned()?;
    let path = env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(component.name()))
        .find(|path| is_executable(path))?;
    let version = version_of(&path, component)?;
    if version.serves(pinned, component.fit()) {
        return Some(path);
    }
    tracing::debug!(
        "{} is {version}; {pinned} is wanted: not used",
        path.display()
    );
    None
}

fn version_of(path: &Path, component: Component) -> Option<Version> {
    let output = Command::new(path)
        .args(component.version_arguments())
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Version::first_in(&String::from_utf8_lossy(&output.stdout))
        .or_else(|| Version::first_in(&String::from_utf8_lossy(&output.stderr)))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_names_no_program_is_an_error_that_names_it() {
        let error = by_variable(Component::Etcd, Some(OsStr::new("/no/such/etcd"))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("TOWLINE_ETCD"), "{text}");
        assert!(text.contains("/no/such/etcd"), "{text}");
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        assert_eq!(
            by_variable(Component::Etcd, Some(OsStr::new(""))).unwrap(),
            None
        );
    }

    #[test]
    fn a_variable_is_taken_as_it_is() {
        let shell = Path::new("/bin/sh");
        let found = by_variable(Component::Etcd, Some(shell.as_os_str())).unwrap();
        assert_eq!(found.as_deref(), Some(shell));
    }
}
