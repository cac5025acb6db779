//! Where an application takes its files from.

use std::collections::BTreeMap;

use serde_json::Value;

pub use super::{
    directory::{Directory, Jsonnet, JsonnetVar},
    helm::{Helm, HelmFileParameter, HelmParameter},
    kustomize::{Kustomize, KustomizePatch, KustomizeReplica, KustomizeSelector},
};

object! {
    /// A Git repository path, a Helm repository chart or an OCI artifact.
    pub struct ApplicationSource {
        required {
            /// URL of the repository.
            #[serde(rename = "repoURL")]
            repo_url: String,
        }
        optional {
            /// Folder within the repository.
            path: String,
            /// Branch, tag or commit; for charts a version or a range. Absent means HEAD.
            target_revision: String,
            /// Helm options.
            helm: Helm,
            /// Kustomize options.
            kustomize: Kustomize,
            /// Options for plain manifests.
            directory: Directory,
            /// Config management plugin options.
            plugin: Plugin,
            /// Chart name in a Helm repository.
            chart: String,
            /// Name by which other sources' value files refer to this source.
            #[serde(rename = "ref")]
            reference: String,
            /// Name shown to people.
            name: String,
            /// Only tags with this prefix are considered for a version range.
            tag_prefix: String,
        }
    }
}

object! {
    /// A config management plugin.
    pub struct Plugin {
        optional {
            name: String,
            env: Vec<EnvEntry>,
            parameters: Vec<PluginParameter>,
        }
    }
}

object! {
    /// An environment variable of a plugin.
    pub struct EnvEntry {
        required {
            name: String,
            value: String,
        }
    }
}

object! {
    /// A parameter of a plugin: one of string, map, array.
    pub struct PluginParameter {
        optional {
            name: String,
            string: String,
            map: BTreeMap<String, String>,
            array: Vec<String>,
        }
    }
}

object! {
    /// Pushes rendered manifests back to Git before they are synced.
    pub struct SourceHydrator {
        required {
            dry_source: DrySource,
            sync_source: SyncSource,
        }
        optional {
            hydrate_to: HydrateTo,
        }
    }
}

object! {
    /// The source that is rendered.
    pub struct DrySource {
        required {
            #[serde(rename = "repoURL")]
            repo_url: String,
            target_revision: String,
            path: String,
        }
        optional {
            helm: Helm,
            kustomize: Kustomize,
            directory: Directory,
            plugin: Plugin,
        }
    }
}

object! {
    /// Where rendered manifests are synced from.
    pub struct SyncSource {
        required {
            target_branch: String,
            path: String,
        }
        optional {
            #[serde(rename = "repoURL")]
            repo_url: String,
        }
    }
}

object! {
    /// A staging branch for rendered manifests.
    pub struct HydrateTo {
        required {
            target_branch: String,
        }
    }
}

/// Free-form values.
pub type Values = serde_json::Map<String, Value>;
