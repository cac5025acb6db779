//! What a cluster offers and holds: applier → watcher and renderer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::{AppId, ClusterId, Digest, Generation};

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

/// What a chart may ask about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// `v1.37.2`.
    pub kube_version: String,
    /// `v1`, `apps/v1`, `apps/v1/Deployment`, sorted.
    pub api_versions: Vec<String>,
}

impl Capabilities {
    /// Two with the same make the same render.
    pub fn digest(&self) -> Digest {
        Digest::of(format!("{}\n{}", self.kube_version, self.api_versions.join("\n")).as_bytes())
    }
}

impl From<&ClusterInfo> for Capabilities {
    fn from(info: &ClusterInfo) -> Self {
        let mut api_versions = Vec::new();
        for kind in &info.kinds {
            let version = match kind.group.as_str() {
                "" => kind.version.clone(),
                group => format!("{group}/{}", kind.version),
            };
            api_versions.push(format!("{version}/{}", kind.kind));
            api_versions.push(version);
        }
        api_versions.sort();
        api_versions.dedup();
        Self {
            kube_version: info.kube_version.clone(),
            api_versions,
        }
    }
}

impl ClusterInfo {
    /// The digest of its capabilities, as a render that used them records it.
    pub fn digest(&self) -> Digest {
        Capabilities::from(self).digest()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn info(kinds: Vec<Kind>) -> ClusterInfo {
        ClusterInfo {
            cluster: ClusterId::in_cluster(),
            kube_version: "v1.37.2".to_owned(),
            kinds,
        }
    }

    fn kind(group: &str, kind: &str, namespaced: bool) -> Kind {
        Kind {
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespaced,
        }
    }

    #[test]
    fn capabilities_are_versions_and_kinds() {
        let info = info(vec![
            kind("", "Pod", true),
            kind("apps", "Deployment", true),
        ]);
        assert_eq!(
            Capabilities::from(&info).api_versions,
            ["apps/v1", "apps/v1/Deployment", "v1", "v1/Pod"]
        );
    }

    #[test]
    fn only_what_a_chart_may_ask_changes_the_digest() {
        let one = info(vec![kind("", "Pod", true)]);
        assert_eq!(one.digest(), info(vec![kind("", "Pod", false)]).digest());
        assert_ne!(one.digest(), info(Vec::new()).digest());
    }
}
