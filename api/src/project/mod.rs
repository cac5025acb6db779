//! `AppProject`: what a team's applications may take from where, and put where.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Extra, GROUP, VERSION, annotations, application::ApplicationDestination};

mod inherit;
mod kinds;
mod permits;
mod roles;
mod window;

pub use kinds::kinds_include;
pub use permits::Destination;
pub use roles::{JwtToken, JwtTokens, ProjectRole};
pub use window::SyncWindow;

/// An Argo CD AppProject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppProject {
    /// `argoproj.io/v1alpha1`; absent on the items of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `AppProject`; absent on the items of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub metadata: ObjectMeta,
    pub spec: AppProjectSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AppProjectStatus>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Extra,
}

object! {
    /// What a project's applications may do.
    pub struct AppProjectSpec {
        optional {
            /// Repository URLs: globs, `!` denies.
            source_repos: Vec<String>,
            /// Clusters and namespaces: globs, `!` denies.
            destinations: Vec<ApplicationDestination>,
            description: String,
            roles: Vec<ProjectRole>,
            /// Cluster-scoped kinds that may be deployed; absent means none.
            cluster_resource_whitelist: Vec<ClusterResourceRestriction>,
            namespace_resource_blacklist: Vec<GroupKind>,
            orphaned_resources: OrphanedResources,
            sync_windows: Vec<SyncWindow>,
            /// Namespaced kinds that may be deployed; absent means all, empty means none.
            namespace_resource_whitelist: Vec<GroupKind>,
            signature_keys: Vec<SignatureKey>,
            cluster_resource_blacklist: Vec<ClusterResourceRestriction>,
            /// Namespaces that the project's Applications may be in.
            source_namespaces: Vec<String>,
            permit_only_project_scoped_clusters: bool,
            destination_service_accounts: Vec<DestinationServiceAccount>,
            source_integrity: SourceIntegrity,
        }
    }
}

object! {
    /// A kind of object; both may be globs.
    pub struct GroupKind {
        required {
            group: String,
            kind: String,
        }
    }
}

object! {
    /// A kind of cluster-scoped object, and which of them.
    pub struct ClusterResourceRestriction {
        required {
            group: String,
            kind: String,
        }
        optional {
            /// A glob; absent means all.
            name: String,
        }
    }
}

object! {
    /// Whether objects that belong to no application are reported.
    pub struct OrphanedResources {
        optional {
            warn: bool,
            ignore: Vec<OrphanedResourceKey>,
        }
    }
}

object! {
    /// Objects that aren't reported.
    pub struct OrphanedResourceKey {
        optional {
            group: String,
            kind: String,
            name: String,
        }
    }
}

object! {
    /// A key that commits must be signed with.
    pub struct SignatureKey {
        required {
            #[serde(rename = "keyID")]
            key_id: String,
        }
    }
}

object! {
    /// The account that objects are applied as, by destination.
    pub struct DestinationServiceAccount {
        required {
            server: String,
            default_service_account: String,
        }
        optional {
            namespace: String,
        }
    }
}

object! {
    /// How sources must be signed.
    pub struct SourceIntegrity {
        optional {
            git: SourceIntegrityGit,
        }
    }
}

object! {
    /// How Git sources must be signed.
    pub struct SourceIntegrityGit {
        optional {
            policies: Vec<SourceIntegrityGitPolicy>,
        }
    }
}

object! {
    /// How the sources of some repositories must be signed.
    pub struct SourceIntegrityGitPolicy {
        optional {
            repos: Vec<SourceIntegrityGitRepo>,
            gpg: SourceIntegrityGpg,
        }
    }
}

object! {
    /// Repositories by URL glob.
    pub struct SourceIntegrityGitRepo {
        required {
            url: String,
        }
    }
}

object! {
    /// Signatures by GPG keys.
    pub struct SourceIntegrityGpg {
        optional {
            mode: String,
            keys: Vec<String>,
        }
    }
}

object! {
    /// What Argo CD knows about a project.
    pub struct AppProjectStatus {
        optional {
            jwt_tokens_by_role: BTreeMap<String, JwtTokens>,
        }
    }
}

impl AppProject {
    pub const KIND: &'static str = "AppProject";
    pub const PLURAL: &'static str = "appprojects";

    pub fn new(name: &str, spec: AppProjectSpec) -> Self {
        Self {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some(Self::KIND.to_owned()),
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            spec,
            ..Self::default()
        }
    }

    /// The `default` project as Argo CD makes it: everything from anywhere to anywhere.
    pub fn allow_all(name: &str) -> Self {
        let any = || "*".to_owned();
        Self::new(
            name,
            AppProjectSpec {
                source_repos: Some(vec![any()]),
                destinations: Some(vec![ApplicationDestination {
                    server: Some(any()),
                    namespace: Some(any()),
                    ..ApplicationDestination::default()
                }]),
                cluster_resource_whitelist: Some(vec![ClusterResourceRestriction {
                    group: any(),
                    kind: any(),
                    ..ClusterResourceRestriction::default()
                }]),
                ..AppProjectSpec::default()
            },
        )
    }

    /// Vault paths (globs) that the project's applications may read, from the annotation
    /// `towline.dev/secret-paths`: separated by commas, spaces or lines. `None` without it.
    pub fn secret_paths(&self) -> Option<Vec<&str>> {
        self.list(annotations::SECRET_PATHS)
    }

    /// Kinds that may hold secret placeholders beside the data of Secrets, from the annotation `towline.dev/secret-kinds`, separated
    /// likewise. `None` without it. See [`kinds_include`].
    pub fn secret_kinds(&self) -> Option<Vec<&str>> {
        self.list(annotations::SECRET_KINDS)
    }

    /// From the annotation `towline.dev/vault-secrets`.
    pub fn vault_secrets(&self) -> VaultSecrets {
        let annotations = self.metadata.annotations.as_ref();
        match annotations.and_then(|all| all.get(annotations::VAULT_SECRETS)) {
            Some(word) if word.trim() == "resolve" => VaultSecrets::Resolve,
            _ => VaultSecrets::Apply,
        }
    }

    fn list(&self, annotation: &str) -> Option<Vec<&str>> {
        let text = self.metadata.annotations.as_ref()?.get(annotation)?;
        Some(
            text.split(|symbol: char| symbol == ',' || symbol.is_whitespace())
                .filter(|item| !item.is_empty())
                .collect(),
        )
    }
}

/// What happens to a `VaultSecret`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum VaultSecrets {
    /// It is applied as the object that it is.
    #[default]
    Apply,
    /// The Secret that it stands for is applied in its place.
    Resolve,
}

impl kube::Resource for AppProject {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Self::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        Self::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
