//! Login by TLS certificate. The Vault that is built here has no such method, so a TLS server that asks for one answers as Vault does.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use secrets_agent::VaultArgs;
use secrets_agent::backend::BackendError;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::root::args;
use crate::vault::{connect, read};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(parameters, key),
        }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new([name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes a certificate of this authority and its key.
    fn write(&self, certificate: &Path, key: &Path) {
        let (signed, pair) = self.sign("agent");
        std::fs::write(certificate, signed.pem()).unwrap();
        std::fs::write(key, pair.serialize_pem()).unwrap();
    }
}

/// What was asked: whether a certificate was shown, the request's first line, and its body.
type Heard = Arc<Mutex<Vec<(bool, String, String)>>>;

/// A Vault that takes clients of `authority`, or without certificate, and logs in only the former.
async fn vault(authority: &Authority) -> (String, Heard) {
    let (certificate, key) = authority.sign("127.0.0.1");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let hearing = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who doesn't believe the server, or isn't believed, goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let shown = stream.get_ref().1.peer_certificates().is_some();
            let mut request = String::new();
            while !is_whole(&request) {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).await.unwrap();
                request.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            let (status, answer) = answered(&request, shown);
            let text = answer.to_string();
            let line = request.lines().next().unwrap().to_owned();
            let body = request.split_once("\r\n\r\n").unwrap().1.to_owned();
            hearing.lock().unwrap().push((shown, line, body));
            let top = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                text.len()
            );
            let _ = stream.write_all(format!("{top}{text}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, heard)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn answered(request: &str, shown: bool) -> (u16, Value) {
    if request.starts_with("POST /v1/auth/cert/login ") {
        if !shown {
            return (400, json!({"errors": ["no client certificate"]}));
        }
        let auth = json!({"client_token": "t-1", "accessor": "a", "policies": [], "token_policies": [], "metadata": {}, "lease_duration": 3600,
            "renewable": true, "entity_id": "", "token_type": "service", "orphan": true});
        return (
            200,
            json!({"request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0, "data": null, "wrap_info": null, "warnings": null, "auth": auth}),
        );
    }
    if !request.contains("x-vault-token: t-1") {
        return (403, json!({"errors": ["permission denied"]}));
    }
    let data = if request.starts_with("GET /v1/sys/internal/ui/mounts/") {
        json!({"path": "kv/", "type": "kv", "options": {"version": "1"}})
    } else {
        json!({"k": "v"})
    };
    (
        200,
        json!({"request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data, "wrap_info": null, "warnings": null, "auth": null}),
    )
}

#[tokio::test]
async fn a_certificate_is_exchanged_for_a_token_of_the_role_that_is_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = Authority::new();
    let (address, heard) = vault(&authority).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("ca"), &authority.pem).unwrap();
    authority.write(&file("cert"), &file("key"));
    let given = VaultArgs {
        vault_ca: Some(file("ca")),
        vault_cert: Some(file("cert")),
        vault_cert_key: Some(file("key")),
        vault_cert_role: Some("towline".to_owned()),
        ..args(&address)
    };
    let document = read(&connect(&given), "kv/a", None).await.unwrap();
    assert_eq!(document.get("k").unwrap().expose(), b"v");
    {
        let heard = heard.lock().unwrap();
        let (shown, line, body) = &heard[0];
        assert!(shown, "the login shows the certificate");
        assert!(line.contains("auth/cert/login"), "{line}");
        assert_eq!(body, r#"{"name":"towline"}"#);
    }

    // The file is read at each login, so what is wrong with it is told then, without what is in it.
    let late = connect(&given);
    std::fs::write(file("key"), "canary, no key").unwrap();
    let refused = read(&late, "kv/a", None).await.unwrap_err();
    assert!(matches!(refused, BackendError::Login { .. }), "{refused:?}");
    assert!(!format!("{refused:?}").contains("canary"));
    authority.write(&file("cert"), &file("key"));
    assert!(read(&late, "kv/a", None).await.is_ok());

    // One of another authority gets no connection, let alone a token.
    Authority::new().write(&file("cert"), &file("key"));
    let stranger = read(&connect(&given), "kv/a", None).await.unwrap_err();
    assert!(stranger.reason().is_passing(), "{stranger:?}");
}
