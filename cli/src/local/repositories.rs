//! Repository URLs → object databases on this machine.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use api::application::ApplicationSource;
use api::git_url;
use git2::Oid;
use renderer::{Database, ReadLimits, Tree, TreeError};
use watcher::links::{Link, LinkPolicy, Links};
use watcher::revision::{References, Resolved, RevisionError, full_commit_id};
use watcher::sources::target;

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
        let url = &source.repo_url;
        let located = if let Some(revision) = self.revision {
            self.located(url, |open| any(&open.git, revision))?
        } else {
            let target = target(source);
            self.located(url, |open| open.specified(&target))?
        };
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
        self.located(url, |open| any(&open.git, revision))
    }

    fn located(
        &self,
        url: &str,
        commit: impl FnOnce(&Open) -> anyhow::Result<Oid>,
    ) -> anyhow::Result<Option<Located>> {
        let Some(folder) = folder(self.maps, url) else {
            return Ok(None);
        };
        // A panic leaves the map whole: an entry is made before it is inserted.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let repository = match open.entry(folder.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Open::at(folder)?),
        };
        let of = || format!("the revision in {}", folder.display());
        let commit = commit(repository).with_context(of)?;
        let tree = repository
            .git
            .find_commit(commit)
            .map_err(|error| told(&error));
        Ok(Some(Located {
            database: Arc::clone(&repository.database),
            commit: commit.to_string(),
            tree: tree.with_context(of)?.tree_id().to_string(),
        }))
    }
}

/// A revision that a watcher doesn't take.
pub(super) fn refusal(url: &str, link: &Link) -> anyhow::Error {
    let url = git_url::without_credentials(url);
    anyhow::anyhow!("{url}: {link}. Remove the link, or allow it with --allow-oob-symlinks")
}

impl Open {
    /// Of an Application: what a watcher takes it for.
    fn specified(&self, target: &str) -> anyhow::Result<Oid> {
        let offered = offered(&self.git).map_err(|error| told(&error))?;
        match offered.resolve(target)? {
            Resolved::Reference { target, .. } | Resolved::Commit(target) => {
                let object = self
                    .git
                    .find_object(target, None)
                    .map_err(|error| told(&error))?;
                Ok(object.peel_to_commit().map_err(|error| told(&error))?.id())
            }
            Resolved::Abbreviated(digits) => any(&self.git, &digits),
        }
    }

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

/// What is offered as a host would: the branches that a checkout knows of its origin are branches too.
fn offered(git: &git2::Repository) -> Result<References, git2::Error> {
    let mut found = BTreeMap::new();
    let mut of_origin = Vec::new();
    if let Ok(head) = git.head()
        && let Some(oid) = head.target()
    {
        found.insert("HEAD".to_owned(), oid);
    }
    for reference in git.references()? {
        let reference = reference?;
        let (Ok(name), Some(oid)) = (reference.name(), reference.target()) else {
            continue;
        };
        if let Some(branch) = name.strip_prefix("refs/remotes/origin/") {
            of_origin.push((format!("refs/heads/{branch}"), oid));
        }
        if let Ok(commit) = reference.peel_to_commit()
            && commit.id() != oid
        {
            found.insert(format!("{name}^{{}}"), commit.id());
        }
        found.insert(name.to_owned(), oid);
    }
    for (name, oid) in of_origin {
        found.entry(name).or_insert(oid);
    }
    Ok(References::new(found))
}

/// Of the command line: whatever Git understands, names first.
fn any(git: &git2::Repository, revision: &str) -> anyhow::Result<Oid> {
    let mut names = vec![revision.to_owned()];
    if revision != "HEAD" && !revision.starts_with("refs/") && full_commit_id(revision).is_none() {
        let folders = ["refs/heads/", "refs/tags/", "refs/remotes/origin/"];
        names.splice(0..0, folders.map(|folder| format!("{folder}{revision}")));
    }
    for name in names {
        match git.revparse_single(&name) {
            Ok(object) => return Ok(object.peel_to_commit().map_err(|error| told(&error))?.id()),
            Err(error) if is_other_name(&error) => {}
            Err(error) => return Err(told(&error)),
        }
    }
    Err(RevisionError::Unknown(revision.to_owned()).into())
}

/// What libgit2 says, without its numbers.
fn told(error: &git2::Error) -> anyhow::Error {
    anyhow::Error::msg(error.message().to_owned())
}

/// Whether there is nothing of this name, or it can't be one.
fn is_other_name(error: &git2::Error) -> bool {
    use git2::ErrorCode::{InvalidSpec, NotFound};
    matches!(error.code(), NotFound | InvalidSpec)
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
