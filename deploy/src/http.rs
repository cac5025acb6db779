//! HTTP clients for the stack's own servers. Their TLS is configured here in
//! full, so that they work whatever provider the process has installed, or none.

use std::sync::Arc;

use reqwest::Client;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot read a certificate or key of the local stack")]
    Pem(#[from] pem::Error),
    #[error("cannot configure TLS for a client of the local stack")]
    Tls(#[from] rustls::Error),
    #[error("cannot make an HTTP client for the local stack")]
    Client(#[from] reqwest::Error),
}

/// Whom a client trusts, and as whom it comes; PEM texts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trust<'a> {
    pub(crate) authority: Option<&'a str>,
    /// Certificate and key, one after the other.
    pub(crate) identity: Option<&'a str>,
}

pub(crate) fn client(trust: Trust<'_>) -> Result<Client, HttpError> {
    let mut roots = RootCertStore::empty();
    if let Some(authority) = trust.authority {
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match trust.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let certificate = CertificateDer::from_pem_slice(identity.as_bytes())?;
            let key = PrivateKeyDer::from_pem_slice(identity.as_bytes())?;
            config.with_client_auth_cert(vec![certificate], key)?
        }
    };
    Ok(Client::builder()
        // A proxy of the user's is for other machines than this one.
        .no_proxy()
        .tls_backend_preconfigured(config)
        .build()?)
}
