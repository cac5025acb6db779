//! A Helm repository over HTTP.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flate2::write::GzEncoder;

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

pub(crate) struct Charts {
    address: SocketAddr,
    files: Files,
    versions: Vec<(String, String)>,
    /// Archives that were asked for.
    pub(crate) downloads: Arc<AtomicUsize>,
    server: tokio::task::JoinHandle<()>,
}

impl Charts {
    pub(crate) async fn serve() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let files = Files::default();
        let downloads = Arc::new(AtomicUsize::new(0));
        let state = (Arc::clone(&files), Arc::clone(&downloads));
        let router = Router::new().fallback(answer).with_state(state);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            files,
            versions: Vec::new(),
            downloads,
            server,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Nobody answers any more.
    pub(crate) async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Publishes a version of a chart with one template.
    pub(crate) fn publish(&mut self, name: &str, version: &str) {
        let mut archive =
            tar::Builder::new(GzEncoder::new(Vec::new(), flate2::Compression::default()));
        let chart = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
        let template = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        for (path, text) in [
            ("Chart.yaml", chart.as_str()),
            ("templates/a.yaml", template.as_str()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            let path = format!("{name}/{path}");
            archive
                .append_data(&mut header, path, text.as_bytes())
                .unwrap();
        }
        let archive = archive.into_inner().unwrap().finish().unwrap();
        self.versions.push((name.to_owned(), version.to_owned()));
        let mut entries: BTreeMap<&str, String> = BTreeMap::new();
        for (name, version) in &self.versions {
            let versions = entries.entry(name).or_default();
            writeln!(
                versions,
                "  - {{name: {name}, version: {version}, urls: [{name}-{version}.tgz]}}"
            )
            .unwrap();
        }
        let mut index = "apiVersion: v1\nentries:\n".to_owned();
        for (name, versions) in entries {
            write!(index, "  {name}:\n{versions}").unwrap();
        }
        let mut files = self.files.lock().unwrap();
        files.insert(format!("/{name}-{version}.tgz"), archive);
        files.insert("/index.yaml".to_owned(), index.into_bytes());
    }
}

async fn answer(
    State((files, downloads)): State<(Files, Arc<AtomicUsize>)>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    if path != "/index.yaml" {
        downloads.fetch_add(1, Ordering::SeqCst);
    }
    match files.lock().unwrap().get(path) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
