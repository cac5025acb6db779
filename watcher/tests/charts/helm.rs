//! Charts of repositories with an index.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::{Look, Remote};

use super::fetched::{BASIC, anybody, chart, get, login, look, sha256, text};
use super::host::Host;

pub(crate) fn index(entries: &[(&str, &str, Option<&str>)]) -> String {
    let mut text = "apiVersion: v1\nentries:\n  web:\n".to_owned();
    for (version, url, digest) in entries {
        writeln!(text, "  - version: {version}\n    urls: [\"{url}\"]").unwrap();
        if let Some(digest) = digest {
            writeln!(text, "    digest: {digest}").unwrap();
        }
    }
    text
}

fn repository(address: SocketAddr) -> Remote {
    Remote::chart(&format!("http://{address}/charts"), "web", false).unwrap()
}

#[tokio::test]
async fn the_newest_version_of_a_range_is_fetched_once_and_again_when_it_changed() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (chart("1.0.0"), chart("1.1.0"));
    let digest = sha256(&old);
    let first = index(&[("1.0.0", "web-1.0.0.tgz", Some(&digest))]);
    let tag = |tag: &str| vec![("etag", tag.to_owned())];
    host.say("/charts/index.yaml", StatusCode::OK, tag("\"1\""), first);
    host.tell("/charts/web-1.0.0.tgz", old.clone());
    host.tell("/charts/web-1.1.0.tgz", new);
    let remote = repository(address);
    for _ in 0..3 {
        let revision = get(&remote, &anybody(), "^1", folder.path()).await.unwrap();
        assert_eq!(&*revision.id, "1.0.0");
        assert!(text(folder.path(), &revision, "Chart.yaml").contains("1.0.0"));
    }
    assert_eq!(host.asked("web-1.0.0.tgz"), 1);
    let second = index(&[
        ("1.0.0", "web-1.0.0.tgz", Some(&digest)),
        ("1.1.0", "/charts/web-1.1.0.tgz", None),
    ]);
    host.say("/charts/index.yaml", StatusCode::OK, tag("\"2\""), second);
    let revision = get(&remote, &anybody(), "^1", folder.path()).await.unwrap();
    assert_eq!(&*revision.id, "1.1.0");
}

#[tokio::test]
async fn what_was_had_counts_while_the_host_is_down() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    host.tell("/charts/index.yaml", index(&[("1.0.0", "a.tgz", None)]));
    host.tell("/charts/a.tgz", chart("1.0.0"));
    let remote = repository(address);
    let before = get(&remote, &anybody(), "~1", folder.path()).await.unwrap();
    host.down();
    for target in ["~1", "1.0.0"] {
        assert_eq!(
            get(&remote, &anybody(), target, folder.path())
                .await
                .unwrap(),
            before
        );
    }
    let never = get(&remote, &anybody(), "^2", folder.path()).await;
    assert!(
        matches!(never, Err(FetchError::Unreachable { .. })),
        "{never:?}"
    );
}

#[tokio::test]
async fn charts_looked_at_together_cost_one_index() {
    let (host, address) = Host::start().await;
    host.tell("/charts/index.yaml", index(&[("1.0.0", "a.tgz", None)]));
    host.tell("/charts/a.tgz", chart("1.0.0"));
    let rounds = (0..20).map(|_| async {
        let folder = tempfile::tempdir().unwrap();
        get(&repository(address), &anybody(), "", folder.path())
            .await
            .unwrap()
    });
    futures::future::join_all(rounds).await;
    // Who comes when the answer is there looks anew.
    let asked = host.asked("index.yaml");
    assert!(asked <= 10, "{asked}");
}

