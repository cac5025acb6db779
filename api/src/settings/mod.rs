//! What Argo CD keeps in `argocd-cm` and in labelled Secrets, as far as Towline reads it.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};

mod cluster;
mod config_map;
mod customization;
mod duration;
mod global_project;
mod impersonation;
mod repository;
mod webhook;

pub use cluster::Cluster;
pub use config_map::Settings;
pub use customization::{Customization, Customizations};
pub use duration::parse as parse_duration;
pub use global_project::GlobalProject;
pub use impersonation::Impersonation;
pub use repository::{Credentials, Repository, RepositoryKind};
pub use webhook::{SecretValues, WebhookKey, WebhookSecret, WebhookSecrets, secret_values};

use crate::{Sensitive, annotations::SECRET_TYPE};

/// The name of the ConfigMap with Argo CD's settings.
pub const CONFIG_MAP: &str = "argocd-cm";
/// The name of the Secret with Argo CD's own secrets, webhook secrets among them.
pub const SECRET: &str = "argocd-secret";
/// The name of the ConfigMap with certificate authorities: host without port → PEM.
pub const TLS_CERTS: &str = "argocd-tls-certs-cm";
/// The name of the ConfigMap with host keys, and the key in it.
pub const KNOWN_HOSTS: (&str, &str) = ("argocd-ssh-known-hosts-cm", "ssh_known_hosts");
/// The label of Secrets that a value of [`SECRET`] may point to.
pub const PART_OF_ARGO_CD: &str = "app.kubernetes.io/part-of=argocd";

/// A Secret that Argo CD reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Labelled {
    Repository(Box<Repository>),
    /// Credentials for every repository whose URL starts with this one's.
    RepositoryCredentials(Box<Repository>),
    Cluster(Box<Cluster>),
}

/// A Secret that can't be used. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("Secret {secret} has no {key}")]
    Missing { secret: String, key: &'static str },
    #[error("Secret {secret}: {key} is not UTF-8 text")]
    NotText { secret: String, key: String },
    #[error("Secret {secret}: {key} must be {expected}")]
    Invalid {
        secret: String,
        key: &'static str,
        expected: &'static str,
    },
}

/// Reads a Secret by its `argocd.argoproj.io/secret-type`; `None` if it is none of ours.
///
/// # Errors
/// If a field that is needed is missing or unreadable.
pub fn read_secret(secret: &Secret) -> Result<Option<Labelled>, SettingsError> {
    let kind = secret
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(SECRET_TYPE));
    let fields = Fields::of(secret);
    Ok(match kind.map(String::as_str) {
        Some("repository") => Some(Labelled::Repository(Box::new(Repository::read(&fields)?))),
        Some("repo-creds") => Some(Labelled::RepositoryCredentials(Box::new(Repository::read(
            &fields,
        )?))),
        Some("cluster") => Some(Labelled::Cluster(Box::new(Cluster::read(&fields, secret)?))),
        _ => None,
    })
}

struct Fields<'a> {
    name: String,
    data: Option<&'a BTreeMap<String, ByteString>>,
}

impl<'a> Fields<'a> {
    fn of(secret: &'a Secret) -> Self {
        let metadata = &secret.metadata;
        Self {
            name: format!(
                "{}/{}",
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default()
            ),
            data: secret.data.as_ref(),
        }
    }

    /// Absent and empty are the same, as in Argo CD.
    fn text(&self, key: &str) -> Result<Option<&'a str>, SettingsError> {
        let Some(bytes) = self.data.and_then(|data| data.get(key)) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| SettingsError::NotText {
            secret: self.name.clone(),
            key: key.to_owned(),
        })?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn owned(&self, key: &str) -> Result<Option<String>, SettingsError> {
        Ok(self.text(key)?.map(str::to_owned))
    }

    fn sensitive(&self, key: &str) -> Result<Option<Sensitive>, SettingsError> {
        Ok(self.text(key)?.map(Sensitive::new))
    }

    fn required(&self, key: &'static str) -> Result<&'a str, SettingsError> {
        self.text(key)?.ok_or_else(|| SettingsError::Missing {
            secret: self.name.clone(),
            key,
        })
    }

    fn flag(&self, key: &'static str) -> Result<bool, SettingsError> {
        match self.text(key)?.map(str::trim) {
            None | Some("false" | "False" | "FALSE" | "f" | "F" | "0") => Ok(false),
            Some("true" | "True" | "TRUE" | "t" | "T" | "1") => Ok(true),
            Some(_) => Err(self.invalid(key, "true or false")),
        }
    }

    /// Zero is the same as absent, as in Argo CD.
    fn number(&self, key: &'static str) -> Result<Option<u64>, SettingsError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let number: u64 = text
            .trim()
            .parse()
            .map_err(|_| self.invalid(key, "a number"))?;
        Ok(Some(number).filter(|number| *number != 0))
    }

    fn invalid(&self, key: &'static str, expected: &'static str) -> SettingsError {
        SettingsError::Invalid {
            secret: self.name.clone(),
            key,
            expected,
        }
    }
}
