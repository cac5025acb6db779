//! What isn't in a repository of this machine → the watcher's fetchers → copies in a cache folder, one per remote and login.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use git2::Oid;
use renderer::Database;
use watcher::links::Links;
use watcher::settings::Environment;
use watcher::slot::{RepoKey, Slot, Source};
use watcher::source::access::Access;
use watcher::source::home::Home;
use watcher::source::location::{FilePolicy, Location, LocationError};
use watcher::source::whole::Others;
use watcher::source::{self, Limits, Look, Revision, git};
use watcher::worker::{Store, StoreLimits};

use super::repositories::{Located, refusal};

/// As a watcher has them unless it is told otherwise.
const TIME_LIMIT: Duration = Duration::from_mins(1);
const BYTES_LIMIT: usize = 2 << 30;
const STORE_LIMITS: StoreLimits = StoreLimits {
    snapshot_bytes: 512 << 20,
    packs: 1,
    submodules: true,
};

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Hosts,
    /// Only what was fetched before.
    Cache,
}

/// Everything that was fetched in this run, and before.
pub(super) struct Fetched {
    cache: PathBuf,
    reach: Reach,
    others: Arc<dyn Others>,
    remotes: Mutex<HashMap<RepoKey, Arc<Remote>>>,
}

/// A remote: by target revision what was found, or why not. Asked once for each in a run.
type Remote = tokio::sync::Mutex<HashMap<Arc<str>, Result<Located, String>>>;

impl Fetched {
    /// `scratch` lives as long as this does. Before the first repository is opened.
    pub(super) fn new(
        cache: PathBuf,
        reach: Reach,
        environment: &Arc<Environment>,
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        git::limit_libgit2(TIME_LIMIT);
        if reach == Reach::Hosts {
            // Private repositories are in it.
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&cache);
            made.with_context(|| format!("making the folder {}", cache.display()))?;
            let home = Home::at(&scratch.join("home"))?;
            home.prefer(&environment.vouched.known_hosts)
                .context("telling libgit2 which host keys are known")?;
        }
        // What is compared with it is absolute and without links.
        let cache = cache.canonicalize().unwrap_or(cache);
        let others = Arc::new(Submodules {
            environment: Arc::clone(environment),
            cache: cache.clone(),
        });
        Ok(Self {
            cache,
            reach,
            others,
            remotes: Mutex::default(),
        })
    }

    pub(super) fn files(&self) -> FilePolicy<'_> {
        FilePolicy {
            allowed: true,
            cache: &self.cache,
        }
    }

    /// A target revision of a remote, from its host or from the cache.
    pub(super) async fn slot(&self, slot: &Slot) -> anyhow::Result<Located> {
        let remote = {
            // A panic leaves the map whole: an entry is made before it is inserted.
            let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(remotes.entry(slot.key.clone()).or_default())
        };
        let mut found = remote.lock().await;
        if let Some(found) = found.get(&slot.target) {
            return found.clone().map_err(anyhow::Error::msg);
        }
        let new = self.bring(slot).await;
        let told = new.as_ref().map_err(|error| format!("{error:#}")).cloned();
        found.insert(Arc::clone(&slot.target), told);
        new
    }

    /// Refuses a source with a link out of its repository, as a watcher does.
    pub(super) async fn inside(&self, source: &Source, located: &Located) -> anyhow::Result<()> {
        let (slot, Some(path)) = (&source.slot, source.folder.clone()) else {
            return Ok(());
        };
        let (folder, tree) = (self.cache.join(slot.key.folder()), located.tree.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let copy = git2::Repository::open_bare(folder)?;
            Links::default().outside(&copy, Oid::from_str(&tree)?, &path)
        });
        match looked.await.context("following the links")?? {
            Some(link) => Err(refusal(&slot.remote.shown(), &link)),
            None => Ok(()),
        }
    }

    async fn bring(&self, slot: &Slot) -> anyhow::Result<Located> {
        let folder = self.cache.join(slot.key.folder());
        let revision = match self.reach {
            Reach::Hosts => self.fetch(slot, &folder).await?,
            Reach::Cache => source::kept(&folder, &slot.target)?.ok_or_else(|| {
                anyhow!(
                    "with --offline only what an earlier run fetched counts, and in {} it isn't: run it once without, with the same --repositories",
                    self.cache.display()
                )
            })?,
        };
        let opened = tokio::task::spawn_blocking(move || {
            let opened = Database::open(&folder);
            opened.with_context(|| format!("opening the copy {}", folder.display()))
        });
        Ok(Located {
            database: Arc::new(opened.await.context("opening a copy")??),
            commit: revision.id.to_string(),
            tree: revision.tree.to_string(),
        })
    }

    async fn fetch(&self, slot: &Slot, folder: &Path) -> anyhow::Result<Revision> {
        let _alone = alone(folder.with_extension("lock")).await?;
        let others = Arc::clone(&self.others);
        let store = Store::new(folder.to_owned(), Vec::new(), STORE_LIMITS, others);
        let limits = Limits {
            deadline: Instant::now() + TIME_LIMIT,
            bytes: BYTES_LIMIT,
        };
        let targets = [Arc::clone(&slot.target)];
        let looked = store
            .fetch(&slot.remote, &slot.access, &targets, Look::Usual, limits)
            .await?;
        let mut found = looked.revisions;
        if matches!(slot.remote, source::Remote::Git(_)) {
            source::keep(folder, &found)?;
        }
        let found = found.remove(&slot.target);
        Ok(found.with_context(|| format!("{} came to nothing", slot.remote))??)
    }
}

/// Other runs fetch into the same copy: one after the other, until what is returned is dropped.
async fn alone(lock: PathBuf) -> anyhow::Result<File> {
    let locking = format!("locking {}", lock.display());
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(lock)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    locked
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .context(locking)
}

/// Submodules, by what is configured for all projects.
struct Submodules {
    environment: Arc<Environment>,
    cache: PathBuf,
}

impl Others for Submodules {
    fn other(&self, url: &str) -> Result<(Location, Access), LocationError> {
        let files = FilePolicy {
            allowed: true,
            cache: &self.cache,
        };
        Ok((
            Location::parse(url, files)?,
            self.environment.access(url, ""),
        ))
    }
}
