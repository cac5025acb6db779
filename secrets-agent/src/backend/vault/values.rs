//! Reads of values: the one kind of request that does not go through vaultrs.
//!
//! vaultrs copies a body into memory that is not cleared, once more into its errors, and reads it however long it is; it also
//! takes mount and path apart where a path here is the raw API path that was checked, to be sent byte for byte.

use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::body;
use super::connection::{Connection, Reply};
use crate::backend::BackendError;

/// GETs `path`, which is in the form that URLs leave alone.
pub(super) async fn get(
    connection: &Connection,
    path: &str,
    version: Option<u64>,
    token: &HeaderValue,
) -> Result<Reply<Zeroizing<Vec<u8>>>, BackendError> {
    let query = version.map_or_else(String::new, |version| format!("?version={version}"));
    let mut request = connection
        .client
        .get(format!("{}/v1/{path}{query}", connection.address))
        .header("X-Vault-Request", "true")
        .header("X-Vault-Token", token);
    if let Some(namespace) = &connection.namespace {
        request = request.header("X-Vault-Namespace", namespace);
    }
    let response = request
        .send()
        .await
        .map_err(|error| connection.broken(&error))?;
    if response.status() != StatusCode::OK {
        return connection.failed(response.status().as_u16());
    }
    match body::read(response).await {
        Ok(body) => Ok(Reply::Found(body)),
        Err(body::ReadError::TooLarge) => {
            Err(connection.unusable("its answer is over the limit of 2 MiB"))
        }
        Err(body::ReadError::Broken(error)) => Err(connection.broken(&error)),
    }
}
