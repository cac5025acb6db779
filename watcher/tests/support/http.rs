//! A bare repository behind `git http-backend`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Repository, Signature};
use tokio::io::AsyncWriteExt;

pub(crate) struct Git {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl Git {
    pub(crate) async fn serve() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        Repository::init_opts(folder.path().join("team/repo.git"), &options).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let state = (folder.path().to_owned(), Arc::clone(&requests));
        let router = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            folder,
            address,
            requests,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/team/repo.git", self.address)
    }

    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, *text, FileMode::Blob))
            .collect();
        self.commit_entries(&files)
    }

    pub(crate) fn commit_entries(&self, files: &[(&str, &str, FileMode)]) -> String {
        let repository = Repository::open_bare(self.folder.path().join("team/repo.git")).unwrap();
        let parent = repository
            .find_reference("refs/heads/main")
            .ok()
            .map(|it| it.peel_to_commit().unwrap());
        let base = parent.as_ref().map_or_else(
            || {
                let empty = repository.treebuilder(None).unwrap().write().unwrap();
                repository.find_tree(empty).unwrap()
            },
            |parent| parent.tree().unwrap(),
        );
        let mut update = TreeUpdateBuilder::new();
        for (path, text, mode) in files {
            let blob = repository.blob(text.as_bytes()).unwrap();
            update.upsert(*path, blob, *mode);
        }
        let tree = update.create_updated(&repository, &base).unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let who = Signature::now("Ada", "ada@example.org").unwrap();
        let parents: Vec<_> = parent.iter().collect();
        repository
            .commit(
                Some("refs/heads/main"),
                &who,
                &who,
                "change",
                &tree,
                &parents,
            )
            .unwrap()
            .to_string()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn answer(
    State((root, requests)): State<(PathBuf, Arc<AtomicUsize>)>,
    request: Request,
) -> Response {
    requests.fetch_add(1, Ordering::SeqCst);
    backend(&root, request).await
}

pub(crate) async fn backend(root: &Path, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name).map(|it| it.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    };
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&body).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = if name == "Status" {
            response.status(value[..3].parse::<u16>().unwrap())
        } else {
            response.header(name, value)
        };
    }
    response
        .body(Body::from(output[end + 4..].to_vec()))
        .unwrap()
}
