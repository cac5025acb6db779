//! Reads of values: the one kind of request that does not go through vaultrs.
//!
//! vaultrs copies a body into memory that is not cleared, once more into its errors, and reads it however long it is; it also
//! takes mount and path apart where a path here is the raw API path that was checked, to be sent byte for byte.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use zeroize::Zeroizing;

use super::body;
use super::connection::{Connection, Reply};
use super::token::Token;
use crate::backend::BackendError;

/// GETs `path`, which is in the form that URLs leave alone.
pub(super) async fn get(
    connection: &Connection,
    path: &str,
    version: Option<u64>,
    token: &HeaderValue,
) -> Result<Reply<Zeroizing<Vec<u8>>>, BackendError> {
    let query = version.map_or_else(String::new, |version| format!("?version={version}"));
    let url = format!("{}/v1/{path}{query}", connection.address);
    send(connection, connection.client.get(url), token).await
}

/// POSTs JSON that is no secret. Vault has nothing (`Missing`) for what it finds wrong in it, too.
pub(super) async fn post(
    connection: &Connection,
    path: &str,
    json: String,
    token: Arc<Token>,
) -> Result<Reply<Zeroizing<Vec<u8>>>, BackendError> {
    let request = connection
        .client
        .post(format!("{}/v1/{path}", connection.address))
        .header(CONTENT_TYPE, "application/json")
        .body(json);
    match send(connection, request, &token.header).await {
        Err(BackendError::Failing { status: 400, .. }) => Ok(Reply::Missing),
        reply => reply,
    }
}

async fn send(
    connection: &Connection,
    request: RequestBuilder,
    token: &HeaderValue,
) -> Result<Reply<Zeroizing<Vec<u8>>>, BackendError> {
    let mut request = request
        .header("X-Vault-Request", "true")
        .header("X-Vault-Token", token);
    if let Some(namespace) = &connection.namespace {
        request = request.header("X-Vault-Namespace", namespace);
    }
    let response = request
        .send()
        .await
        .map_err(|error| connection.broken(&error))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Ok(Reply::Found(Zeroizing::default())),
        other => return connection.failed(other.as_u16()),
    }
    match body::read(response).await {
        Ok(body) => Ok(Reply::Found(body)),
        Err(body::ReadError::TooLarge) => {
            Err(connection.unusable("its answer is over the limit of 2 MiB"))
        }
        Err(body::ReadError::Broken(error)) => Err(connection.broken(&error)),
    }
}
