//! A Helm repository: what `helm package` and `helm repo index` make of charts, over HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use deploy::Component;

use crate::stack::{LocalStack, outside};

#[derive(Debug)]
pub struct ChartRepository {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    down: AtomicBool,
    downloads: AtomicUsize,
}

impl ChartRepository {
    /// An empty one, with a folder of the stack's for its archives.
    pub fn start(stack: &LocalStack, name: &str) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            folder: stack.folder(&format!("charts-{name}"))?,
            down: AtomicBool::new(false),
            downloads: AtomicUsize::new(0),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let address = outside(async move {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            tokio::spawn(async move { axum::serve(listener, router).await });
            anyhow::Ok(address)
        })?;
        Ok(Self { address, shared })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Packages a chart's files (paths within the chart) and adds it to the index.
    pub async fn publish(&self, files: &[(&str, &str)]) -> anyhow::Result<()> {
        let chart = tempfile::tempdir()?;
        for (path, content) in files {
            let path = chart.path().join(path);
            std::fs::create_dir_all(path.parent().context("a file without a folder")?)?;
            std::fs::write(path, content)?;
        }
        let folder = &self.shared.folder;
        helm(&["package", "--destination"], &[folder, chart.path()]).await?;
        helm(&["repo", "index"], &[folder]).await
    }

    /// Whether it answers, or says 503 to everybody.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// How many archives were sent.
    pub fn downloads(&self) -> usize {
        self.shared.downloads.load(Ordering::SeqCst)
    }
}

async fn helm(words: &[&str], paths: &[&Path]) -> anyhow::Result<()> {
    let helm = deploy::locate(Component::Helm).await?;
    let output = tokio::process::Command::new(helm)
        .args(words)
        .args(paths)
        .kill_on_drop(true)
        .output()
        .await
        .context("running helm")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {words:?}: {said}");
    Ok(())
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if shared.down.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, "down for a test").into_response();
    }
    let name = request.uri().path().trim_start_matches('/');
    if name.contains('/') {
        return StatusCode::NOT_FOUND.into_response();
    }
    match tokio::fs::read(shared.folder.join(name)).await {
        Ok(bytes) => {
            if Path::new(name).extension().is_some_and(|it| it == "tgz") {
                shared.downloads.fetch_add(1, Ordering::SeqCst);
            }
            bytes.into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
