//! What a cluster offers and holds: applier → watcher and renderer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::{AppId, ClusterId, Generation};

/// A cluster's Kubernetes version and API, in bucket `clusters` under the cluster's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterInfo {
    pub cluster: ClusterId,
    /// `v1.37.2`.
    pub kube_version: String,
    /// Sorted by group, version, kind.
    pub kinds: Vec<Kind>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kind {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub namespaced: bool,
}

/// The highest generation that a cluster holds of an application, in bucket `heads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    pub app: AppId,
    pub cluster: ClusterId,
    pub generation: Generation,
}

impl Message for ClusterInfo {
    const KIND: &'static str = "cluster.described";

    fn about(&self) -> Option<&AppId> {
        None
    }
}

impl Message for Head {
    const KIND: &'static str = "head.held";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}