#[tokio::test]
async fn a_login_goes_to_the_repositorys_own_host_only() {
    let (host, address) = Host::start().await;
    let (other, elsewhere) = Host::start().await;
    host.guard(BASIC, "Basic".to_owned());
    let there = format!("http://{elsewhere}/a.tgz");
    host.tell(
        "/charts/index.yaml",
        index(&[("1.0.0", &there, None), ("2.0.0", "moved.tgz", None)]),
    );
    host.say(
        "/charts/moved.tgz",
        StatusCode::FOUND,
        vec![("location", there.clone())],
        "",
    );
    other.tell("/a.tgz", chart("1.0.0"));
    for target in ["1.0.0", "2.0.0"] {
        let folder = tempfile::tempdir().unwrap();
        get(&repository(address), &login(), target, folder.path())
            .await
            .unwrap();
    }
    assert_eq!(other.logins(), [None, None]);
    let folder = tempfile::tempdir().unwrap();
    let passing = Access {
        pass_credentials: true,
        ..login()
    };
    get(&repository(address), &passing, "1.0.0", folder.path())
        .await
        .unwrap();
    assert_eq!(other.logins()[2].as_deref(), Some(BASIC));
    let refused = get(&repository(address), &anybody(), "", folder.path())
        .await
        .unwrap_err();
    assert!(matches!(refused, FetchError::Denied { .. }), "{refused}");
}

#[tokio::test]
async fn content_that_is_not_what_the_index_says_is_refused() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let wrong = sha256(b"other");
    host.tell(
        "/charts/index.yaml",
        index(&[
            ("1.0.0", "a.tgz", Some(&wrong)),
            ("2.0.0", "file:///etc/passwd", None),
            ("3.0.0", "html.tgz", None),
        ]),
    );
    host.tell("/charts/a.tgz", chart("1.0.0"));
    host.tell("/charts/html.tgz", "<html></html>");
    for target in ["1.0.0", "2.0.0", "3.0.0"] {
        let refused = get(&repository(address), &anybody(), target, folder.path())
            .await
            .unwrap_err();
        assert!(
            matches!(refused, FetchError::Content { .. }),
            "{target}: {refused}"
        );
        assert!(
            refused
                .to_string()
                .contains(&format!("chart web of http://{address}/charts"))
        );
    }
}

#[tokio::test]
async fn a_version_published_again_without_a_digest_is_noticed_by_its_hosts_validator() {
    for validator in ["etag", "last-modified"] {
        let (first, second) = match validator {
            "etag" => ("\"1\"", "\"2\""),
            _ => (
                "Tue, 24 Nov 2026 01:00:00 GMT",
                "Wed, 25 Nov 2026 01:00:00 GMT",
            ),
        };
        let (host, address) = Host::start().await;
        let folder = tempfile::tempdir().unwrap();
        host.tell("/charts/index.yaml", index(&[("1.0.0", "a.tgz", None)]));
        let publish = |tag: &str, content: &str| {
            let headers = vec![(validator, tag.to_owned())];
            host.say("/charts/a.tgz", StatusCode::OK, headers, chart(content));
        };
        publish(first, "1.0.0");
        let remote = repository(address);
        let before = get(&remote, &anybody(), "1.0.0", folder.path())
            .await
            .unwrap();
        let again = get(&remote, &anybody(), "1.0.0", folder.path())
            .await
            .unwrap();
        assert_eq!(before, again);
        publish(second, "1.0.0 # published again");
        let after = get(&remote, &anybody(), "1.0.0", folder.path())
            .await
            .unwrap();
        assert!(text(folder.path(), &after, "Chart.yaml").contains("again"));
        // What is no longer there was had.
        host.say("/charts/a.tgz", StatusCode::NOT_FOUND, Vec::new(), "");
        let kept = get(&remote, &anybody(), "1.0.0", folder.path())
            .await
            .unwrap();
        assert_eq!(kept, after);
    }
}

