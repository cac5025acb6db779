//! Which kinds the cluster serves: asked once, again when a kind is missing or a `CustomResourceDefinition` changes.

use std::collections::HashMap;

use bus::ClusterId;
use bus::message::cluster::{ClusterInfo, Kind};
use kube::core::discovery::v2::APIGroupDiscoveryList;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Cluster;
use crate::object::Key;

/// What may stand in a path segment; RBAC names hold colons.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b':');

/// One kind at one version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ApiKind {
    pub(crate) group: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) plural: Box<str>,
    pub(crate) namespaced: bool,
    pub(crate) watchable: bool,
}

impl ApiKind {
    pub(crate) fn core(kind: &str, plural: &str, namespaced: bool) -> Self {
        Self {
            group: "".into(),
            version: "v1".into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced,
            watchable: true,
        }
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn collection(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if self.namespaced && !namespace.is_empty() {
            format!(
                "{root}/namespaces/{}/{}",
                utf8_percent_encode(namespace, SEGMENT),
                self.plural
            )
        } else {
            format!("{root}/{}", self.plural)
        }
    }

    pub(crate) fn path(&self, key: &Key) -> String {
        format!(
            "{}/{}",
            self.collection(&key.namespace),
            utf8_percent_encode(&key.name, SEGMENT)
        )
    }
}

type GroupVersionKind = (Box<str>, Box<str>, Box<str>);

/// What the cluster serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kinds {
    pub(crate) version: String,
    by_version: HashMap<GroupVersionKind, ApiKind>,
    /// The version that the server lists first.
    preferred: HashMap<(Box<str>, Box<str>), ApiKind>,
}

impl Kinds {
    pub(crate) async fn discover(cluster: &Cluster) -> Result<Self, kube::Error> {
        let client = cluster.client();
        let (version, core, groups) = tokio::try_join!(
            client.apiserver_version(),
            client.list_core_api_versions_aggregated(),
            client.list_api_groups_aggregated()
        )?;
        let mut kinds = Self {
            version: version.git_version,
            ..Self::default()
        };
        kinds.take(core);
        kinds.take(groups);
        Ok(kinds)
    }

    fn take(&mut self, list: APIGroupDiscoveryList) {
        for group in list.items {
            let name: Box<str> = group
                .metadata
                .and_then(|metadata| metadata.name)
                .unwrap_or_default()
                .into();
            for version in group.versions {
                let label: Box<str> = version.version.unwrap_or_default().into();
                for resource in version.resources {
                    let Some(kind) = resource.response_kind.and_then(|kind| kind.kind) else {
                        continue;
                    };
                    let kind: Box<str> = kind.into();
                    let known = ApiKind {
                        group: name.clone(),
                        version: label.clone(),
                        kind: kind.clone(),
                        plural: resource.resource.unwrap_or_default().into(),
                        namespaced: resource.scope.as_deref() == Some("Namespaced"),
                        watchable: resource.verbs.iter().any(|verb| verb == "watch"),
                    };
                    // Views without a name to delete by, such as reviews, are no objects.
                    if !resource.verbs.iter().any(|verb| verb == "get") {
                        continue;
                    }
                    self.preferred
                        .entry((name.clone(), kind.clone()))
                        .or_insert_with(|| known.clone());
                    self.by_version
                        .insert((name.clone(), label.clone(), kind), known);
                }
            }
        }
    }

    pub(crate) fn exact(&self, group: &str, version: &str, kind: &str) -> Option<&ApiKind> {
        self.by_version
            .get(&(group.into(), version.into(), kind.into()))
    }

    pub(crate) fn preferred(&self, group: &str, kind: &str) -> Option<&ApiKind> {
        self.preferred.get(&(group.into(), kind.into()))
    }

    /// Namespaced kinds, each at the version that the server prefers.
    pub(crate) fn namespaced(&self) -> impl Iterator<Item = &ApiKind> {
        self.preferred.values().filter(|kind| kind.namespaced)
    }

    /// The kind that a `CustomResourceDefinition` of this name defines, if it is served.
    pub(crate) fn defined_by(&self, definition: &str) -> Option<&ApiKind> {
        let (plural, group) = definition.split_once('.')?;
        let mut kinds = self.preferred.values();
        kinds.find(|kind| *kind.plural == *plural && *kind.group == *group)
    }

    /// What the watcher and the renderer are told.
    pub(crate) fn info(&self, cluster: &ClusterId) -> ClusterInfo {
        let mut kinds: Vec<Kind> = self
            .by_version
            .values()
            .map(|kind| Kind {
                group: kind.group.to_string(),
                version: kind.version.to_string(),
                kind: kind.kind.to_string(),
                namespaced: kind.namespaced,
            })
            .collect();
        kinds.sort();
        ClusterInfo {
            cluster: cluster.clone(),
            kube_version: self.version.clone(),
            kinds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        let kind = ApiKind::core("ConfigMap", "configmaps", true);
        let path = kind.path(&Key::new("", "ConfigMap", "a/../b", "x?y"));
        assert_eq!(path, "/api/v1/namespaces/a%2F..%2Fb/configmaps/x%3Fy");
    }
}
