//! `CreateNamespace=true`: made once, never taken over, not part of the inventory.

use api::application::sync_policy::ManagedNamespaceMetadata;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cluster::{ApiKind, Cluster, ClusterError};
use crate::object::Key;

pub(crate) async fn create_namespace(
    cluster: &Cluster,
    name: &str,
    metadata: Option<&ManagedNamespaceMetadata>,
) -> Result<(), ClusterError> {
    let kind = ApiKind::core("Namespace", "namespaces", false);
    let key = Key::new("", "Namespace", "", name);
    if cluster.get(&kind, &key).await?.is_some() {
        return Ok(());
    }
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name,
        "labels": metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default(),
        "annotations": metadata.and_then(|metadata| metadata.annotations.clone()).unwrap_or_default(),
    }});
    match cluster
        .create(&kind, &key, Zeroizing::new(body.to_string().into_bytes()))
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
