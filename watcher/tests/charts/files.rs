//! Single files.

use std::io::Write as _;

use axum::http::StatusCode;
use watcher::source::Remote;
use watcher::source::error::FetchError;

use super::fetched::{anybody, get, text};
use super::host::Host;

#[tokio::test]
async fn a_file_is_sent_again_only_when_it_changed() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    host.say(
        "/values.yaml",
        StatusCode::OK,
        vec![("etag", "\"a\"".to_owned())],
        "x: 1",
    );
    let remote = Remote::file(&format!("http://{address}/values.yaml")).unwrap();
    let first = get(&remote, &anybody(), "", folder.path()).await.unwrap();
    assert_eq!(text(folder.path(), &first, "file"), "x: 1");
    assert_eq!(
        get(&remote, &anybody(), "", folder.path()).await.unwrap(),
        first
    );
    host.say("/values.yaml", StatusCode::OK, Vec::new(), "x: 2");
    let second = get(&remote, &anybody(), "", folder.path()).await.unwrap();
    assert_eq!(text(folder.path(), &second, "file"), "x: 2");
    let gone = Remote::file(&format!("http://{address}/none")).unwrap();
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(
        get(&gone, &anybody(), "", other.path()).await,
        Err(FetchError::NotFound { .. })
    ));
}

#[tokio::test]
async fn more_than_the_bound_is_not_taken() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut large = Vec::new();
    large.write_all(&vec![b'x'; 17 << 20]).unwrap();
    host.tell("/large", large);
    let remote = Remote::file(&format!("http://{address}/large")).unwrap();
    let refused = get(&remote, &anybody(), "", folder.path()).await;
    assert!(
        matches!(refused, Err(FetchError::TooLarge { .. })),
        "{refused:?}"
    );
}
