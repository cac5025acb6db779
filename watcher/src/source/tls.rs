//! Whose certificates are believed, and which one is shown.

use std::sync::{Arc, LazyLock};

use api::settings::Credentials;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::authorities::Authorities;

/// The system's certificate authorities (or those of `SSL_CERT_FILE`), read once.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "the system's certificate authorities can't all be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("tlsClientCertData can't be used: it must be certificates in PEM format")]
    ClientCertificate,
    #[error(
        "tlsClientCertKey can't be used: it must be the certificate's private key in PEM format, without a passphrase"
    )]
    ClientKey,
    #[error("TLS can't be set up: {0}")]
    Setup(String),
}

/// A client's side of TLS.
pub(super) fn config(
    authorities: &Arc<Authorities>,
    insecure: bool,
    credentials: &Credentials,
) -> Result<ClientConfig, TlsError> {
    let setup = |error: Error| TlsError::Setup(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if insecure {
        Arc::new(Anybody(Arc::clone(&provider)))
    } else {
        Arc::new(ByHost {
            authorities: Arc::clone(authorities),
            provider: Arc::clone(&provider),
        })
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    // As Argo CD: half a client certificate is none.
    let (Some(chain), Some(key)) = (
        &credentials.tls_client_cert_data,
        &credentials.tls_client_cert_key,
    ) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.expose().as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::ClientCertificate)?;
    if chain.is_empty() {
        return Err(TlsError::ClientCertificate);
    }
    let key =
        PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| TlsError::ClientKey)?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|_| TlsError::ClientKey)
}

/// Believes what the host's own authorities signed, or the system's where none are named.
#[derive(Debug)]
struct ByHost {
    authorities: Arc<Authorities>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByHost {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let own = self.authorities.of(&name.to_str());
        let roots = own.map_or_else(
            || Arc::clone(&SYSTEM),
            |own| {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(own.iter().cloned());
                Arc::new(roots)
            },
        );
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(format!("no authority can be used: {error}")))?;
        let verdict = verifier.verify_server_cert(shown, intermediates, name, ocsp, now);
        // A certificate that signs itself is often an authority by its own word, which webpki lets be nothing else. Named by
        // the administrator, byte for byte, it is believed for its names and its time.
        if verdict.is_err() && own.is_some_and(|own| own.contains(shown)) {
            let parsed = ParsedCertificate::try_from(shown)?;
            rustls::client::verify_server_name(&parsed, name)?;
            return in_its_time(shown, now);
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn in_its_time(shown: &CertificateDer<'_>, now: UnixTime) -> Result<ServerCertVerified, Error> {
    let (_, parsed) = x509_parser::parse_x509_certificate(shown)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let validity = parsed.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now > validity.not_after.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(ServerCertVerified::assertion())
}

/// Believes everybody: only ever because the repository's own Secret says so.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
