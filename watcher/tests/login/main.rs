//! As whom a repository is fetched over HTTP, and through what.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod gate;
mod github;
#[path = "../support/http.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod http;
mod large;

use std::path::Path;
use std::time::{Duration, Instant};

use api::Sensitive;
use api::settings::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::{Gate, Kind};
use github::{APP, GitHub, INSTALLATION, KEY};
use http::Git;
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::location::{FilePolicy, Location};
use watcher::source::{Limits, git};

async fn fetch(url: &str, access: &Access) -> Result<String, FetchError> {
    // The tests' own HTTP clients need it too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = FilePolicy {
        allowed: false,
        cache: Path::new("/never/there"),
    };
    let location = Location::parse(url, files).unwrap();
    let access = access.clone();
    let fetch = move || {
        let folder = tempfile::tempdir().unwrap();
        let copy = git::open(&folder.path().join("copy")).unwrap();
        let limits = Limits {
            deadline: Instant::now() + Duration::from_mins(1),
            bytes: 1 << 30,
        };
        git::fetch(&copy, &location, &access, &["main".into()], limits)
    };
    let found = tokio::task::spawn_blocking(fetch).await.unwrap()?;
    found["main"]
        .as_ref()
        .map(|revision| revision.commit().unwrap().to_string())
        .map_err(Clone::clone)
}

/// A repository with one commit.
async fn repository() -> (Git, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let git = Git::serve().await;
    let commit = git.commit(&[("a.yaml", "1")]);
    (git, commit)
}

#[expect(clippy::unnecessary_wraps, reason = "it is a field's whole value")]
fn secret(value: &str) -> Option<Sensitive> {
    Some(Sensitive::new(value))
}

