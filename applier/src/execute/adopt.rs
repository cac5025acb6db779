//! Taking over objects that others applied before: their fields become our manager's, so that one that Git drops later goes.

use serde_json::{Map, Value, json};

use crate::cluster::MANAGER;

/// Field managers whose place we take. Others (controllers, people) keep what they own.
const PREDECESSORS: [&str; 9] = [
    "kubectl-client-side-apply",
    "kubectl",
    "argocd-controller",
    "argocd-application-controller",
    "helm",
    "helm-controller",
    "kustomize-controller",
    "flux",
    "before-first-apply",
];

/// A JSON patch that moves the fields of known predecessors to us, guarded by the resource version; none when there is nothing
/// to move.
pub(super) fn migration(live: &Value) -> Option<(Value, Vec<String>)> {
    let metadata = live.get("metadata")?;
    let entries = metadata.get("managedFields")?.as_array()?;
    let version = metadata.get("resourceVersion")?;
    let (theirs, mut kept): (Vec<Value>, Vec<Value>) =
        entries.iter().cloned().partition(is_predecessor);
    if theirs.is_empty() {
        return None;
    }
    let mut names: Vec<String> = theirs
        .iter()
        .filter_map(|entry| entry["manager"].as_str())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    let at = kept.iter().position(is_ours);
    let mut ours = match at {
        Some(at) => kept.remove(at),
        None => json!({
            "manager": MANAGER, "operation": "Apply", "apiVersion": theirs[0]["apiVersion"], "fieldsType": "FieldsV1",
            "time": theirs[0]["time"], "fieldsV1": {},
        }),
    };
    for entry in &theirs {
        union(&mut ours["fieldsV1"], &entry["fieldsV1"]);
    }
    kept.push(ours);
    let patch = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]);
    Some((patch, names))
}

/// Managers that owned a field before our apply and own less after it.
pub(super) fn overridden(before: &Value, after: &Value) -> Vec<String> {
    let entries = |object: &Value| {
        object["metadata"]["managedFields"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let after = entries(after);
    let mut names: Vec<String> = entries(before)
        .iter()
        .filter(|entry| {
            entry["manager"] != MANAGER
                && entry["subresource"].as_str().unwrap_or_default().is_empty()
        })
        .filter(|entry| {
            let same = after.iter().find(|now| {
                now["manager"] == entry["manager"]
                    && now["operation"] == entry["operation"]
                    && now["subresource"] == entry["subresource"]
            });
            same.is_none_or(|now| now["fieldsV1"] != entry["fieldsV1"])
        })
        .filter_map(|entry| entry["manager"].as_str())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn is_ours(entry: &Value) -> bool {
    entry["manager"] == MANAGER
        && entry["operation"] == "Apply"
        && entry["subresource"].as_str().unwrap_or_default().is_empty()
}

fn is_predecessor(entry: &Value) -> bool {
    let manager = entry["manager"].as_str().unwrap_or_default();
    let subresource = entry["subresource"].as_str().unwrap_or_default();
    // kubectl edit, scale and label are people, as `kubectl-edit` and so on; plain `kubectl` only by server-side apply.
    let by_kubectl = manager != "kubectl" || entry["operation"] == "Apply";
    subresource.is_empty() && by_kubectl && PREDECESSORS.contains(&manager)
}

/// All fields of both.
fn union(into: &mut Value, from: &Value) {
    let Some(from) = from.as_object() else { return };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Some(fields) = into.as_object_mut() else {
        return;
    };
    for (field, below) in from {
        match fields.get_mut(field) {
            Some(known) => union(known, below),
            None => {
                fields.insert(field.clone(), below.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(entries: &Value) -> Value {
        json!({"metadata": {"resourceVersion": "7", "managedFields": entries}})
    }

    #[test]
    fn fields_of_kubectl_and_helm_become_ours_in_one_entry() {
        let object = live(&json!([
            {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
             "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "helm", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:b": {}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
        ]));
        let (patch, names) = migration(&object).unwrap();
        assert_eq!(names, ["helm", "kubectl-client-side-apply"]);
        let entries = patch[0]["value"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[1]["fieldsV1"],
            json!({"f:data": {"f:a": {}, "f:b": {}}})
        );
        assert_eq!(patch[1]["value"], "7");
    }

    #[test]
    fn people_and_controllers_keep_what_they_own() {
        let object = live(&json!([
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {}}},
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "subresource": "status", "fieldsV1": {}},
        ]));
        assert_eq!(migration(&object), None);
    }

    #[test]
    fn who_lost_a_field_to_us_is_named() {
        let before = live(&json!([
            {"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "other", "operation": "Update", "fieldsV1": {"f:data": {}}},
        ]));
        let after =
            live(&json!([{"manager": "other", "operation": "Update", "fieldsV1": {"f:data": {}}}]));
        assert_eq!(overridden(&before, &after), ["hpa"]);
    }
}
