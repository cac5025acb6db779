//! The three-way merge of a client-side apply, as `kubectl` makes it: what the last apply had and this one lacks goes, what others
//! added stays. Lists whose items have a name of their own are merged item by item in Kubernetes' own kinds. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// By a list's field: the field that tells its items apart (`patchMergeKey` in Kubernetes' types).
const KEYS: [(&str, &[&str]); 19] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("env", &["name"]),
    ("ports", &["containerPort", "port"]),
    ("volumes", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("imagePullSecrets", &["name"]),
    ("secrets", &["name"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey"]),
    ("resourceClaims", &["name"]),
    ("ownerReferences", &["uid"]),
    ("webhooks", &["name"]),
    ("validations", &["expression"]),
    ("matchConditions", &["name"]),
    ("taints", &["key"]),
    ("addresses", &["type"]),
];

/// A merge patch that makes `live` hold what `wanted` says, without what only `last` said; none when it does already. A part of
/// `live` that isn't known is null: the patch then says all of `wanted`. `keyed`: whether items of lists are told apart.
pub(super) fn patch(last: &Value, wanted: &Value, live: &Value, keyed: bool) -> Option<Value> {
    let Some(wanted_fields) = wanted.as_object() else {
        return (wanted != live).then(|| wanted.clone());
    };
    let unknown = live.is_null();
    if !unknown && !live.is_object() {
        return Some(wanted.clone());
    }
    let mut patch = Map::new();
    for (field, value) in wanted_fields.iter().filter(|(_, value)| !value.is_null()) {
        let Some(now) = live.get(field) else {
            patch.insert(field.clone(), value.clone());
            continue;
        };
        let before = last.get(field).unwrap_or(&Value::Null);
        let below = match (value, now) {
            (Value::Array(wanted), Value::Array(live)) if keyed => {
                let merged = list(field, before, wanted, live);
                (merged != *live).then_some(Value::Array(merged))
            }
            _ => self::patch(before, value, now, keyed),
        };
        if let Some(below) = below {
            patch.insert(field.clone(), below);
        }
    }
    for field in last.as_object().into_iter().flat_map(Map::keys) {
        let goes = wanted_fields.get(field).is_none_or(Value::is_null);
        if goes && (unknown || live.get(field).is_some()) {
            patch.insert(field.clone(), Value::Null);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The items wanted, each merged into the live one of its key, then those of others.
fn list(field: &str, last: &Value, wanted: &[Value], live: &[Value]) -> Vec<Value> {
    let Some(key) = key(field, wanted, live) else {
        return wanted.to_vec();
    };
    let of = |items: &[Value], value: &Value| {
        items
            .iter()
            .find(|item| item.get(key) == value.get(key))
            .cloned()
    };
    let before: &[Value] = last.as_array().map_or(&[], Vec::as_slice);
    let mut merged: Vec<Value> = wanted
        .iter()
        .map(|item| {
            let Some(mut now) = of(live, item) else {
                return item.clone();
            };
            let before = of(before, item).unwrap_or(Value::Null);
            if let Some(patch) = patch(&before, item, &now, true) {
                apply(&mut now, patch);
            }
            now
        })
        .collect();
    let others = live
        .iter()
        .filter(|item| of(wanted, item).is_none() && of(before, item).is_none());
    merged.extend(others.cloned());
    merged
}

/// The field that tells the items of both lists apart; none where one doesn't.
fn key(field: &str, wanted: &[Value], live: &[Value]) -> Option<&'static str> {
    let (_, keys) = KEYS.iter().find(|(known, _)| *known == field)?;
    let tells_apart = |key: &str, items: &[Value]| {
        let values: Option<BTreeSet<String>> = items
            .iter()
            .map(|item| item.get(key).map(Value::to_string))
            .collect();
        values.is_some_and(|values| values.len() == items.len())
    };
    keys.iter()
        .find(|key| tells_apart(key, wanted) && tells_apart(key, live))
        .copied()
}

/// A merge patch, as RFC 7396 has it.
fn apply(value: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *value = patch;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    for (field, change) in patch {
        if change.is_null() {
            fields.remove(&field);
        } else {
            apply(fields.entry(field).or_insert(Value::Null), change);
        }
    }
}

/// The fields that a manager owns, as far as maps go: what its last write had, where that isn't remembered.
pub(super) fn owned(live: &Value, manager: &str) -> Value {
    let mut owned = Value::Null;
    let entries = live["metadata"]["managedFields"].as_array();
    for entry in entries.into_iter().flatten() {
        let whole = entry["subresource"].as_str().unwrap_or_default().is_empty();
        if entry["manager"] == manager && whole {
            names(&entry["fieldsV1"], &mut owned);
        }
    }
    owned
}

fn names(set: &Value, into: &mut Value) {
    for (field, below) in set.as_object().into_iter().flatten() {
        let Some(name) = field.strip_prefix("f:") else {
            continue;
        };
        if !into.is_object() {
            *into = Value::Object(Map::new());
        }
        if let Some(fields) = into.as_object_mut() {
            names(below, fields.entry(name.to_owned()).or_insert(Value::Null));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(last: &Value, wanted: &Value, live: &Value) -> Value {
        let mut live = live.clone();
        if let Some(patch) = patch(last, wanted, &live.clone(), true) {
            apply(&mut live, patch);
        }
        live
    }

    #[test]
    fn only_what_differs_is_patched_and_what_was_dropped_goes() {
        let last = json!({"spec": {"a": 1, "gone": 2}});
        let wanted = json!({"spec": {"a": 5, "new": 3}});
        let live = json!({"spec": {"a": 1, "gone": 2, "theirs": 4}, "status": {}});
        assert_eq!(
            patch(&last, &wanted, &live, true),
            Some(json!({"spec": {"a": 5, "new": 3, "gone": null}}))
        );
    }

    #[test]
    fn an_object_as_it_should_be_costs_no_patch() {
        let wanted = json!({"spec": {"list": [1, 2], "none": null}});
        let live = json!({"spec": {"list": [1, 2], "x": 1}});
        assert_eq!(patch(&json!({}), &wanted, &live, true), None);
    }

    #[test]
    fn a_container_that_others_put_in_stays_and_one_that_git_dropped_goes() {
        let containers = |list: Value| json!({"spec": {"containers": list}});
        let live = containers(json!([
            {"name": "web", "image": "a:1", "imagePullPolicy": "IfNotPresent"},
            {"name": "old", "image": "b"},
            {"name": "sidecar", "image": "proxy"},
        ]));
        let last =
            containers(json!([{"name": "web", "image": "a:1"}, {"name": "old", "image": "b"}]));
        let wanted = containers(json!([{"name": "web", "image": "a:2"}]));
        assert_eq!(
            merged(&last, &wanted, &live),
            containers(json!([
                {"name": "web", "image": "a:2", "imagePullPolicy": "IfNotPresent"},
                {"name": "sidecar", "image": "proxy"},
            ]))
        );
    }

    #[test]
    fn items_that_their_key_does_not_tell_apart_are_written_as_they_are() {
        let ports = |list: Value| json!({"ports": list});
        let wanted = ports(
            json!([{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]),
        );
        let live = ports(json!([{"containerPort": 53, "protocol": "TCP"}]));
        assert_eq!(merged(&json!({}), &wanted, &live), wanted);
    }

    #[test]
    fn lists_of_other_kinds_are_one_value() {
        let live = json!({"containers": [{"name": "a"}, {"name": "theirs"}]});
        let wanted = json!({"containers": [{"name": "a"}]});
        assert_eq!(
            patch(&json!({}), &wanted, &live, false),
            Some(json!({"containers": [{"name": "a"}]}))
        );
    }

    #[test]
    fn what_cannot_be_seen_is_written_whole_and_what_was_ours_goes() {
        let live = json!({"data": null, "metadata": {"name": "s", "managedFields": [
            {"manager": "towline", "operation": "Update", "fieldsV1": {"f:data": {".": {}, "f:kept": {}, "f:gone": {}}}},
            {"manager": "other", "operation": "Update", "fieldsV1": {"f:data": {"f:theirs": {}}}},
        ]}});
        let wanted = json!({"metadata": {"name": "s"}, "data": {"kept": "eA=="}});
        assert_eq!(
            patch(&owned(&live, "towline"), &wanted, &live, true),
            Some(json!({"data": {"kept": "eA==", "gone": null}}))
        );
    }
}
