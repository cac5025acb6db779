//! A repository with its submodules.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Signature};
use watcher::snapshot;
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::location::{FilePolicy, Location, LocationError};
use watcher::source::whole::{self, Others};
use watcher::source::{Limits, Revision};

/// Repositories next to each other.
struct Hosted {
    folder: tempfile::TempDir,
}

impl Others for Hosted {
    fn other(&self, url: &str) -> Result<(Location, Access), LocationError> {
        let files = FilePolicy {
            allowed: true,
            cache: Path::new("/never/there"),
        };
        Ok((Location::parse(url, files)?, Access::default()))
    }
}

impl Hosted {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn url(&self, name: &str) -> String {
        format!("file://{}/{name}.git", self.folder.path().display())
    }

    fn open(&self, name: &str) -> Repository {
        let path = self.folder.path().join(format!("{name}.git"));
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        Repository::open_bare(&path)
            .unwrap_or_else(|_| Repository::init_opts(&path, &options).unwrap())
    }

    /// Commits files and submodules (path, URL, commit) to a repository's main branch.
    fn commit(&self, name: &str, files: &[(&str, &str)], submodules: &[(&str, &str, Oid)]) -> Oid {
        let repository = self.open(name);
        let parent = repository.find_reference("refs/heads/main").ok();
        let parent = parent.map(|it| it.peel_to_commit().unwrap());
        let empty = repository.treebuilder(None).unwrap().write().unwrap();
        let base = parent.as_ref().map_or(empty, git2::Commit::tree_id);
        let mut update = TreeUpdateBuilder::new();
        let mut modules = String::new();
        for (path, url, commit) in submodules {
            modules.push_str(
                &[
                    &format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = "),
                    *url,
                    "\n",
                ]
                .concat(),
            );
            update.upsert(*path, *commit, FileMode::Commit);
        }
        if !submodules.is_empty() {
            let blob = repository.blob(modules.as_bytes()).unwrap();
            update.upsert(".gitmodules", blob, FileMode::Blob);
        }
        for (path, text) in files {
            let blob = repository.blob(text.as_bytes()).unwrap();
            update.upsert(*path, blob, FileMode::Blob);
        }
        let base = repository.find_tree(base).unwrap();
        let tree = update.create_updated(&repository, &base).unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let who = Signature::now("Ada", "ada@example.org").unwrap();
        let parents: Vec<_> = parent.iter().collect();
        let head = Some("refs/heads/main");
        repository
            .commit(head, &who, &who, "change", &tree, &parents)
            .unwrap()
    }
}

struct Copy {
    _folder: tempfile::TempDir,
    repository: Repository,
}

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = watcher::source::git::open(&folder.path().join("copy")).unwrap();
        Self {
            _folder: folder,
            repository,
        }
    }

    fn fetch(&self, hosted: &Hosted, name: &str, submodules: bool) -> Result<Revision, FetchError> {
        let (location, access) = hosted.other(&hosted.url(name)).unwrap();
        let limits = Limits {
            deadline: Instant::now() + Duration::from_mins(1),
            bytes: 1 << 30,
        };
        let main: Arc<str> = "main".into();
        let others = submodules.then_some(hosted as &dyn Others);
        whole::fetch(
            &self.repository,
            &location,
            &access,
            [&main],
            limits,
            others,
        )?
        .remove(&main)
        .unwrap()
    }

    /// What is at a path; its tree must be whole.
    fn text(&self, revision: &Revision, path: &str) -> Option<String> {
        snapshot::pack(&self.repository, None, revision.tree, u64::MAX).unwrap();
        let tree = self.repository.find_tree(revision.tree).unwrap();
        let blob = self
            .repository
            .find_blob(tree.get_path(path.as_ref()).ok()?.id());
        Some(String::from_utf8(blob.ok()?.content().to_vec()).unwrap())
    }
}

#[test]
fn submodules_and_theirs_are_in_their_places() {
    let hosted = Hosted::new();
    let inner = hosted.commit("inner", &[("i", "inner")], &[]);
    let outer = hosted.commit(
        "libs",
        &[("l", "libs")],
        &[("deep/inner", "../inner.git", inner)],
    );
    hosted.commit(
        "app",
        &[("a", "app"), ("vendor/x", "x")],
        &[("vendor/libs", "../libs.git", outer)],
    );
    let copy = Copy::new();
    let found = copy.fetch(&hosted, "app", true).unwrap();
    for (path, text) in [
        ("a", "app"),
        ("vendor/x", "x"),
        ("vendor/libs/l", "libs"),
        ("vendor/libs/deep/inner/i", "inner"),
    ] {
        assert_eq!(copy.text(&found, path).as_deref(), Some(text), "{path}");
    }
}

