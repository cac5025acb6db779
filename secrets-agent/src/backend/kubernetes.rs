//! Secrets of one namespace of Kubernetes, for who has no Vault: path `k8s/<name>` is Secret `<name>`, its data are the keys.
//!
//! Read as bytes, so that the values are in no buffer that isn't cleared but the HTTP client's own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::seal::SecretValue;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Backend, BackendError, Document};
use crate::policy::SecretPath;

/// The longest answer: a Secret holds 1 MiB of data, which is base64, and has metadata beside it.
const MAX_BODY: usize = 4 << 20;
/// The first segment of its paths.
pub(super) const MOUNT: &str = "k8s";

pub struct KubernetesSecrets {
    client: Client,
    namespace: String,
}

#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    #[error("reading --secrets-kubeconfig {path}")]
    Kubeconfig {
        path: String,
        source: kube::config::KubeconfigError,
    },
    #[error("there is no Kubernetes around: give --secrets-kubeconfig, or run in a cluster")]
    Nowhere(#[source] kube::config::InferConfigError),
    #[error("setting up the connection to Kubernetes")]
    Client(#[source] Box<kube::Error>),
}

impl KubernetesSecrets {
    pub async fn new(
        namespace: String,
        kubeconfig: Option<&PathBuf>,
    ) -> Result<Self, KubernetesError> {
        let config = match kubeconfig {
            Some(path) => {
                let failed = |source| KubernetesError::Kubeconfig {
                    path: path.display().to_string(),
                    source,
                };
                let file = Kubeconfig::read_from(path).map_err(failed)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                    .await
                    .map_err(failed)?
            }
            None => Config::infer().await.map_err(KubernetesError::Nowhere)?,
        };
        let client =
            Client::try_from(config).map_err(|error| KubernetesError::Client(Box::new(error)))?;
        Ok(Self { client, namespace })
    }

    fn failed(&self, path: &SecretPath, error: &kube::Error) -> BackendError {
        let status = match error {
            kube::Error::Api(status) => status.code,
            _ => 0,
        };
        match status {
            404 => BackendError::NoPath { path: path.clone() },
            401 | 403 => BackendError::Store {
                path: path.clone(),
                why: format!(
                    "Kubernetes does not let this agent read Secrets of namespace {}: grant it `get` on secrets",
                    self.namespace
                ),
            },
            0 => BackendError::Store {
                path: path.clone(),
                why: "Kubernetes cannot be reached".to_owned(),
            },
            status => BackendError::Store {
                path: path.clone(),
                why: format!("Kubernetes answers status {status}"),
            },
        }
    }
}

impl Backend for KubernetesSecrets {
    async fn read(
        &self,
        _: &str,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Document, BackendError> {
        if version.is_some() {
            return Err(BackendError::Unreadable {
                path: path.clone(),
                why: "Secrets of Kubernetes have no earlier versions",
            });
        }
        let name = name(path)?;
        let request =
            kube::core::Request::new(format!("/api/v1/namespaces/{}/secrets", self.namespace))
                .get(name, &kube::api::GetParams::default())
                .map_err(|_| BackendError::Unreadable {
                    path: path.clone(),
                    why: "its name can't be sent to Kubernetes",
                })?;
        let answer = self
            .client
            .request_stream(request)
            .await
            .map_err(|error| self.failed(path, &error))?;
        // Allocated once: a buffer that grows leaves copies of what it held behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        let mut answer = std::pin::pin!(answer.take(MAX_BODY as u64));
        answer
            .read_to_end(&mut body)
            .await
            .map_err(|_| BackendError::Store {
                path: path.clone(),
                why: "the connection to Kubernetes broke".to_owned(),
            })?;
        if body.len() == MAX_BODY {
            return Err(BackendError::Unreadable {
                path: path.clone(),
                why: "Kubernetes' answer is over the limit of 4 MiB",
            });
        }
        document(&body).ok_or_else(|| BackendError::Unreadable {
            path: path.clone(),
            why: "Kubernetes' answer is not a Secret",
        })
    }

    async fn api_path(&self, _: &str, path: &SecretPath) -> Result<SecretPath, BackendError> {
        Ok(path.clone())
    }

    async fn newest_version(
        &self,
        _: &str,
        path: &SecretPath,
    ) -> Result<Option<u64>, BackendError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = secrets
            .get_metadata(name(path)?)
            .await
            .map_err(|error| self.failed(path, &error))?;
        Ok(found
            .metadata
            .resource_version
            .and_then(|version| version.parse().ok()))
    }
}

/// The Secret's name, which is one segment.
fn name(path: &SecretPath) -> Result<&str, BackendError> {
    path.as_str()
        .split_once('/')
        .map(|(_, name)| name)
        .filter(|name| !name.contains('/'))
        .ok_or_else(|| BackendError::Unreadable {
            path: path.clone(),
            why: "a path of a Secret is k8s/<name>",
        })
}

/// Borrowed: the only copies of a value are the body and the value itself.
#[derive(Deserialize)]
struct Body<'a> {
    metadata: Metadata,
    #[serde(default, borrow)]
    data: BTreeMap<String, &'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

fn document(body: &[u8]) -> Option<Document> {
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let values = body
        .data
        .into_iter()
        .map(|(key, text)| {
            let value = STANDARD.decode(text).ok()?;
            Some((key, SecretValue::new(value)))
        })
        .collect::<Option<_>>()?;
    Some(Document::new(
        body.metadata.resource_version.parse().ok(),
        values,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_decoded_and_the_resource_version_counts() {
        let body = r#"{"kind":"Secret","metadata":{"name":"a","resourceVersion":"42"},"data":{"user":"YWRh","empty":""},"type":"Opaque"}"#;
        let document = document(body.as_bytes()).unwrap();
        assert_eq!(document.version, Some(42));
        assert_eq!(document.get("user").unwrap().expose(), b"ada");
        assert_eq!(document.get("empty").unwrap().expose(), b"");
    }

    #[test]
    fn an_empty_secret_is_one_and_other_answers_are_none() {
        assert!(document(br#"{"metadata":{"resourceVersion":"1"}}"#).is_some());
        for body in [
            "",
            "{}",
            "[]",
            r#"{"metadata":{"resourceVersion":"1"},"data":{"a":"!"}}"#,
        ] {
            assert!(document(body.as_bytes()).is_none(), "{body}");
        }
    }
}