#[tokio::test]
async fn a_hard_look_brings_everything_again() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    host.tell("/charts/index.yaml", index(&[("1.0.0", "a.tgz", None)]));
    host.tell("/charts/a.tgz", chart("1.0.0"));
    let remote = repository(address);
    let before = get(&remote, &anybody(), "1.0.0", folder.path())
        .await
        .unwrap();
    host.tell("/charts/a.tgz", chart("1.0.0 # published again"));
    let usual = get(&remote, &anybody(), "1.0.0", folder.path())
        .await
        .unwrap();
    assert_eq!(usual, before, "its host says nothing by which to tell");
    let looked = look(&remote, &anybody(), "1.0.0", (folder.path(), Look::Hard)).await;
    let after = looked.unwrap().revisions["1.0.0"].clone().unwrap();
    assert!(text(folder.path(), &after, "Chart.yaml").contains("again"));
    // While the host is down, that counts which was had, hard or not.
    host.down();
    let looked = look(&remote, &anybody(), "1.0.0", (folder.path(), Look::Hard)).await;
    assert_eq!(looked.unwrap().revisions["1.0.0"].clone().unwrap(), after);
}

#[tokio::test]
async fn a_host_that_asks_to_be_left_alone_is_told_of_and_what_was_had_counts() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    host.tell("/charts/index.yaml", index(&[("1.0.0", "a.tgz", None)]));
    host.tell("/charts/a.tgz", chart("1.0.0"));
    let remote = repository(address);
    let before = get(&remote, &anybody(), "^1", folder.path()).await.unwrap();
    for (status, headers, after) in [
        (
            429,
            vec![("retry-after", "120".to_owned())],
            Some(Duration::from_mins(2)),
        ),
        (429, Vec::new(), None),
        (
            503,
            vec![("retry-after", "60".to_owned())],
            Some(Duration::from_mins(1)),
        ),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        host.say("/charts/index.yaml", status, headers, "");
        let looked = look(&remote, &anybody(), "^1", (folder.path(), Look::Usual))
            .await
            .unwrap();
        assert_eq!(looked.revisions["^1"].clone().unwrap(), before);
        let asked = match looked.outage {
            Some(FetchError::Busy { after, .. }) => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(asked, after);
    }
    host.say(
        "/charts/index.yaml",
        StatusCode::INTERNAL_SERVER_ERROR,
        Vec::new(),
        "",
    );
    let looked = look(&remote, &anybody(), "^1", (folder.path(), Look::Usual))
        .await
        .unwrap();
    assert_eq!(looked.revisions["^1"].clone().unwrap(), before);
    assert!(matches!(
        looked.outage,
        Some(FetchError::Unreachable { .. })
    ));
}

#[tokio::test]
async fn what_was_fetched_outlives_gits_own_collection() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    host.tell("/charts/index.yaml", index(&[("1.0.0", "a.tgz", None)]));
    host.tell("/charts/a.tgz", chart("1.0.0"));
    let remote = repository(address);
    let before = get(&remote, &anybody(), "1.0.0", folder.path())
        .await
        .unwrap();
    let collected = std::process::Command::new("git")
        .args(["gc", "--prune=now", "--quiet"])
        .current_dir(folder.path())
        .status();
    assert!(collected.unwrap().success());
    assert!(text(folder.path(), &before, "Chart.yaml").contains("1.0.0"));
    get(&remote, &anybody(), "1.0.0", folder.path())
        .await
        .unwrap();
    assert_eq!(host.asked("a.tgz"), 2, "asked for, not needed");
}

#[tokio::test]
async fn many_charts_of_one_repository_looked_at_together_cost_few_indexes() {
    let (host, address) = Host::start().await;
    let mut text = "apiVersion: v1\nentries:\n".to_owned();
    for chart in 0..40 {
        writeln!(text, "  c{chart}:\n  - version: 1.0.0\n    urls: [a.tgz]").unwrap();
    }
    let tag = vec![("etag", "\"1\"".to_owned())];
    host.say("/charts/index.yaml", StatusCode::OK, tag, text);
    host.tell("/charts/a.tgz", chart("1.0.0"));
    let rounds = (0..40).map(|number| async move {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://{address}/charts");
        let remote = Remote::chart(&url, &format!("c{number}"), false).unwrap();
        get(&remote, &anybody(), "", folder.path()).await.unwrap()
    });
    futures::future::join_all(rounds).await;
    let asked = host.asked("index.yaml");
    assert!(asked <= 20, "{asked}");
}
