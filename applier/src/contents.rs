//! What goes along with an object that holds others: a namespace, or the definition of a kind. Metadata only, and of many just how many.

use bus::message::desired::Tracking;
use serde_json::Value;

use crate::cluster::{ApiKind, Cluster, ClusterError, Kinds};
use crate::live::{Claim, Entry, Owner};
use crate::object::Key;
use crate::orphan::{is_of_every_namespace, is_of_the_cluster};

/// Counting ends there.
const MOST: usize = 1_000;
/// Pages of one kind, of 500 objects each.
const PAGES: usize = 20;

/// Whose word decides what goes along anyway.
#[derive(Clone, Copy)]
pub(crate) struct Ours<'a> {
    pub(crate) hash: &'a str,
    pub(crate) tracking: &'a Tracking,
    /// Objects of the application that are to be deleted themselves.
    pub(crate) goes: &'a (dyn Fn(&Key) -> bool + Sync),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    first: Key,
    count: usize,
}

/// Whether objects like this one take others along.
pub(crate) fn may_hold(key: &Key) -> bool {
    is_namespace(key) || is_definition(key)
}

fn is_namespace(key: &Key) -> bool {
    key.group.is_empty() && &*key.kind == "Namespace"
}

/// A `CustomResourceDefinition`.
pub(crate) fn is_definition(key: &Key) -> bool {
    &*key.kind == "CustomResourceDefinition" && &*key.group == "apiextensions.k8s.io"
}

/// What it holds beside what goes anyway, for a person; none where nothing. What can't be looked at counts as something.
pub(crate) async fn holds(
    cluster: &Cluster,
    kinds: &Kinds,
    holder: &Key,
    ours: Ours<'_>,
) -> Option<Box<str>> {
    let looked = if is_namespace(holder) {
        of_namespace(cluster, kinds, &holder.name, ours).await
    } else {
        match kinds.defined_by(&holder.name) {
            Some(kind) => match of_kind(cluster, kind, "", ours, &mut None).await {
                Ok(found) => Ok(found),
                // It isn't served any more.
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            },
            None => Ok(None),
        }
    };
    match looked {
        Ok(None) => None,
        Ok(Some(Contents { first, count: 1 })) => Some(first.to_string().into()),
        Ok(Some(Contents { first, count })) => {
            let at_least = if count >= MOST { "at least " } else { "" };
            Some(format!("{at_least}{count} objects such as {first}").into())
        }
        Err(error) => Some(format!("what can't be listed: {}", error.describe(true)).into()),
    }
}

async fn of_namespace(
    cluster: &Cluster,
    kinds: &Kinds,
    namespace: &str,
    ours: Ours<'_>,
) -> Result<Option<Contents>, ClusterError> {
    let mut wanted: Vec<&ApiKind> = kinds
        .namespaced()
        .filter(|kind| kind.watchable && !is_of_the_cluster(kind))
        .collect();
    wanted.sort_by_key(|kind| (&kind.group, &kind.kind));
    let mut found = None;
    for kind in wanted {
        match of_kind(cluster, kind, namespace, ours, &mut found).await {
            // This applier may not list it, or the kind went away a moment ago.
            Err(error) if matches!(error.code(), Some(403 | 404 | 405 | 410)) => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        if found.as_ref().is_some_and(|found| found.count >= MOST) {
            break;
        }
    }
    Ok(found)
}

/// Adds what is there of one kind.
async fn of_kind(
    cluster: &Cluster,
    kind: &ApiKind,
    namespace: &str,
    ours: Ours<'_>,
    found: &mut Option<Contents>,
) -> Result<Option<Contents>, ClusterError> {
    let mut token: Option<String> = None;
    for _ in 0..PAGES {
        let (objects, next) = cluster
            .metadata_page(kind, namespace, token.as_deref())
            .await?;
        for key in objects
            .iter()
            .filter_map(|object| other(object, kind, ours))
        {
            match found {
                Some(found) => found.count += 1,
                None => {
                    *found = Some(Contents {
                        first: key,
                        count: 1,
                    });
                }
            }
        }
        token = next;
        if token.is_none() || found.as_ref().is_some_and(|found| found.count >= MOST) {
            break;
        }
    }
    Ok(found.clone())
}

/// The object's identity, if it would only go because of what holds it.
fn other(object: &Value, kind: &ApiKind, ours: Ours<'_>) -> Option<Key> {
    let metadata = &object["metadata"];
    let has_owner = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty());
    if has_owner {
        return None;
    }
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let name = metadata["name"].as_str()?;
    let key = Key::new(&kind.group, &kind.kind, namespace, name);
    if is_of_every_namespace(&key) {
        return None;
    }
    let owner = Owner {
        hash: ours.hash,
        tracking: ours.tracking,
    };
    let claimed = Entry::of(object, &ours.tracking.label_key)
        .is_some_and(|entry| owner.claim(&key, &entry) == Claim::Ours);
    (!(claimed && (ours.goes)(&key))).then_some(key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(metadata: &Value) -> Option<Key> {
        let tracking = Tracking {
            method: api::TrackingMethod::Annotation,
            label_key: "app.kubernetes.io/instance".to_owned(),
            instance: "web".to_owned(),
        };
        let kind = ApiKind::core("ConfigMap", "configmaps", true);
        let mut object = json!({ "metadata": metadata });
        object["metadata"]["namespace"] = "shop".into();
        object["metadata"]["uid"] = "u".into();
        object["metadata"]["resourceVersion"] = "1".into();
        let ours = Ours {
            hash: "h",
            tracking: &tracking,
            goes: &|key| &*key.name != "stays",
        };
        other(&object, &kind, ours)
    }

    fn tracked(name: &str) -> Value {
        let id = format!("web:/ConfigMap:shop/{name}");
        json!({"name": name, "annotations": {"argocd.argoproj.io/tracking-id": id}})
    }

    #[test]
    fn what_goes_anyway_is_nothing_to_be_warned_of() {
        assert_eq!(found(&tracked("goes")), None);
        assert_eq!(found(&json!({"name": "kube-root-ca.crt"})), None);
        assert_eq!(
            found(&json!({"name": "child", "ownerReferences": [{"uid": "p"}]})),
            None
        );
    }

    #[test]
    fn what_is_others_or_is_to_stay_would_go_along() {
        let key = |name| Some(Key::new("", "ConfigMap", "shop", name));
        assert_eq!(found(&json!({"name": "hand-made"})), key("hand-made"));
        assert_eq!(found(&tracked("stays")), key("stays"));
    }
}
