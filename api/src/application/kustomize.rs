//! Kustomize options of a source.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

object! {
    /// Kustomize options.
    pub struct Kustomize {
        optional {
            name_prefix: String,
            name_suffix: String,
            /// Image overrides: `[old=]name[:tag|@digest]`.
            images: Vec<String>,
            common_labels: BTreeMap<String, String>,
            /// Kustomize version; ignored.
            version: String,
            common_annotations: BTreeMap<String, String>,
            force_common_labels: bool,
            force_common_annotations: bool,
            namespace: String,
            /// Replace `$ARGOCD_APP_…` in annotation values.
            common_annotations_envsubst: bool,
            replicas: Vec<KustomizeReplica>,
            patches: Vec<KustomizePatch>,
            components: Vec<String>,
            ignore_missing_components: bool,
            label_without_selector: bool,
            kube_version: String,
            api_versions: Vec<String>,
            label_include_templates: bool,
        }
    }
}

object! {
    /// The number of replicas of a workload.
    pub struct KustomizeReplica {
        required {
            name: String,
            count: Count,
        }
    }
}

object! {
    /// A patch, inline or in a file.
    pub struct KustomizePatch {
        optional {
            path: String,
            patch: String,
            target: KustomizeSelector,
            options: BTreeMap<String, bool>,
        }
    }
}

object! {
    /// What a patch applies to.
    pub struct KustomizeSelector {
        optional {
            group: String,
            version: String,
            kind: String,
            name: String,
            namespace: String,
            annotation_selector: String,
            label_selector: String,
        }
    }
}

/// A number, or a number as text.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Count(pub IntOrString);

impl Default for Count {
    fn default() -> Self {
        Self(IntOrString::Int(0))
    }
}
