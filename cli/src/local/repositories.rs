//! Repository URLs → object databases on this machine.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use api::application::ApplicationSource;
use api::git_url;
use git2::Oid;
use renderer::{Database, ReadLimits, Tree, TreeError};
use watcher::links::{Link, LinkPolicy, Links};

/// `URL=DIR`.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    url: String,
    folder: PathBuf,
}

impl From<(String, PathBuf)> for Mapping {
    fn from((url, folder): (String, PathBuf)) -> Self {
        Self { url, folder }
    }
}

impl FromStr for Mapping {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((url, folder)) if !url.is_empty() && !folder.is_empty() => Ok(Self {
                url: url.to_owned(),
                folder: folder.into(),
            }),
            _ => Err("it must be URL=DIR"),
        }
    }
}

/// The repositories of a run; each is opened once.
pub(super) struct Repositories<'a> {
    maps: &'a [Mapping],
    revision: Option<&'a str>,
    links: LinkPolicy,
    open: Mutex<HashMap<PathBuf, Open>>,
}

/// One repository: its references, and its objects as the renderer reads them.
struct Open {
    git: git2::Repository,
    links: Links,
    database: Arc<Database>,
}

/// Where files are.
#[derive(Clone)]
pub(super) struct Located {
    pub(super) database: Arc<Database>,
    /// Or the version of a chart, or a digest.
    pub(super) commit: String,
    pub(super) tree: String,
}

impl Located {
    /// A tree that has counted nothing yet of what one render may read.
    pub(super) fn tree(&self) -> Result<Arc<Tree>, TreeError> {
        let database = Arc::clone(&self.database);
        Tree::new(database, &self.tree, ReadLimits::DEFAULT).map(Arc::new)
    }
}

impl<'a> Repositories<'a> {
    pub(super) fn new(maps: &'a [Mapping], revision: Option<&'a str>, links: LinkPolicy) -> Self {
        Self {
            maps,
            revision,
            links,
            open: Mutex::default(),
        }
    }

    /// A source at the revision that counts, if its repository is here.
    pub(super) fn source(&self, source: &ApplicationSource) -> anyhow::Result<Option<Located>> {
        let revision = self.revision.unwrap_or(source.target_revision());
        let located = self.at(&source.repo_url, revision)?;
        if let (Some(located), LinkPolicy::Inside) = (&located, self.links) {
            self.inside(source, &located.tree)?;
        }
        Ok(located)
    }

    /// Refuses a source with a link out of its repository, as a watcher does.
    fn inside(&self, source: &ApplicationSource, tree: &str) -> anyhow::Result<()> {
        let (url, Some(path)) = (&source.repo_url, &source.path) else {
            return Ok(());
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = folder(self.maps, url).and_then(|folder| open.get_mut(folder)) else {
            return Ok(());
        };
        let outside =
            Oid::from_str(tree).and_then(|tree| open.links.outside(&open.git, tree, path));
        match outside.context("following the repository's links")? {
            Some(link) => Err(refusal(url, &link)),
            None => Ok(()),
        }
    }

    /// A repository at a revision, if it is here; no revision means HEAD.
    pub(super) fn at(&self, url: &str, revision: &str) -> anyhow::Result<Option<Located>> {
        let revision = if revision.is_empty() {
            "HEAD"
        } else {
            revision
        };
        let Some(folder) = folder(self.maps, url) else {
            return Ok(None);
        };
        // A panic leaves the map whole: an entry is made before it is inserted.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let repository = match open.entry(folder.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Open::at(folder)?),
        };
        let commit = resolve(&repository.git, revision)
            .with_context(|| format!("the revision {revision} in {}", folder.display()))?;
        Ok(Some(Located {
            database: Arc::clone(&repository.database),
            commit: commit.id().to_string(),
            tree: commit.tree_id().to_string(),
        }))
    }
}

/// A revision that a watcher doesn't take.
pub(super) fn refusal(url: &str, link: &Link) -> anyhow::Error {
    let url = git_url::without_credentials(url);
    anyhow::anyhow!("{url}: {link}. Remove the link, or allow it with --allow-oob-symlinks")
}

impl Open {
    fn at(folder: &Path) -> anyhow::Result<Self> {
        let opening = || format!("opening the repository {}", folder.display());
        Ok(Self {
            git: git2::Repository::open(folder).with_context(opening)?,
            links: Links::default(),
            database: Arc::new(Database::open(folder).with_context(opening)?),
        })
    }
}

/// The map of this very repository, else of the same host and path in another form (ssh for https), else a URL that is a folder.
fn folder<'a>(maps: &'a [Mapping], url: &'a str) -> Option<&'a Path> {
    let by = |form: fn(&str) -> String| {
        let wanted = form(url);
        maps.iter().find(|map| form(&map.url) == wanted)
    };
    by(git_url::identity)
        .or_else(|| by(git_url::host_and_path))
        .map(|map| map.folder.as_path())
        .or_else(|| url.trim().strip_prefix("file://").map(Path::new))
}

/// The commit of a revision: as the watcher resolves it, then what only a checkout knows of it (the branch at its origin),
/// then whatever else Git understands.
fn resolve<'a>(git: &'a git2::Repository, revision: &str) -> Result<git2::Commit<'a>, git2::Error> {
    let commit = |name: &str| git.revparse_single(name)?.peel_to_commit();
    if revision != "HEAD" && !revision.starts_with("refs/") && !is_commit(revision) {
        for prefix in ["refs/heads/", "refs/tags/", "refs/remotes/origin/"] {
            match commit(&format!("{prefix}{revision}")) {
                Err(error) if !is_other_name(&error) => return Err(error),
                Err(_) => {}
                found => return found,
            }
        }
    }
    commit(revision)
}

/// Whether there is nothing of this name, or it can't be one.
fn is_other_name(error: &git2::Error) -> bool {
    use git2::ErrorCode::{InvalidSpec, NotFound};
    matches!(error.code(), NotFound | InvalidSpec)
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(maps: &'a [Mapping], url: &'a str) -> Option<&'a str> {
        folder(maps, url).and_then(Path::to_str)
    }

    #[test]
    fn a_map_counts_for_every_form_of_its_url_and_the_closest_form_wins() {
        let maps: Vec<Mapping> = ["https://h/Team/a=first", "https://h/team/a=second"]
            .iter()
            .map(|map| map.parse().unwrap())
            .collect();
        assert_eq!(found(&maps, "https://h/team/a.git"), Some("second"));
        assert_eq!(found(&maps, "git@h:Team/a.git"), Some("first"));
        assert_eq!(found(&maps, "https://h/other"), None);
        assert_eq!(found(&maps, "file:///srv/a.git"), Some("/srv/a.git"));
    }

    #[test]
    fn a_map_without_folder_or_url_is_refused() {
        for text in ["https://h/a", "https://h/a=", "=dir"] {
            assert!(text.parse::<Mapping>().is_err(), "{text}");
        }
    }
}
