//! One look at a namespace.

use api::annotations;
use api::tracking::TrackingId;
use serde_json::Value;

use super::Found;
use crate::cluster::{ApiKind, Cluster, Kinds};
use crate::live::Live;
use crate::object::Key;

/// So many objects are kept of one namespace.
const MOST: usize = 1_000;
/// Pages of one kind, of 500 objects each.
const PAGES: usize = 20;
/// What the cluster itself keeps in namespaces, as Argo CD's own exclusions have it.
const OF_THE_CLUSTER: [(&str, &str); 6] = [
    ("", "Event"),
    ("events.k8s.io", "Event"),
    ("", "Endpoints"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("coordination.k8s.io", "Lease"),
    ("metrics.k8s.io", "PodMetrics"),
];

/// Top-level objects that no application of this cluster has; none when the cluster doesn't answer.
pub(super) async fn list(
    cluster: &Cluster,
    kinds: &Kinds,
    live: &Live,
    namespace: &str,
) -> Option<Found> {
    let mut found = Found::default();
    let mut wanted: Vec<&ApiKind> = kinds
        .namespaced()
        .filter(|kind| kind.watchable && !is_of_the_cluster(kind))
        .collect();
    wanted.sort_by_key(|kind| (&kind.group, &kind.kind));
    for kind in wanted {
        let mut token: Option<String> = None;
        for page in 1.. {
            let (objects, next) = match cluster
                .metadata_page(kind, namespace, token.as_deref())
                .await
            {
                Ok(page) => page,
                // This applier may not list it, the kind went away a moment ago, or the list grew too old.
                Err(error) if matches!(error.code(), Some(403 | 404 | 405 | 410)) => break,
                Err(error) => {
                    tracing::debug!(
                        namespace,
                        kind = &*kind.kind,
                        error = error.describe(true),
                        "looking for orphaned resources"
                    );
                    return None;
                }
            };
            for object in &objects {
                let Some(key) = orphan(object, kind, namespace, |hash| live.knows(hash)) else {
                    continue;
                };
                if found.objects.len() == MOST {
                    found.more = true;
                    return Some(found);
                }
                found.objects.insert(key);
            }
            if next.is_none() {
                break;
            }
            if page == PAGES {
                found.more = true;
                break;
            }
            token = next;
        }
    }
    Some(found)
}

/// Whether the cluster itself keeps such objects in namespaces.
pub(crate) fn is_of_the_cluster(kind: &ApiKind) -> bool {
    OF_THE_CLUSTER.contains(&(&*kind.group, &*kind.kind))
}

/// The object's identity, if nothing owns it and no application has it.
fn orphan(
    object: &Value,
    kind: &ApiKind,
    namespace: &str,
    is_application: impl Fn(&str) -> bool,
) -> Option<Key> {
    let metadata = &object["metadata"];
    let owned = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty());
    if owned {
        return None;
    }
    let key = Key::new(
        &kind.group,
        &kind.kind,
        namespace,
        metadata["name"].as_str()?,
    );
    let ours = metadata["labels"][annotations::APPLICATION].as_str();
    if let Some(hash) = ours {
        // Its application may be gone, and have left it behind.
        return (!is_application(hash)).then_some(key);
    }
    let tracked = metadata["annotations"][annotations::TRACKING_ID]
        .as_str()
        .and_then(TrackingId::parse)
        .is_some_and(|id| *id.kind == *key.kind && *id.name == *key.name);
    // An Argo CD that works beside us has it.
    (!tracked).then_some(key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_orphan(metadata: &Value) -> bool {
        let kind = ApiKind::core("ConfigMap", "configmaps", true);
        let mut object = json!({ "metadata": metadata });
        object["metadata"]["name"] = "a".into();
        orphan(&object, &kind, "shop", |hash| hash == "known").is_some()
    }

    #[test]
    fn what_neither_an_owner_nor_an_application_has_is_orphaned() {
        assert!(is_orphan(&json!({})));
        assert!(!is_orphan(&json!({"ownerReferences": [{"uid": "u"}]})));
        assert!(!is_orphan(
            &json!({"labels": {"towline.dev/application": "known"}})
        ));
        let id = "argocd.argoproj.io/tracking-id";
        assert!(!is_orphan(
            &json!({"annotations": {id: "web:/ConfigMap:shop/a"}})
        ));
    }

    #[test]
    fn what_an_application_left_behind_is_orphaned() {
        assert!(is_orphan(
            &json!({"labels": {"towline.dev/application": "gone"}})
        ));
    }

    #[test]
    fn a_copied_tracking_id_is_no_application() {
        let id = "argocd.argoproj.io/tracking-id";
        assert!(is_orphan(
            &json!({"annotations": {id: "web:/ConfigMap:shop/other"}})
        ));
    }
}
