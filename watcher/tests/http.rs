//! Fetching over smart HTTP: few requests, little data, whatever people do to their branches.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/http.rs"]
mod http;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use git2::{Oid, Repository};
use http::Git;
use watcher::snapshot;
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::location::{FilePolicy, Location};
use watcher::source::{Limits, Revisions, git};

struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn repository(&self) -> Repository {
        git::open(&self.folder.path().join("copy")).unwrap()
    }

    async fn try_fetch(&self, url: &str, targets: &[&str]) -> Result<Revisions, FetchError> {
        let files = FilePolicy {
            allowed: true,
            cache: Path::new("/never/there"),
        };
        let location = Location::parse(url, files).unwrap();
        let targets: Vec<Arc<str>> = targets.iter().map(|target| (*target).into()).collect();
        let repository = self.repository();
        let limits = Limits {
            deadline: Instant::now() + Duration::from_mins(1),
            bytes: 1 << 30,
        };
        tokio::task::spawn_blocking(move || {
            git::fetch(&repository, &location, &Access::default(), &targets, limits)
        })
        .await
        .unwrap()
    }

    async fn commit(&self, git: &Git, target: &str) -> String {
        let found = self.try_fetch(&git.url(), &[target]).await.unwrap();
        let revision = found[target].as_ref().unwrap();
        // Its files must be there.
        snapshot::pack(&self.repository(), None, revision.tree, u64::MAX).unwrap();
        revision.commit().unwrap().to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_fetch_brings_the_tip_and_no_history() {
    let git = Git::serve().await;
    let first = git.commit(&[("a", "1")]);
    let second = git.commit(&[("a", "2")]);
    let copy = Copy::new();
    assert_eq!(copy.commit(&git, "main").await, second);
    let odb = copy.repository();
    let odb = odb.odb().unwrap();
    assert!(!odb.exists(Oid::from_str(&first).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_without_news_is_one_request_and_a_commit_is_two() {
    let git = Git::serve().await;
    git.commit(&[("a", "0")]);
    let copy = Copy::new();
    copy.commit(&git, "main").await;
    for number in 1..40 {
        let before = git.requests();
        copy.commit(&git, "main").await;
        assert_eq!(git.requests() - before, 1);
        let commit = git.commit(&[("a", &number.to_string())]);
        let before = git.requests();
        assert_eq!(copy.commit(&git, "main").await, commit);
        assert_eq!(git.requests() - before, 2, "commit {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_commit_is_found_though_only_the_tip_was_had() {
    let git = Git::serve().await;
    let first = git.commit(&[("a", "1")]);
    git.commit(&[("a", "2")]);
    let third = git.commit(&[("a", "3")]);
    let copy = Copy::new();
    assert_eq!(copy.commit(&git, "main").await, third);
    assert_eq!(copy.commit(&git, &first).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_force_push_back_and_to_elsewhere_is_followed() {
    let git = Git::serve().await;
    let first = git.commit(&[("a", "1")]);
    let second = git.commit(&[("a", "2"), ("b", "2")]);
    let copy = Copy::new();
    assert_eq!(copy.commit(&git, "main").await, second);
    let origin = Repository::open_bare(git.folder.path().join("team/repo.git")).unwrap();
    let reset = |to: &str| {
        let to = Oid::from_str(to).unwrap();
        origin.reference("refs/heads/main", to, true, "").unwrap();
    };
    reset(&first);
    assert_eq!(copy.commit(&git, "main").await, first);
    let other = git.commit(&[("c", "3")]);
    assert_eq!(copy.commit(&git, "main").await, other);
    reset(&second);
    assert_eq!(copy.commit(&git, "main").await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_branch_with_much_behind_it_brings_only_its_tip() {
    let git = Git::serve().await;
    git.commit(&[("a", "1")]);
    let copy = Copy::new();
    copy.commit(&git, "main").await;
    // Does not compress, and is in the history but not in the tip.
    let noise: String = (0..400_000_u64)
        .map(|number| bus::Digest::of(&number.to_be_bytes()).as_str()[..24].to_owned())
        .collect();
    let old = git.commit(&[("noise", &noise)]);
    let tip = git.commit(&[("noise", "")]);
    assert_eq!(copy.commit(&git, "main").await, tip);
    let repository = copy.repository();
    assert!(
        !repository
            .odb()
            .unwrap()
            .exists(Oid::from_str(&old).unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_there_is_not_found() {
    let git = Git::serve().await;
    let url = git.url().replace("team/repo", "team/other");
    let error = Copy::new().try_fetch(&url, &["main"]).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_with_sha256_is_refused_and_says_why() {
    let git = Git::serve().await;
    let path = git.folder.path().join("team/other.git");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let folder = path.display().to_string();
    let at = format!("--git-dir={folder}");
    run(&["init", "-q", "--bare", "--object-format=sha256", &folder]);
    let tree = run(&[&at, "hash-object", "-w", "-t", "tree", "/dev/null"]);
    let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    let commit = run(&[&who[..], &[&at, "commit-tree", "-m", "x", &tree]].concat());
    run(&[&at, "update-ref", "refs/heads/main", &commit]);
    let url = git.url().replace("/repo.git", "/other.git");
    let error = Copy::new().try_fetch(&url, &["main"]).await.unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");
}
