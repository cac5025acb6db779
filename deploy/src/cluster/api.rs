//! The few requests that the stack itself makes to its API server, as the
//! administrator.

use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::keys::Keys;
use crate::http::{self, HttpError};

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the API server did not answer POST {path}")]
    NoAnswer {
        path: String,
        source: reqwest::Error,
    },
    #[error("the API server refused POST {path} ({status}): {message}")]
    Refused {
        path: String,
        status: StatusCode,
        message: String,
    },
}

#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    url: String,
    token: SecretString,
}

impl Api {
    pub(super) fn new(url: String, keys: &Keys, token: &SecretString) -> Result<Self, HttpError> {
        Ok(Self {
            client: http::client(keys.trust())?,
            url,
            token: token.clone(),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The body of a successful GET; what it was instead, for a readiness probe.
    pub(super) async fn get(&self, path: &str) -> Result<String, String> {
        let answer = self
            .client
            .get(format!("{}{path}", self.url))
            .bearer_auth(self.token.expose_secret())
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = answer.text().await.map_err(|error| error.to_string())?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(format!("GET {path}: {status}"))
        }
    }

    /// The same, parsed.
    pub(super) async fn get_json(&self, path: &str) -> Result<Value, String> {
        let body = self.get(path).await?;
        serde_json::from_str(&body).map_err(|error| format!("GET {path}: {error}"))
    }

    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<(), ApiError> {
        let no_answer = |source| ApiError::NoAnswer {
            path: path.to_owned(),
            source,
        };
        let answer = self
            .client
            .post(format!("{}{path}", self.url))
            .bearer_auth(self.token.expose_secret())
            .json(object)
            .send()
            .await
            .map_err(no_answer)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(ApiError::Refused {
            path: path.to_owned(),
            status,
            message: answer.text().await.map_err(no_answer)?,
        })
    }
}
