//! Files that Git LFS keeps, and a server that has them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use watcher::source::error::FetchError;
use watcher::source::{Limits, Revision, git, whole};

use super::gate::forward;
use super::*;

#[derive(Clone)]
struct Server {
    git: SocketAddr,
    address: SocketAddr,
    files: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(git: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            git,
            address: listener.local_addr().unwrap(),
            files: Arc::default(),
            asked: Arc::default(),
        };
        let router = Router::new()
            .route("/team/repo.git/info/lfs/objects/batch", post(batch))
            .route("/content/{oid}", get(content))
            .fallback(behind)
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    /// Keeps a file; gives its pointer.
    fn keep(&self, text: &str) -> String {
        let digest = hex::encode(Sha256::digest(text));
        let size = text.len();
        self.files
            .lock()
            .unwrap()
            .insert(digest.clone(), text.to_owned());
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n")
    }

    fn url(&self) -> String {
        format!("http://{}/team/repo.git", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn behind(State(server): State<Server>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    forward(server.git, &path, request).await
}

async fn batch(State(server): State<Server>, headers: HeaderMap, request: Request) -> Response {
    if headers
        .get(AUTHORIZATION)
        .map(|it| it.to_str().unwrap().to_owned())
        != Some(basic("ada:canary"))
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let kind = headers.get(CONTENT_TYPE).unwrap();
    assert_eq!(kind, "application/vnd.git-lfs+json");
    let body: Value =
        serde_json::from_slice(&to_bytes(request.into_body(), 1 << 20).await.unwrap()).unwrap();
    assert_eq!(body["operation"], "download");
    let objects: Vec<Value> = body["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            let oid = object["oid"].as_str().unwrap();
            if !server.files.lock().unwrap().contains_key(oid) {
                return json!({"oid": oid, "size": object["size"], "error": {"code": 404, "message": "no"}});
            }
            let href = format!("http://{}/content/{oid}", server.address);
            json!({"oid": oid, "size": object["size"], "actions": {
                "download": {"href": href, "header": {"Authorization": "RemoteAuth once"}}}})
        })
        .collect();
    Json(json!({"transfer": "basic", "objects": objects})).into_response()
}

async fn content(
    State(server): State<Server>,
    Path(oid): Path<String>,
    headers: HeaderMap,
) -> Result<Bytes, StatusCode> {
    if headers
        .get(AUTHORIZATION)
        .is_none_or(|it| it != "RemoteAuth once")
    {
        return Err(StatusCode::FORBIDDEN);
    }
    server.asked.lock().unwrap().push(oid.clone());
    let files = server.files.lock().unwrap();
    Ok(files.get(&oid).ok_or(StatusCode::NOT_FOUND)?.clone().into())
}

struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn repository(&self) -> git2::Repository {
        git::open(&self.0.path().join("copy")).unwrap()
    }

    async fn fetch(&self, url: &str, lfs: bool, bytes: usize) -> Result<Revision, FetchError> {
        let files = FilePolicy {
            allowed: false,
            cache: std::path::Path::new("/never/there"),
        };
        let location = Location::parse(url, files).unwrap();
        let mut access = with(Credentials {
            username: secret("ada"),
            password: secret("canary"),
            ..Credentials::default()
        });
        access.lfs = lfs;
        let copy = self.repository();
        let fetch = move || {
            let main: Arc<str> = "main".into();
            let limits = Limits {
                deadline: Instant::now() + Duration::from_mins(1),
                bytes,
            };
            whole::fetch(&copy, &location, &access, [&main], limits, None)?
                .remove(&main)
                .unwrap()
        };
        tokio::task::spawn_blocking(fetch).await.unwrap()
    }

    fn text(&self, revision: &Revision, path: &str) -> String {
        let repository = self.repository();
        let tree = repository.find_tree(revision.tree).unwrap();
        let blob = tree.get_path(path.as_ref()).unwrap().id();
        String::from_utf8(repository.find_blob(blob).unwrap().content().to_vec()).unwrap()
    }
}

const PLENTY: usize = 1 << 30;

#[tokio::test(flavor = "multi_thread")]
async fn pointers_become_what_they_point_to_and_are_fetched_once() {
    let (git, _) = repository().await;
    let server = Server::start(git.address).await;
    let (one, other) = (server.keep("large: one"), server.keep("large: other"));
    git.commit(&[
        ("big/a.yaml", &one),
        ("b.yaml", &other),
        ("big/c.yaml", &one),
        ("d", "small"),
    ]);
    let copy = Copy::new();
    let found = copy.fetch(&server.url(), true, PLENTY).await.unwrap();
    for (path, text) in [
        ("big/a.yaml", "large: one"),
        ("b.yaml", "large: other"),
        ("big/c.yaml", "large: one"),
        ("d", "small"),
    ] {
        assert_eq!(copy.text(&found, path), text, "{path}");
    }
    assert_eq!(server.asked(), 2);
    git.commit(&[("d", "changed"), ("e.yaml", &server.keep("large: third"))]);
    let found = copy.fetch(&server.url(), true, PLENTY).await.unwrap();
    assert_eq!(copy.text(&found, "e.yaml"), "large: third");
    assert_eq!(copy.text(&found, "big/a.yaml"), "large: one");
    assert_eq!(server.asked(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enable_lfs_a_pointer_stays_one() {
    let (git, _) = repository().await;
    let server = Server::start(git.address).await;
    let pointer = server.keep("large");
    git.commit(&[("a.yaml", &pointer)]);
    let copy = Copy::new();
    let found = copy.fetch(&server.url(), false, PLENTY).await.unwrap();
    assert_eq!(copy.text(&found, "a.yaml"), pointer);
    assert_eq!(server.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_wrong_missing_or_too_large_is_refused() {
    let (git, _) = repository().await;
    let server = Server::start(git.address).await;
    let pointer = server.keep("large");
    git.commit(&[("a.yaml", &pointer)]);
    let too_large = Copy::new().fetch(&server.url(), true, 4).await.unwrap_err();
    assert!(
        matches!(too_large, FetchError::TooLarge { .. }),
        "{too_large:?}"
    );
    let digest = hex::encode(Sha256::digest("large"));
    for (content, expected) in [
        ("wrong", "something else than"),
        ("large and more", "sends more than"),
    ] {
        server
            .files
            .lock()
            .unwrap()
            .insert(digest.clone(), content.to_owned());
        let error = Copy::new()
            .fetch(&server.url(), true, PLENTY)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains(&digest) && error.to_string().contains(expected),
            "{error}"
        );
    }
    server.files.lock().unwrap().clear();
    let error = Copy::new()
        .fetch(&server.url(), true, PLENTY)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("its server answers 404"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_another_host_that_the_repository_names_gets_no_password() {
    let (git, _) = repository().await;
    let server = Server::start(git.address).await;
    let elsewhere = Server::start(git.address).await;
    let pointer = elsewhere.keep("large");
    let config = format!("[lfs]\n\turl = {}/info/lfs\n", elsewhere.url());
    git.commit(&[("a.yaml", &pointer), (".lfsconfig", &config)]);
    let error = Copy::new()
        .fetch(&server.url(), true, PLENTY)
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Denied { .. }), "{error:?}");
    assert_eq!(elsewhere.asked(), 0);
}
