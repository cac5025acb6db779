//! Fetching over HTTPS: whose certificate is believed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/http.rs"]
mod http;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Git;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::location::{FilePolicy, Location};
use watcher::source::{Limits, Revisions, git};

/// Puts TLS with a certificate that signs itself before a server.
async fn self_signed(git: &Git) -> SocketAddr {
    let behind = git.address;
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that refuses the certificate is what a test is about.
                let Ok(mut client) = acceptor.accept(stream).await else {
                    return;
                };
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

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
    let address = self_signed(&git).await;
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
    let address = self_signed(&git).await;
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
