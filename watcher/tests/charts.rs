//! Charts, artifacts and files, from hosts that speak the real protocols.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::Sensitive;
use api::settings::Credentials;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::{Limits, Remote, Revision, fetch};

/// A host whose answers are told beforehand.
#[derive(Clone, Default)]
struct Host(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// Path with query → answer.
    answers: BTreeMap<String, (StatusCode, Vec<(&'static str, String)>, Vec<u8>)>,
    /// What must be in `Authorization`; others are answered with this challenge.
    guard: Option<(String, String)>,
    /// Path with query, and `Authorization`.
    asked: Vec<(String, Option<String>)>,
    down: bool,
}

impl Host {
    async fn start() -> (Self, SocketAddr) {
        let host = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (host, address)
    }

    fn tell(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.say(path, StatusCode::OK, Vec::new(), body);
    }

    fn say(
        &self,
        path: &str,
        status: StatusCode,
        headers: Vec<(&'static str, String)>,
        body: impl Into<Vec<u8>>,
    ) {
        let mut told = self.0.lock().unwrap();
        told.answers
            .insert(path.to_owned(), (status, headers, body.into()));
    }

    /// How often a path was asked for, by its end.
    fn asked(&self, end: &str) -> usize {
        let told = self.0.lock().unwrap();
        told.asked
            .iter()
            .filter(|(path, _)| path.ends_with(end))
            .count()
    }

    fn logins(&self) -> Vec<Option<String>> {
        let told = self.0.lock().unwrap();
        told.asked.iter().map(|(_, login)| login.clone()).collect()
    }

    fn down(&self) {
        self.0.lock().unwrap().down = true;
    }

    fn guard(&self, login: &str, challenge: String) {
        self.0.lock().unwrap().guard = Some((login.to_owned(), challenge));
    }
}

async fn answer(State(host): State<Host>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    let header = |headers: &HeaderMap, name| {
        headers
            .get(name)
            .and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
            .map(str::to_owned)
    };
    let login = header(request.headers(), "authorization");
    let mut told = host.0.lock().unwrap();
    told.asked.push((path.clone(), login.clone()));
    if told.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if let Some((expected, challenge)) = &told.guard
        && login.as_ref() != Some(expected)
    {
        let challenge = [("www-authenticate", challenge.clone())];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let Some((status, headers, body)) = told.answers.get(&path).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let known = header(request.headers(), "if-none-match");
    if known.is_some()
        && headers
            .iter()
            .any(|(name, tag)| *name == "etag" && Some(tag) == known.as_ref())
    {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let mut answer = (status, body).into_response();
    for (name, value) in headers {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

fn chart(version: &str) -> Vec<u8> {
    archive(&[(
        "web/Chart.yaml",
        &format!("name: web\nversion: {version}\n"),
    )])
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn limits() -> Limits {
    Limits {
        deadline: Instant::now() + Duration::from_mins(1),
        bytes: 1 << 30,
    }
}

async fn get(
    remote: &Remote,
    access: &Access,
    target: &str,
    folder: &Path,
) -> Result<Revision, FetchError> {
    let targets = [Arc::from(target)];
    let mut revisions = fetch(remote, access, &targets, folder, limits()).await?;
    revisions.remove(target).unwrap()
}

fn text(folder: &Path, revision: &Revision, path: &str) -> String {
    let repository = git2::Repository::open_bare(folder).unwrap();
    let tree = repository.find_tree(revision.tree).unwrap();
    let blob = tree.get_path(Path::new(path)).unwrap().id();
    let blob = repository.find_blob(blob).unwrap();
    String::from_utf8(blob.content().to_vec()).unwrap()
}

fn login() -> Access {
    Access {
        credentials: Credentials {
            username: Some(Sensitive::new("u")),
            password: Some(Sensitive::new("canary")),
            ..Credentials::default()
        },
        plain_http: true,
        ..Access::default()
    }
}

fn anybody() -> Access {
    Access {
        plain_http: true,
        ..Access::default()
    }
}

/// `u:canary`.
const BASIC: &str = "Basic dTpjYW5hcnk=";

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

/// Puts an artifact into a registry, and gives its manifest's digest.
fn push(host: &Host, name: &str, tag: &str, config: &str, kind: &str, layer: &[u8]) -> String {
    let digest = format!("sha256:{}", sha256(layer));
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": config, "digest": format!("sha256:{}", sha256(b"{}")), "size": 2},
        "layers": [{"mediaType": kind, "digest": digest, "size": layer.len()}],
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let own = format!("sha256:{}", sha256(&manifest));
    host.tell(&format!("/v2/{name}/blobs/{digest}"), layer);
    for reference in [tag, &own] {
        host.tell(
            &format!("/v2/{name}/manifests/{reference}"),
            manifest.clone(),
        );
    }
    own
}

const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const FILES: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[tokio::test]
async fn a_chart_comes_from_a_registry_by_version_and_by_range_over_pages_of_tags() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    push(
        &host,
        "team/web",
        "1.0.0_b1",
        CONFIG,
        CHART,
        &chart("1.0.0+b1"),
    );
    push(&host, "team/web", "1.2.0", CONFIG, CHART, &chart("1.2.0"));
    let next = vec![(
        "link",
        "</v2/team/web/tags/list?n=1000&last=x>; rel=\"next\"".to_owned(),
    )];
    host.say(
        "/v2/team/web/tags/list?n=1000",
        StatusCode::OK,
        next,
        r#"{"tags":["1.0.0_b1","latest"]}"#,
    );
    host.tell(
        "/v2/team/web/tags/list?n=1000&last=x",
        r#"{"tags":["1.2.0","2.0.0-rc.1"]}"#,
    );
    let remote = Remote::chart(&format!("oci://{address}/team"), "web", false).unwrap();
    for (target, version) in [
        ("1.0.0+b1", "1.0.0+b1"),
        ("~1.0", "1.0.0+b1"),
        ("", "1.2.0"),
        ("1.x", "1.2.0"),
    ] {
        let revision = get(&remote, &anybody(), target, folder.path())
            .await
            .unwrap();
        assert_eq!(&*revision.id, version, "{target}");
        assert!(text(folder.path(), &revision, "Chart.yaml").contains(version));
    }
    let blobs = host
        .0
        .lock()
        .unwrap()
        .asked
        .iter()
        .filter(|(path, _)| path.contains("/blobs/"))
        .count();
    assert_eq!(blobs, 2, "each layer once");
}

#[tokio::test]
async fn a_token_is_had_for_user_and_password_and_shown_to_the_registry_only() {
    let (host, address) = Host::start().await;
    let (auth, realm) = Host::start().await;
    let (storage, blobs) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let layer = chart("1.0.0");
    push(&host, "web", "1.0.0", CONFIG, CHART, &layer);
    let blob = format!("/v2/web/blobs/sha256:{}", sha256(&layer));
    host.say(
        &blob,
        StatusCode::TEMPORARY_REDIRECT,
        vec![("location", format!("http://{blobs}/blob"))],
        "",
    );
    storage.tell("/blob", layer);
    host.guard(
        "Bearer t0ken",
        format!(
            "Bearer realm=\"http://{realm}/token\",service=\"reg\",scope=\"repository:web:pull\""
        ),
    );
    auth.guard(BASIC, "Basic".to_owned());
    auth.tell(
        "/token?service=reg&scope=repository%3Aweb%3Apull",
        r#"{"token":"t0ken"}"#,
    );
    let remote = Remote::chart(&format!("oci://{address}"), "web", false).unwrap();
    get(&remote, &login(), "1.0.0", folder.path())
        .await
        .unwrap();
    assert_eq!(storage.logins(), [None]);
    assert_eq!(auth.logins(), [Some(BASIC.to_owned())]);
    let seen = host.logins();
    assert_eq!(seen[0], None, "nothing is sent before it is asked for");
    assert!(
        seen[1..]
            .iter()
            .all(|login| login.as_deref() == Some("Bearer t0ken"))
    );
}

#[tokio::test]
async fn an_artifact_is_known_by_digest_whichever_way_it_is_named() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let digest = push(
        &host,
        "conf",
        "1.4.0",
        "application/vnd.oci.empty.v1+json",
        FILES,
        &archive(&[("a/b.yaml", "x")]),
    );
    host.tell("/v2/conf/tags/list?n=1000", r#"{"tags":["1.4.0"]}"#);
    let remote = Remote::artifact(&format!("oci://{address}/conf")).unwrap();
    for target in ["1.4.0", "^1", digest.as_str()] {
        let revision = get(&remote, &anybody(), target, folder.path())
            .await
            .unwrap();
        assert_eq!(&*revision.id, digest, "{target}");
        assert_eq!(text(folder.path(), &revision, "a/b.yaml"), "x");
    }
    for target in ["", "none", "../x", "^7"] {
        assert!(
            get(&remote, &anybody(), target, folder.path())
                .await
                .is_err(),
            "{target}"
        );
    }
}

#[tokio::test]
async fn an_artifact_that_is_not_what_it_says_is_refused() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let layer = archive(&[("a", "x")]);
    push(&host, "conf", "lie", "c", FILES, &layer);
    host.tell(
        &format!("/v2/conf/blobs/sha256:{}", sha256(&layer)),
        archive(&[("a", "y")]),
    );
    push(&host, "conf", "zip", "c", "application/zip", b"zip");
    push(
        &host,
        "conf",
        "odd",
        "c",
        "application/odd.tar+gzip",
        &archive(&[("a", "z")]),
    );
    let remote = Remote::artifact(&format!("oci://{address}/conf")).unwrap();
    for target in ["lie", "zip", "odd"] {
        let refused = get(&remote, &anybody(), target, folder.path())
            .await
            .unwrap_err();
        assert!(
            matches!(refused, FetchError::Content { .. }),
            "{target}: {refused}"
        );
    }
    push(&host, "web", "1.0.0", "no chart", FILES, &layer);
    let chart = Remote::chart(&format!("oci://{address}"), "web", false).unwrap();
    assert!(matches!(
        get(&chart, &anybody(), "1.0.0", folder.path()).await,
        Err(FetchError::Content { .. })
    ));
}

#[tokio::test]
async fn a_registry_is_spoken_to_by_tls_unless_its_secret_says_otherwise() {
    let (host, address) = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let remote = Remote::artifact(&format!("oci://{address}/conf")).unwrap();
    assert!(
        get(&remote, &Access::default(), "1.0.0", folder.path())
            .await
            .is_err()
    );
    assert!(host.logins().is_empty());
}

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
    large.write_all(&[b'x'; 17 << 20]).unwrap();
    host.tell("/large", large);
    let remote = Remote::file(&format!("http://{address}/large")).unwrap();
    let refused = get(&remote, &anybody(), "", folder.path()).await;
    assert!(
        matches!(refused, Err(FetchError::TooLarge { .. })),
        "{refused:?}"
    );
}