fn with(credentials: Credentials) -> Access {
    Access {
        credentials,
        ..Access::default()
    }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_are_said_with_the_first_request() {
    let (git, commit) = repository().await;
    let gate = Gate::start(Kind::Closed(git.address, basic("ada:canary"))).await;
    let access = with(Credentials {
        username: secret("ada"),
        password: secret("canary"),
        ..Credentials::default()
    });
    assert_eq!(fetch(&gate.url(), &access).await.unwrap(), commit);
    assert!(
        gate.said()
            .iter()
            .all(|said| said.authorization == Some(basic("ada:canary")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_without_user_is_a_token() {
    let (git, commit) = repository().await;
    let gate = Gate::start(Kind::Closed(git.address, basic("x-access-token:canary"))).await;
    let access = with(Credentials {
        password: secret("canary"),
        ..Credentials::default()
    });
    assert_eq!(fetch(&gate.url(), &access).await.unwrap(), commit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_goes_before_a_password_unless_basic_is_forced() {
    let (git, commit) = repository().await;
    let mut access = with(Credentials {
        username: secret("ada"),
        password: secret("canary"),
        bearer_token: secret("canary-token"),
        ..Credentials::default()
    });
    let gate = Gate::start(Kind::Closed(git.address, "Bearer canary-token".to_owned())).await;
    assert_eq!(fetch(&gate.url(), &access).await.unwrap(), commit);
    access.force_basic = true;
    let gate = Gate::start(Kind::Closed(git.address, basic("ada:canary"))).await;
    assert_eq!(fetch(&gate.url(), &access).await.unwrap(), commit);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_url_holds_is_a_login_too() {
    let (git, commit) = repository().await;
    let gate = Gate::start(Kind::Closed(git.address, basic("ada:c@nary"))).await;
    let url = gate.url().replace("http://", "http://ada:c%40nary@");
    assert_eq!(fetch(&url, &Access::default()).await.unwrap(), commit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_and_a_missing_one_say_so_without_showing_it() {
    let (git, _) = repository().await;
    let gate = Gate::start(Kind::Closed(git.address, basic("other:other"))).await;
    let access = with(Credentials {
        password: secret("canary"),
        ..Credentials::default()
    });
    let refused = fetch(&gate.url(), &access).await.unwrap_err();
    assert!(matches!(refused, FetchError::Denied { .. }), "{refused:?}");
    assert!(
        refused
            .to_string()
            .contains("the host refuses the login (401)")
    );
    assert!(!format!("{refused} {refused:?}").contains("canary"));
    assert_eq!(gate.said().len(), 1);
    let missing = fetch(&gate.url(), &Access::default()).await.unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("no repository or repo-creds Secret has any")
    );
    let cloud = with(Credentials {
        unsupported: Some("gcpServiceAccountKey"),
        ..Credentials::default()
    });
    let cloud = fetch(&gate.url(), &cloud).await.unwrap_err();
    assert!(
        cloud
            .to_string()
            .contains("gcpServiceAccountKey isn't supported"),
        "{cloud}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_is_followed_without_the_login() {
    let (git, commit) = repository().await;
    let other = Gate::start(Kind::Open(git.address)).await;
    let elsewhere = format!("http://{}", other.address);
    let first = Gate::start(Kind::Elsewhere(elsewhere)).await;
    let access = with(Credentials {
        password: secret("canary"),
        ..Credentials::default()
    });
    assert_eq!(fetch(&first.url(), &access).await.unwrap(), commit);
    assert!(first.said()[0].authorization.is_some());
    assert_eq!(first.said().len(), 1);
    assert!(other.said().iter().all(|said| said.authorization.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_without_end_are_given_up() {
    let gate = Gate::start(Kind::Elsewhere(String::new())).await;
    let error = fetch(&gate.url(), &Access::default()).await.unwrap_err();
    assert!(
        error.to_string().contains("redirects more than 5 times"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_gone_through_except_where_it_is_not_for() {
    let (git, commit) = repository().await;
    let proxy = Gate::start(Kind::Open(git.address)).await;
    let mut access = Access {
        proxy: secret(&format!("http://user:canary@{}", proxy.address)),
        ..Access::default()
    };
    // Only the proxy knows this host.
    let url = "http://git.towline.invalid/team/repo.git";
    assert_eq!(fetch(url, &access).await.unwrap(), commit);
    assert!(
        proxy
            .said()
            .iter()
            .all(|said| said.host == "git.towline.invalid")
    );
    let asked = proxy.said().len();
    access.no_proxy = Some("other, .towline.invalid".to_owned());
    let error = fetch(url, &access).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    assert_eq!(proxy.said().len(), asked);
    assert!(!format!("{error} {error:?} {access:?}").contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_speaks_no_git_says_so() {
    let gate = Gate::start(Kind::Open(Git::serve().await.address)).await;
    let url = gate.url().replace("/team/repo.git", "/nothing");
    let error = fetch(&url, &Access::default()).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
}

fn app(github: &GitHub, installation: Option<u64>) -> Access {
    with(Credentials {
        github_app_id: Some(APP),
        github_app_installation_id: installation,
        github_app_private_key: secret(KEY),
        github_app_enterprise_base_url: Some(github.base()),
        ..Credentials::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_app_logs_in_with_a_token_that_is_kept() {
    let (git, commit) = repository().await;
    let github = GitHub::start(3600).await;
    let gate = Gate::start(Kind::Closed(
        git.address,
        basic("x-access-token:ghs_canary"),
    ))
    .await;
    for installation in [Some(INSTALLATION), None] {
        let access = app(&github, installation);
        for _ in 0..3 {
            assert_eq!(fetch(&gate.url(), &access).await.unwrap(), commit);
        }
    }
    // One for the installation that was named, one for the one that was found.
    assert_eq!(github.issued(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_soon_ends_or_was_refused_is_not_used_again() {
    let (git, commit) = repository().await;
    let github = GitHub::start(60).await;
    let gate = Gate::start(Kind::Open(git.address)).await;
    let access = app(&github, Some(INSTALLATION));
    for _ in 0..2 {
        assert_eq!(fetch(&gate.url(), &access).await.unwrap(), commit);
    }
    assert_eq!(github.issued(), 2);
    let github = GitHub::start(3600).await;
    let gate = Gate::start(Kind::Closed(git.address, "never".to_owned())).await;
    let access = app(&github, Some(INSTALLATION));
    for _ in 0..2 {
        let error = fetch(&gate.url(), &access).await.unwrap_err();
        assert!(matches!(error, FetchError::Denied { .. }), "{error:?}");
    }
    assert_eq!(github.issued(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_not_installed_or_has_another_key_says_so() {
    let (git, _) = repository().await;
    let github = GitHub::start(3600).await;
    let gate = Gate::start(Kind::Open(git.address)).await;
    let error = fetch(&gate.url(), &app(&github, Some(1)))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("GitHub knows no installation"),
        "{error}"
    );
    let mut access = app(&github, Some(INSTALLATION));
    access.credentials.github_app_id = Some(1);
    let error = fetch(&gate.url(), &access).await.unwrap_err();
    assert!(
        error.to_string().contains("GitHub refuses the app 1 (401)"),
        "{error}"
    );
    access.credentials.github_app_private_key = secret("canary");
    let error = fetch(&gate.url(), &access).await.unwrap_err();
    assert!(
        error.to_string().contains("githubAppPrivateKey must be"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("canary"));
    assert!(gate.said().is_empty());
}
