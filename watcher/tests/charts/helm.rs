//! Charts of repositories with an index.

use std::net::SocketAddr;

use axum::http::StatusCode;
use watcher::source::Remote;
use watcher::source::access::Access;
use watcher::source::error::FetchError;

use super::fetched::{BASIC, anybody, chart, get, login, sha256, text};
use super::host::Host;

fn index(entries: &[(&str, &str, Option<&str>)]) -> String {
    let mut text = "apiVersion: v1\nentries:\n  web:\n".to_owned();
    for (version, url, digest) in entries {
        text += &format!("  - version: {version}\n    urls: [\"{url}\"]\n");
        if let Some(digest) = digest {
            text += &format!("    digest: {digest}\n");
        }
    }
    text
}

pub(crate) fn repository(address: SocketAddr) -> Remote {
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
    assert!(
        host.asked("index.yaml") <= 2,
        "{}",
        host.asked("index.yaml")
    );
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
