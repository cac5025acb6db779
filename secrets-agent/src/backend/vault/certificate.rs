//! Login by TLS client certificate: what is asked, and who asks.

use std::path::Path;

use reqwest::Identity;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use zeroize::Zeroizing;

use super::login::read;
use crate::backend::BackendError;

/// vaultrs names the role by a field that Vault doesn't read, and would be given any role's token.
pub(super) struct CertificateLogin<'a> {
    pub(super) mount: &'a str,
    pub(super) role: Option<&'a str>,
}

impl Endpoint for CertificateLogin<'_> {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        format!("auth/{}/login", self.mount)
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::POST
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        let body = match self.role {
            Some(role) => serde_json::json!({ "name": role }),
            None => serde_json::json!({}),
        };
        Ok(Some(body.to_string().into_bytes()))
    }
}

/// A certificate with its key, as they are now: who renews them writes new files.
pub(super) async fn identity(certificate: &Path, key: &Path) -> Result<Identity, BackendError> {
    let (certificate_pem, key_pem) = tokio::try_join!(read(certificate), read(key))?;
    // Its own copy, which is all that stays.
    let pem = Zeroizing::new([certificate_pem.as_bytes(), b"\n", key_pem.as_bytes()].concat());
    Identity::from_pem(&pem).map_err(|_| BackendError::Login {
        why: format!(
            "{} and {} are no certificate and key in PEM",
            certificate.display(),
            key.display()
        ),
    })
}
