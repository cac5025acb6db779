//! Fetching over HTTPS: whose certificate is believed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/http.rs"]
mod http;
#[path = "support/tls.rs"]
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use api::Sensitive;
use http::Git;
use rcgen::{BasicConstraints, IsCa, KeyPair};
use tls::{Authority, Host, vouched};
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::location::{FilePolicy, Location};
use watcher::source::{Limits, Revisions, git};

async fn fetch(git: &Git, address: SocketAddr, access: Access) -> Result<Revisions, FetchError> {
    let files = FilePolicy {
        allowed: false,
        cache: Path::new("/never/there"),
    };
    let before = format!("http://{}", git.address);
    let url = git
        .url()
        .replace(&before, &format!("https://user:canary@{address}"));
    let location = Location::parse(&url, files).unwrap();
    let fetch = move || {
        let folder = tempfile::tempdir().unwrap();
        let copy = git::open(&folder.path().join("copy")).unwrap();
        let limits = Limits {
            deadline: Instant::now() + Duration::from_mins(1),
            bytes: 1 << 30,
        };
        git::fetch(&copy, &location, &access, &["main".into()], limits)
    };
    tokio::task::spawn_blocking(fetch).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_signs_itself_is_refused_before_anything_is_said() {
    let git = Git::serve().await;
    git.commit(&[("a.yaml", "1")]);
    let address = Host::self_signed(false).serve(git.address).await;
    let error = fetch(&git, address, Access::default()).await.unwrap_err();
    assert!(matches!(error, FetchError::Certificate { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("https://{address}/")), "{text}");
    assert!(text.contains("certificate authority"), "{text}");
    assert!(!format!("{text} {error:?}").contains("canary"), "{text}");
    assert_eq!(git.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insecure_repository_is_fetched_whatever_the_certificate() {
    let git = Git::serve().await;
    let commit = git.commit(&[("a.yaml", "1")]);
    let address = Host::self_signed(false).serve(git.address).await;
    let access = Access {
        insecure: true,
        ..Access::default()
    };
    let found = fetch(&git, address, access).await.unwrap();
    assert_eq!(
        found["main"]
            .as_ref()
            .unwrap()
            .commit()
            .unwrap()
            .to_string(),
        commit
    );
}

async fn commit(git: &Git, address: SocketAddr, access: Access) -> String {
    let found = fetch(git, address, access).await.unwrap();
    found["main"]
        .as_ref()
        .unwrap()
        .commit()
        .unwrap()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_own_authority_is_believed_for_that_host_only() {
    let git = Git::serve().await;
    let expected = git.commit(&[("a.yaml", "1")]);
    let authority = Authority::new();
    let address = Host::signed_by(&authority).serve(git.address).await;
    let access = vouched("127.0.0.1", &authority.certificate);
    assert_eq!(commit(&git, address, access).await, expected);
    let asked = git.requests();
    for access in [
        vouched("127.0.0.2", &authority.certificate),
        vouched("127.0.0.1", &Authority::new().certificate),
    ] {
        let error = fetch(&git, address, access).await.unwrap_err();
        assert!(matches!(error, FetchError::Certificate { .. }), "{error:?}");
        assert!(error.to_string().contains("argocd-tls-certs-cm"), "{error}");
    }
    assert_eq!(git.requests(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_signs_itself_is_believed_where_it_is_named() {
    let git = Git::serve().await;
    let expected = git.commit(&[("a.yaml", "1")]);
    // Those that openssl makes say that they are an authority.
    for authority in [false, true] {
        let host = Host::self_signed(authority);
        let access = vouched("127.0.0.1", &host.own.cert);
        let address = host.serve(git.address).await;
        assert_eq!(commit(&git, address, access).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_certificate_counts_for_its_own_names_and_time_only() {
    let git = Git::serve().await;
    git.commit(&[("a.yaml", "1")]);
    let key = KeyPair::generate().unwrap();
    let mut elsewhere = rcgen::CertificateParams::new(["elsewhere".to_owned()]).unwrap();
    elsewhere.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut over = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    over.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    over.not_after = rcgen::date_time_ymd(2020, 1, 1);
    for parameters in [elsewhere, over] {
        let cert = parameters.self_signed(&key).unwrap();
        let access = vouched("127.0.0.1", &cert);
        let signing_key = KeyPair::try_from(key.serialize_der()).unwrap();
        let own = rcgen::CertifiedKey { cert, signing_key };
        let host = Host { own, clients: None };
        let address = host.serve(git.address).await;
        let error = fetch(&git, address, access).await.unwrap_err();
        assert!(matches!(error, FetchError::Certificate { .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_to_a_host_that_wants_one() {
    let git = Git::serve().await;
    let expected = git.commit(&[("a.yaml", "1")]);
    let authority = Authority::new();
    let mut host = Host::signed_by(&authority);
    host.clients = Some(authority.certificate.der().clone());
    let address = host.serve(git.address).await;
    let mut access = vouched("127.0.0.1", &authority.certificate);
    assert!(fetch(&git, address, access.clone()).await.is_err());
    assert_eq!(git.requests(), 0);
    let client = authority.sign("client");
    access.credentials.tls_client_cert_data = Some(Sensitive::new(client.cert.pem()));
    access.credentials.tls_client_cert_key =
        Some(Sensitive::new(client.signing_key.serialize_pem()));
    assert_eq!(commit(&git, address, access.clone()).await, expected);
    access.credentials.tls_client_cert_key = Some(Sensitive::new("canary"));
    let error = fetch(&git, address, access).await.unwrap_err();
    assert!(error.to_string().contains("tlsClientCertKey"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}
