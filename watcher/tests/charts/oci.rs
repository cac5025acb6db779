//! Charts and artifacts of a registry that says what a real one rarely does.

use axum::http::StatusCode;
use watcher::source::Remote;
use watcher::source::access::Access;
use watcher::source::error::FetchError;

use super::fetched::{BASIC, anybody, archive, chart, get, login, sha256, text};
use super::host::Host;

/// Puts an artifact into a registry, and gives its manifest's digest.
pub(crate) fn push(
    host: &Host,
    name: &str,
    tag: &str,
    config: &str,
    kind: &str,
    layer: &[u8],
) -> String {
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

pub(crate) const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
pub(crate) const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
pub(crate) const FILES: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

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
    let blobs = host.paths().filter(|path| path.contains("/blobs/"));
    assert_eq!(blobs.count(), 2, "each layer once");
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
