//! What server-side apply refuses, applied as a merge patch of what differs.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::cluster::{ApiKind, Cluster, ClusterError, Content, PatchForm};
use crate::object::Key;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Creates the object, or patches it; what the last apply had and this one lacks goes. With `sensitive`, nothing is remembered in
/// the object's annotation, and a field that Git drops stays.
pub(super) async fn apply(
    cluster: &Cluster,
    kind: &ApiKind,
    key: &Key,
    body: &Content,
    sensitive: bool,
) -> Result<Value, ClusterError> {
    let mut wanted: Value = serde_json::from_slice(body).map_err(ClusterError::Unreadable)?;
    if !sensitive {
        let text = wanted.to_string();
        wanted["metadata"]["annotations"][LAST_APPLIED] = text.into();
    }
    let Some(live) = cluster.get_whole(kind, key).await? else {
        return cluster.create(kind, key, write(&wanted)?).await;
    };
    let last: Value = live["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_else(|| json!({}));
    match difference(&last, &wanted, &live) {
        Some(patch) => {
            cluster
                .patch(kind, key, PatchForm::Merge, write(&patch)?)
                .await
        }
        None => Ok(live),
    }
}

fn write(value: &Value) -> Result<Content, ClusterError> {
    serde_json::to_vec(value)
        .map(Zeroizing::new)
        .map_err(ClusterError::Unreadable)
}

/// A merge patch that makes `live` hold what `wanted` says, without what only `last` said; none when it does already.
fn difference(last: &Value, wanted: &Value, live: &Value) -> Option<Value> {
    let (Some(wanted_fields), Some(live_fields)) = (wanted.as_object(), live.as_object()) else {
        return (wanted != live).then(|| wanted.clone());
    };
    let mut patch = Map::new();
    for (field, value) in wanted_fields {
        match live_fields.get(field) {
            Some(now) => {
                if let Some(below) = difference(last.get(field).unwrap_or(&Value::Null), value, now)
                {
                    patch.insert(field.clone(), below);
                }
            }
            None => {
                patch.insert(field.clone(), value.clone());
            }
        }
    }
    for field in last.as_object().into_iter().flat_map(Map::keys) {
        if !wanted_fields.contains_key(field) && live_fields.contains_key(field) {
            patch.insert(field.clone(), Value::Null);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_patched_and_what_was_dropped_goes() {
        let last = json!({"spec": {"a": 1, "gone": 2}});
        let wanted = json!({"spec": {"a": 5, "new": 3}});
        let live = json!({"spec": {"a": 1, "gone": 2, "theirs": 4}, "status": {}});
        assert_eq!(
            difference(&last, &wanted, &live),
            Some(json!({"spec": {"a": 5, "new": 3, "gone": null}}))
        );
    }

    #[test]
    fn an_object_as_it_should_be_costs_no_patch() {
        let wanted = json!({"spec": {"list": [1, 2]}});
        assert_eq!(
            difference(
                &json!({}),
                &wanted,
                &json!({"spec": {"list": [1, 2], "x": 1}})
            ),
            None
        );
    }
}
