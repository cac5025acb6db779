//! Fetching over HTTPS: whose certificate is believed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/http.rs"]
mod http;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Sensitive;
use http::Git;
use rcgen::{BasicConstraints, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use watcher::source::access::Access;
use watcher::source::authorities::Authorities;
use watcher::source::error::FetchError;
use watcher::source::location::{FilePolicy, Location};
use watcher::source::{Limits, Revisions, git};

/// Whose certificates the host shows and asks for.
struct Host {
    /// As it is shown, with its key.
    own: rcgen::CertifiedKey<rcgen::KeyPair>,
    /// Who must have signed a client's certificate, if clients need one.
    clients: Option<CertificateDer<'static>>,
}

impl Host {
    fn self_signed(authority: bool) -> Self {
        let mut parameters = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        if authority {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let signing_key = KeyPair::generate().unwrap();
        let cert = parameters.self_signed(&signing_key).unwrap();
        Self {
            own: rcgen::CertifiedKey { cert, signing_key },
            clients: None,
        }
    }

    fn signed_by(authority: &Authority) -> Self {
        Self {
            own: authority.sign("127.0.0.1"),
            clients: None,
        }
    }

    /// Puts TLS before a server.
    async fn serve(self, git: &Git) -> SocketAddr {
        let behind = git.address;
        let key = PrivateKeyDer::try_from(self.own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if let Some(authority) = self.clients {
            let mut roots = RootCertStore::empty();
            roots.add(authority).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(vec![self.own.cert.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
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
}

struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    fn sign(&self, name: &str) -> rcgen::CertifiedKey<KeyPair> {
        let signing_key = KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        let cert = parameters.signed_by(&signing_key, &self.issuer).unwrap();
        rcgen::CertifiedKey { cert, signing_key }
    }
}

/// What an administrator wrote into the ConfigMap.
fn vouched(host: &str, certificate: &rcgen::Certificate) -> Access {
    let data = BTreeMap::from([(host.to_owned(), certificate.pem())]);
    let (authorities, problems) = Authorities::parse(&data);
    assert!(problems.is_empty());
    Access {
        authorities: Arc::new(authorities),
        ..Access::default()
    }
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
    let address = Host::self_signed(false).serve(&git).await;
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
    let address = Host::self_signed(false).serve(&git).await;
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
    let address = Host::signed_by(&authority).serve(&git).await;
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
        let address = host.serve(&git).await;
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
        let address = host.serve(&git).await;
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
    let address = host.serve(&git).await;
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
