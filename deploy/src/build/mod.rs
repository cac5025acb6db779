//! Builds components that were found nowhere: one `go` run for all that share a
//! module, into the cache, with the log kept beside it.

pub(crate) mod cache;
mod progress;

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use crate::{
    component::{
        Component,
        recipe::{self, Recipe, Source},
    },
    process::{log, spawner},
};
use cache::{Cache, CacheError, Key};
use progress::Progress;

const LOG_LINES: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("cannot write the sources of {what} to {}", path.display())]
    Sources {
        what: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot write the build log {}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error(
        "cannot run `go` to build {what}: install Go 1.26 or newer and have it on the PATH, or \
         name a ready program with {variable}"
    )]
    Go {
        what: String,
        variable: &'static str,
        source: io::Error,
    },
    #[error(
        "building {what} failed ({status}); the log is {}, and ends:\n{tail}",
        log.display()
    )]
    Failed {
        what: String,
        status: ExitStatus,
        log: PathBuf,
        tail: String,
    },
}

/// Builds what of `components`, all of one batch, the cache lacks.
pub(crate) fn build(cache: &Cache, components: &[Component]) -> Result<(), BuildError> {
    let Some(first) = components.first() else {
        return Ok(());
    };
    let recipe = first.recipe();
    let keys: Vec<Key> = components.iter().copied().map(Key::of).collect();
    cache.fill(
        &recipe.batch,
        &keys,
        || {
            let batch = &recipe.batch;
            progress::line(&format!("waiting for another process that builds {batch}"));
        },
        |folder| {
            let missing: Vec<_> = (components.iter().copied())
                .filter(|c| cache.get(&Key::of(*c)).is_none())
                .collect();
            go(&recipe, &missing, folder, &cache.log(&recipe.batch))
        },
    )
}

/// Runs `go` so that each program is `<folder>/bin/<name>` in the end.
fn go(
    recipe: &Recipe,
    components: &[Component],
    folder: &Path,
    log: &Path,
) -> Result<(), BuildError> {
    let what = title(components);
    let mut command = Command::new("go");
    let bin = folder.join("bin");
    command.env("CGO_ENABLED", "0");
    // The user's defaults for other projects must not reach into this build.
    command
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOWORK", "off");
    command.env_remove("GOOS").env_remove("GOARCH");
    match recipe.source {
        Source::Package(package) => {
            command.arg("install").args(flags(recipe));
            command.arg(format!("{package}@{}", components[0].version()));
            command.env("GOBIN", &bin).current_dir(folder);
        }
        Source::Module { module, .. } => {
            let sources = folder.join("module");
            unpack(module, &sources).map_err(|source| BuildError::Sources {
                what: what.clone(),
                path: sources.clone(),
                source,
            })?;
            command.arg("build").args(flags(recipe));
            command.arg("-o").arg(output(&bin, components));
            command.args(components.iter().filter_map(|c| package(*c)));
            command.current_dir(&sources);
        }
    }
    let log_error = |source| BuildError::Log {
        path: log.to_owned(),
        source,
    };
    let file = File::create(log).map_err(log_error)?;
    let errors = file.try_clone().map_err(log_error)?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors);

    let progress = Progress::start(&what, recipe.takes);
    let status = spawner::spawn(command)
        .and_then(|mut child| child.wait())
        .map_err(|source| BuildError::Go {
            what: what.clone(),
            variable: components[0].variable(),
            source,
        })?;
    if status.success() {
        progress.done();
        return Ok(());
    }
    progress.failed();
    Err(BuildError::Failed {
        what,
        status,
        log: log.to_owned(),
        tail: log::tail(log, LOG_LINES),
    })
}

fn flags(recipe: &Recipe) -> Vec<String> {
    let mut linker = String::from("-s -w");
    for variable in &recipe.variables {
        linker.push_str(" -X ");
        linker.push_str(variable);
    }
    let mut flags = vec!["-trimpath".to_owned(), format!("-ldflags={linker}")];
    if let Some(tags) = recipe.tags {
        flags.push(format!("-tags={tags}"));
    }
    flags
}

/// One program goes to its own name; several go to the folder, where each is
/// named after its package, which is the component's name.
fn output(bin: &Path, components: &[Component]) -> OsString {
    if let [one] = components {
        return bin.join(one.name()).into_os_string();
    }
    let mut folder = bin.as_os_str().to_owned();
    folder.push("/");
    folder
}

fn package(component: Component) -> Option<&'static str> {
    match component.recipe().source {
        Source::Module { package, .. } => Some(package),
        Source::Package(_) => None,
    }
}

fn unpack(module: &include_dir::Dir<'static>, folder: &Path) -> io::Result<()> {
    for (path, content) in recipe::build_files(module) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    Ok(())
}

fn title(components: &[Component]) -> String {
    let names: Vec<_> = components.iter().map(|c| c.name()).collect();
    let version = components.first().map(|c| c.version()).unwrap_or_default();
    format!("{} {version}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_carry_tags_and_the_version_for_the_linker() {
        assert_eq!(
            flags(&Component::Vault.recipe()),
            ["-trimpath", "-ldflags=-s -w", "-tags=minimal"]
        );
        let kubernetes = flags(&Component::KubeApiserver.recipe());
        assert!(kubernetes[1].contains("version.gitVersion=v1.37.2"));
    }

    #[test]
    fn several_programs_share_a_folder() {
        let bin = Path::new("/b");
        assert_eq!(output(bin, &[Component::Etcd]), "/b/etcd");
        assert_eq!(
            output(bin, &[Component::KubeApiserver, Component::KubeScheduler]),
            "/b/"
        );
    }
}
