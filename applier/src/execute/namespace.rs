//! `CreateNamespace=true`: made if it isn't there, never taken over, not part of the inventory. With `managedNamespaceMetadata` its
//! labels and annotations are kept as they are said, in a name of the application's own: what another application or its own
//! manifest says of the same namespace stays.

use api::application::sync_policy::ManagedNamespaceMetadata;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cluster::{ApiKind, ApplyParameters, Cluster, ClusterError};
use crate::object::Key;

/// A namespace that an application wants.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) metadata: Option<&'a ManagedNamespaceMetadata>,
    /// The application's hash.
    pub(crate) owner: &'a str,
    /// Whether its project allows namespaces to be written.
    pub(crate) permitted: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NamespaceError {
    #[error(
        "the project doesn't allow the cluster-scoped kind Namespace, or this applier no cluster-scoped object: add it to \
         clusterResourceWhitelist, or make the namespace yourself"
    )]
    NotPermitted,
    #[error("the API server refused it")]
    Request(#[source] ClusterError),
}

impl NamespaceError {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::NotPermitted => self.to_string(),
            Self::Request(source) => source.describe(false),
        }
    }
}

pub(crate) async fn create_namespace(
    cluster: &Cluster,
    wanted: &Wanted<'_>,
) -> Result<(), NamespaceError> {
    let kind = ApiKind::core("Namespace", "namespaces", false);
    let key = Key::new("", "Namespace", "", wanted.name);
    if wanted.metadata.is_none() {
        let found = cluster.get(&kind, &key).await;
        if found.map_err(NamespaceError::Request)?.is_some() {
            return Ok(());
        }
    }
    if !wanted.permitted {
        return Err(NamespaceError::NotPermitted);
    }
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": wanted.name,
        "labels": wanted.metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default(),
        "annotations": wanted.metadata.and_then(|metadata| metadata.annotations.clone()).unwrap_or_default(),
    }});
    let body = Zeroizing::new(body.to_string().into_bytes());
    let written = if wanted.metadata.is_some() {
        let manager = format!("towline-namespace-{}", wanted.owner);
        let parameters = ApplyParameters::default();
        cluster
            .apply_as(&manager, &kind, &key, body, parameters)
            .await
            .map(drop)
    } else {
        cluster.create(&kind, &key, body).await.map(drop)
    };
    match written {
        // Somebody else made it a moment ago.
        Err(error) if error.is_conflict() && wanted.metadata.is_none() => Ok(()),
        written => written.map_err(NamespaceError::Request),
    }
}