#[test]
fn switched_off_they_stay_empty() {
    let hosted = Hosted::new();
    let inner = hosted.commit("inner", &[("i", "inner")], &[]);
    hosted.commit("app", &[("a", "app")], &[("inner", "../inner.git", inner)]);
    let copy = Copy::new();
    let found = copy.fetch(&hosted, "app", false).unwrap();
    assert_eq!(copy.text(&found, "inner/i"), None);
    assert_eq!(copy.text(&found, "a").as_deref(), Some("app"));
}

#[test]
fn the_commit_that_is_named_counts_and_is_fetched_once() {
    let hosted = Hosted::new();
    let first = hosted.commit("inner", &[("i", "1")], &[]);
    let second = hosted.commit("inner", &[("i", "2")], &[]);
    let url = hosted.url("inner");
    hosted.commit("app", &[("a", "1")], &[("inner", &url, first)]);
    let copy = Copy::new();
    let found = copy.fetch(&hosted, "app", true).unwrap();
    assert_eq!(copy.text(&found, "inner/i").as_deref(), Some("1"));
    hosted.commit("app", &[("a", "2")], &[("inner", &url, second)]);
    let found = copy.fetch(&hosted, "app", true).unwrap();
    assert_eq!(copy.text(&found, "inner/i").as_deref(), Some("2"));
    // What is had needs no host.
    std::fs::remove_dir_all(hosted.folder.path().join("inner.git")).unwrap();
    hosted.commit("app", &[("a", "3")], &[]);
    let found = copy.fetch(&hosted, "app", true).unwrap();
    assert_eq!(copy.text(&found, "inner/i").as_deref(), Some("2"));
    assert_eq!(copy.text(&found, "a").as_deref(), Some("3"));
}

#[test]
fn a_repository_may_hold_an_earlier_state_of_itself() {
    let hosted = Hosted::new();
    let first = hosted.commit("app", &[("a", "1")], &[]);
    let second = hosted.commit("app", &[("a", "2")], &[("old", "./", first)]);
    hosted.commit("app", &[("a", "3")], &[("old", "../app.git", second)]);
    let copy = Copy::new();
    // `./` names nothing: the commit in between is broken, and says so.
    let error = copy.fetch(&hosted, "app", true).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("submodule old: submodule old: "),
        "{error}"
    );
    hosted.commit("app", &[("a", "4")], &[("old", "../app.git", first)]);
    let found = copy.fetch(&hosted, "app", true).unwrap();
    assert_eq!(copy.text(&found, "old/a").as_deref(), Some("1"));
}

#[test]
fn submodules_that_nest_without_end_are_refused() {
    let hosted = Hosted::new();
    let mut last = hosted.commit("app", &[("a", "0")], &[]);
    for number in 1..=20 {
        let text = number.to_string();
        last = hosted.commit("app", &[("a", &text)], &[("inner", "../app.git", last)]);
    }
    let error = Copy::new().fetch(&hosted, "app", true).unwrap_err();
    assert!(
        error.to_string().contains("nested deeper than 16"),
        "{error}"
    );
}

#[test]
fn a_submodule_that_cannot_be_had_says_which() {
    let hosted = Hosted::new();
    let gone = Oid::from_str(&"1".repeat(40)).unwrap();
    hosted.commit("inner", &[("i", "1")], &[]);
    for (url, expected) in [
        ("../nothing.git", "submodule libs: repository file://"),
        ("../inner.git", "names no commit"),
        ("ext::sh", "is none of https://"),
        ("--upload-pack=id", "is none of https://"),
    ] {
        hosted.commit("app", &[("a", "app")], &[("libs", url, gone)]);
        let error = Copy::new().fetch(&hosted, "app", true).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().starts_with("submodule libs: "), "{error}");
    }
}

#[test]
fn a_broken_list_of_submodules_names_its_line() {
    let hosted = Hosted::new();
    hosted.commit("app", &[(".gitmodules", "[submodule \"a\"]\n%\n")], &[]);
    let error = Copy::new().fetch(&hosted, "app", true).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(".gitmodules can't be used: line 2"),
        "{error}"
    );
}
