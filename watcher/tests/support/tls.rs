//! TLS before any server: whose certificates are shown, and asked for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use watcher::source::access::Access;
use watcher::source::authorities::Authorities;

/// Whose certificates the host shows and asks for.
pub(crate) struct Host {
    /// As it is shown, with its key.
    pub(crate) own: rcgen::CertifiedKey<rcgen::KeyPair>,
    /// Who must have signed a client's certificate, if clients need one.
    pub(crate) clients: Option<CertificateDer<'static>>,
}

impl Host {
    pub(crate) fn self_signed(authority: bool) -> Self {
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

    pub(crate) fn signed_by(authority: &Authority) -> Self {
        Self {
            own: authority.sign("127.0.0.1"),
            clients: None,
        }
    }

    /// Puts TLS before a server.
    pub(crate) async fn serve(self, behind: SocketAddr) -> SocketAddr {
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

pub(crate) struct Authority {
    pub(crate) certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    pub(crate) fn sign(&self, name: &str) -> rcgen::CertifiedKey<KeyPair> {
        let signing_key = KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        let cert = parameters.signed_by(&signing_key, &self.issuer).unwrap();
        rcgen::CertifiedKey { cert, signing_key }
    }
}

/// What an administrator wrote into the ConfigMap.
pub(crate) fn vouched(host: &str, certificate: &rcgen::Certificate) -> Access {
    let data = BTreeMap::from([(host.to_owned(), certificate.pem())]);
    let (authorities, problems) = Authorities::parse(&data);
    assert!(problems.is_empty());
    Access {
        authorities: Arc::new(authorities),
        ..Access::default()
    }
}
