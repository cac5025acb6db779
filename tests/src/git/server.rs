//! The Git server: smart HTTP on a free port, `/<name>` open to all, `/private/<name>` to one user.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::backend;
use super::repo::Repo;

/// The user of private repositories.
pub const USER: &str = "deployer";
pub const PASSWORD: &str = "correct-horse";

/// A running server. Its task ends with the runtime that it was started in.
#[derive(Clone, Debug)]
pub struct GitServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Packs sent, by repository.
    fetches: BTreeMap<String, usize>,
    /// Repositories that answer 503.
    down: BTreeSet<String>,
}

impl GitServer {
    /// Serves the repositories below `root`, which must exist.
    pub async fn start(root: &Path) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            seen: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("binding the Git server's port")?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { shared, address })
    }

    /// A new, empty repository; `private/<name>` asks for user and password.
    pub fn create(&self, name: &str) -> anyhow::Result<Repo> {
        let repo = self.existing(name);
        repo.init()?;
        Ok(repo)
    }

    /// A repository that was created before.
    pub fn existing(&self, name: &str) -> Repo {
        let path = self.shared.root.join(format!("{name}.git"));
        Repo::new(path, format!("http://{}/{name}.git", self.address))
    }

    /// How many packs were fetched from the repository.
    pub fn fetches(&self, repo: &Repo) -> usize {
        self.shared
            .seen()
            .fetches
            .get(&name_of(repo))
            .copied()
            .unwrap_or_default()
    }

    /// Whether the repository answers, or says 503 to everybody.
    pub fn set_down(&self, repo: &Repo, down: bool) {
        let mut seen = self.shared.seen();
        if down {
            seen.down.insert(name_of(repo));
        } else {
            seen.down.remove(&name_of(repo));
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(repo: &Repo) -> String {
    let path = repo.url().splitn(4, '/').nth(3).unwrap_or_default();
    path.to_owned()
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let path = request.uri().path().to_owned();
    let Some((name, service)) = split(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let user = user(&request);
    if (name.starts_with("private/") || service.ends_with("receive-pack")) && user.is_none() {
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Basic realm=\"repositories\"")],
        )
            .into_response();
    }
    {
        let mut seen = shared.seen();
        if seen.down.contains(name) {
            return (StatusCode::SERVICE_UNAVAILABLE, "down for a test").into_response();
        }
        if service == "git-upload-pack" {
            *seen.fetches.entry(name.to_owned()).or_default() += 1;
        }
    }
    match backend::answer(&shared.root, &path, user, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

/// `/a/b.git/info/refs` → `a/b.git` and `info/refs`.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    let end = path.find(".git/")? + ".git".len();
    Some((&path[..end], &path[end + 1..]))
}

/// The user, if the password is right.
fn user(request: &Request<Body>) -> Option<&'static str> {
    let header = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let expected = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    (header.strip_prefix("Basic ")? == expected).then_some(USER)
}
