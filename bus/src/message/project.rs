//! What an `AppProject` allows: watcher → applier, secrets-agent, in bucket `projects` under the project's name.
//! It can only narrow what the receiver's own configuration allows.

use api::AppProjectSpec;
use api::project::VaultSecrets;
use api::settings::Impersonation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::AppId;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    pub name: String,
    /// With the rules that it inherits from global projects.
    pub spec: AppProjectSpec,
    /// The globs of annotation `towline.dev/secret-paths`; empty allows none.
    #[serde(default)]
    pub secret_paths: Vec<String>,
    /// The kinds of annotation `towline.dev/secret-kinds`: where placeholders may stand beside the data of Secrets.
    #[serde(default)]
    pub secret_kinds: Vec<String>,
    /// Annotation `towline.dev/vault-secrets`.
    #[serde(default)]
    pub vault_secrets: VaultSecrets,
    /// Whether its objects are applied as its `destinationServiceAccounts`.
    #[serde(default)]
    pub impersonation: Impersonation,
}

impl Message for Project {
    const KIND: &'static str = "project.published";

    fn about(&self) -> Option<&AppId> {
        None
    }
}
