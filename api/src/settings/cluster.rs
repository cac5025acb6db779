//! `cluster` Secrets: which clusters there are. Their credentials are left where they are.

use k8s_openapi::api::core::v1::Secret;

use super::{Fields, SettingsError};
use crate::annotations;

/// A cluster that applications can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The DNS label that its applier was started with: the annotation `towline.dev/cluster`, else
    /// the name.
    pub id: String,
    /// Argo CD's name of it.
    pub name: String,
    /// URL of its API server, without trailing slash.
    pub server: String,
    /// Only these namespaces, if any are named.
    pub namespaces: Vec<String>,
    /// Only this project's applications.
    pub project: Option<String>,
    /// Applications for it are to be left alone.
    pub skip_reconcile: bool,
}

impl Cluster {
    pub(super) fn read(fields: &Fields<'_>, secret: &Secret) -> Result<Self, SettingsError> {
        let annotation = |key: &str| secret.metadata.annotations.as_ref()?.get(key);
        let server = fields.required("server")?.trim_end_matches('/').to_owned();
        let name = fields.text("name")?.unwrap_or(&server).to_owned();
        let id = annotation(annotations::CLUSTER).unwrap_or(&name).clone();
        if !is_dns_label(&id) {
            return Err(SettingsError::Invalid {
                secret: fields.name.clone(),
                key: "name",
                expected: "a DNS label, or the Secret's annotation towline.dev/cluster must be one",
            });
        }
        Ok(Self {
            id,
            name,
            server,
            namespaces: fields
                .text("namespaces")?
                .unwrap_or_default()
                .split(',')
                .map(str::trim)
                .filter(|namespace| !namespace.is_empty())
                .map(str::to_owned)
                .collect(),
            project: fields.owned("project")?,
            skip_reconcile: annotation(annotations::SKIP_RECONCILE).is_some_and(|on| on == "true"),
        })
    }
}

fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
