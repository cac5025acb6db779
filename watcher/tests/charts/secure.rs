//! Who is believed, where a redirect may lead, and how long a host is waited for: the same for every kind of host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Sensitive;
use axum::http::StatusCode;
use tokio::net::TcpListener;
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::{Limits, Look, Remote, fetch};

use super::fetched::{anybody, archive, chart, get};
use super::helm::index;
use super::host::Host;
use super::oci::{CHART, CONFIG, FILES, push};
use super::tls::{self, Authority, vouched};

/// One of each kind of remote at an address.
fn remotes(address: &str) -> [(Remote, &'static str); 4] {
    [
        (
            Remote::chart(&format!("https://{address}/charts"), "web", false),
            "1.0.0",
        ),
        (
            Remote::chart(&format!("oci://{address}"), "web", false),
            "1.0.0",
        ),
        (Remote::artifact(&format!("oci://{address}/files")), "1.0.0"),
        (Remote::file(&format!("https://{address}/values.yaml")), ""),
    ]
    .map(|(remote, target)| (remote.unwrap(), target))
}

/// What they offer.
fn offer(host: &Host) {
    host.tell("/charts/index.yaml", index(&[("1.0.0", "a.tgz", None)]));
    host.tell("/charts/a.tgz", chart("1.0.0"));
    push(host, "web", "1.0.0", CONFIG, CHART, &chart("1.0.0"));
    let files = archive(&[("a.yaml", "a: 1\n")]);
    push(
        host,
        "files",
        "1.0.0",
        "application/vnd.oci.empty.v1+json",
        FILES,
        &files,
    );
    host.tell("/values.yaml", "a: 1\n");
}

#[tokio::test]
async fn each_kind_of_host_is_believed_by_its_own_authority_only() {
    let (host, behind) = Host::start().await;
    offer(&host);
    let authority = Authority::new();
    let address = tls::Host::signed_by(&authority)
        .serve(behind)
        .await
        .to_string();
    let itself = tls::Host::self_signed(true).serve(behind).await.to_string();
    let believing = vouched("127.0.0.1", &authority.certificate);
    for (remote, target) in remotes(&address) {
        let folder = tempfile::tempdir().unwrap();
        let asked = host.paths().count();
        let stranger = get(&remote, &Access::default(), target, folder.path()).await;
        assert!(
            matches!(stranger, Err(FetchError::Certificate { .. })),
            "{remote}: {stranger:?}"
        );
        assert_eq!(host.paths().count(), asked, "{remote}");
        get(&remote, &believing, target, folder.path())
            .await
            .unwrap();
    }
    for (remote, target) in remotes(&itself) {
        let folder = tempfile::tempdir().unwrap();
        let refused = get(&remote, &believing, target, folder.path()).await;
        assert!(
            matches!(refused, Err(FetchError::Certificate { .. })),
            "{remote}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn each_kind_of_host_is_shown_the_client_certificate_that_it_wants() {
    let (host, behind) = Host::start().await;
    offer(&host);
    let authority = Authority::new();
    let mut wanting = tls::Host::signed_by(&authority);
    wanting.clients = Some(authority.certificate.der().clone());
    let address = wanting.serve(behind).await.to_string();
    let without = vouched("127.0.0.1", &authority.certificate);
    let client = authority.sign("client");
    let mut with = without.clone();
    with.credentials.tls_client_cert_data = Some(Sensitive::new(client.cert.pem()));
    let key = client.signing_key.serialize_pem();
    with.credentials.tls_client_cert_key = Some(Sensitive::new(key));
    for (remote, target) in remotes(&address) {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            get(&remote, &without, target, folder.path()).await.is_err(),
            "{remote}"
        );
        get(&remote, &with, target, folder.path()).await.unwrap();
    }
}

#[tokio::test]
async fn no_redirect_leads_from_https_to_http() {
    let (host, behind) = Host::start().await;
    let (plain, open) = Host::start().await;
    offer(&plain);
    let address = tls::Host::self_signed(true).serve(behind).await.to_string();
    for path in plain.offered() {
        let location = vec![("location", format!("http://{open}{path}"))];
        host.say(&path, StatusCode::FOUND, location, "");
    }
    let access = Access {
        insecure: true,
        ..Access::default()
    };
    for (remote, target) in remotes(&address) {
        let folder = tempfile::tempdir().unwrap();
        let refused = get(&remote, &access, target, folder.path())
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("redirects to nowhere"),
            "{remote}: {refused}"
        );
    }
    assert_eq!(plain.paths().count(), 0);
}

#[tokio::test]
async fn a_host_that_says_nothing_is_waited_for_until_the_deadline_only() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let remotes = [
        Remote::chart(&format!("http://{address}/charts"), "web", false),
        Remote::artifact(&format!("oci://{address}/files")),
        Remote::file(&format!("http://{address}/values.yaml")),
    ];
    for remote in remotes.map(Result::unwrap) {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            deadline: Instant::now() + Duration::from_millis(200),
            bytes: 1 << 20,
        };
        let look = (folder.path(), Look::Usual);
        let looked = fetch(&remote, &anybody(), &[Arc::from("1.0.0")], look, limits).await;
        let looked = looked.unwrap();
        let error = looked.revisions["1.0.0"].clone().unwrap_err();
        assert!(
            matches!(error, FetchError::Timeout { .. }),
            "{remote}: {error}"
        );
        assert!(matches!(looked.outage, Some(FetchError::Timeout { .. })));
    }
}
