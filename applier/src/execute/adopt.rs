//! Taking over objects that others applied before: their fields become our manager's, so that one that Git drops later goes.

use api::annotations;
use bus::message::desired::Present;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::cluster::{ApiKind, Cluster, ClusterError, MANAGER, PatchForm};
use crate::object::Manifest;

/// Field managers whose place we take. Others (controllers, people) keep what they own.
const PREDECESSORS: [&str; 12] = [
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-replace",
    "kubectl",
    "argocd-controller",
    "argocd-application-controller",
    "helm",
    "Helm",
    "helm-controller",
    "kustomize-controller",
    "flux",
    "before-first-apply",
];

/// What vault-secrets-operator is called, in its own image and elsewhere: our predecessor where an object is a `VaultSecret`'s. Left to
/// it, the object would go with that one.
const OPERATOR: [&str; 2] = ["manager", "vault-secrets-operator"];

/// How often an object that changes meanwhile is looked at anew.
const ATTEMPTS: usize = 10;

/// Whose fields become ours on first contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adoption {
    /// Not with `ClientSideApplyMigration=false`.
    migrates: bool,
    /// A manager that the application names beside the known ones.
    manager: Option<String>,
}

impl Adoption {
    pub(crate) fn of(present: &Present) -> Self {
        Self {
            migrates: present.spec.option("ClientSideApplyMigration") != Some("false"),
            manager: present
                .annotations
                .get(annotations::CLIENT_SIDE_APPLY_MIGRATION_MANAGER)
                .filter(|manager| !manager.is_empty())
                .cloned(),
        }
    }
}

/// Moves the fields of earlier managers to us, whatever else changes the object meanwhile. The managers' names.
pub(super) async fn take_over(
    cluster: &Cluster,
    kind: &ApiKind,
    manifest: &Manifest,
    live: &Value,
    adoption: &Adoption,
) -> Result<Vec<String>, ClusterError> {
    let key = &manifest.key;
    let mut changed: Option<Value> = None;
    let mut attempt = 1;
    loop {
        let live = changed.as_ref().unwrap_or(live);
        let Some((patch, names)) = migration(live, adoption) else {
            return Ok(Vec::new());
        };
        let body = Zeroizing::new(patch.to_string().into_bytes());
        match cluster.patch(kind, key, PatchForm::Json, body).await {
            Ok(_) => return Ok(names),
            Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                attempt += 1;
                match cluster.get(kind, key).await? {
                    Some(now) => changed = Some(now),
                    None => return Ok(Vec::new()),
                }
            }
            // Who may not patch it may not apply it either; a webhook that refuses it as it is may take it as it will be.
            Err(error) if matches!(error.code(), Some(400 | 422)) => {
                tracing::warn!(object = %key, error = %error.describe(manifest.is_sensitive()), "fields of earlier managers were not moved");
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        }
    }
}

/// A JSON patch that moves the fields of known predecessors to us, guarded by the resource version; none when there is nothing
/// to move.
fn migration(live: &Value, adoption: &Adoption) -> Option<(Value, Vec<String>)> {
    if !adoption.migrates {
        return None;
    }
    let metadata = live.get("metadata")?;
    let entries = metadata.get("managedFields")?.as_array()?;
    let version = metadata.get("resourceVersion")?;
    let ours = entries.iter().find(|entry| is_ours(entry));
    let by_operator = is_of_vault_secret(metadata);
    let is_predecessor = |entry: &Value| {
        let manager = entry["manager"].as_str().unwrap_or_default();
        is_predecessor(entry, adoption) || (by_operator && OPERATOR.contains(&manager))
    };
    // Sets of fields of two versions can't be joined; most objects know only one.
    let of_version = |entry: &Value| {
        let wanted = ours.or_else(|| entries.iter().find(|entry| is_predecessor(entry)));
        wanted.is_some_and(|wanted| wanted["apiVersion"] == entry["apiVersion"])
    };
    let (theirs, mut kept): (Vec<Value>, Vec<Value>) = entries
        .iter()
        .cloned()
        .partition(|entry| is_predecessor(entry) && of_version(entry));
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

fn is_of_vault_secret(metadata: &Value) -> bool {
    let owners = metadata["ownerReferences"].as_array();
    let mut owners = owners.into_iter().flatten();
    owners.any(api::vault_secret::is_vault_secret)
}

fn is_predecessor(entry: &Value, adoption: &Adoption) -> bool {
    let manager = entry["manager"].as_str().unwrap_or_default();
    let subresource = entry["subresource"].as_str().unwrap_or_default();
    // kubectl edit, scale and label are people, as `kubectl-edit` and so on; plain `kubectl` only by server-side apply.
    let by_kubectl = manager != "kubectl" || entry["operation"] == "Apply";
    let known = PREDECESSORS.contains(&manager) || adoption.manager.as_deref() == Some(manager);
    subresource.is_empty() && by_kubectl && known
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

    fn adoption() -> Adoption {
        Adoption {
            migrates: true,
            manager: None,
        }
    }

    #[test]
    fn a_manager_that_the_application_names_is_a_predecessor_and_none_is_without_migration() {
        let object = live(&json!([
            {"manager": "our-script", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:a": {}}}},
        ]));
        let named = |migrates| Adoption {
            migrates,
            manager: Some("our-script".to_owned()),
        };
        assert_eq!(migration(&object, &adoption()), None);
        assert_eq!(migration(&object, &named(true)).unwrap().1, ["our-script"]);
        assert_eq!(migration(&object, &named(false)), None);
    }

    #[test]
    fn fields_of_another_version_of_the_kind_stay_where_they_are() {
        let object = live(&json!([
            {"manager": "helm", "operation": "Update", "apiVersion": "autoscaling/v2", "fieldsV1": {"f:spec": {"f:metrics": {}}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "autoscaling/v1", "fieldsV1": {"f:spec": {}}},
        ]));
        assert_eq!(migration(&object, &adoption()).unwrap().1, ["helm"]);
    }

    #[test]
    fn fields_of_kubectl_and_helm_become_ours_in_one_entry() {
        let object = live(&json!([
            {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
             "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "helm", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:b": {}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
        ]));
        let (patch, names) = migration(&object, &adoption()).unwrap();
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
    fn what_an_operator_made_of_a_vault_secret_becomes_ours_with_its_owner() {
        let manager = json!([{"manager": "manager", "operation": "Update", "apiVersion": "v1",
            "fieldsV1": {"f:data": {"f:a": {}}, "f:metadata": {"f:ownerReferences": {}}}}]);
        let mut object = live(&manager);
        assert_eq!(migration(&object, &adoption()), None);
        object["metadata"]["ownerReferences"] = json!([{"apiVersion": "ricoberger.de/v1alpha1", "kind": "VaultSecret", "name": "a", "uid": "u", "controller": true}]);
        let (patch, names) = migration(&object, &adoption()).unwrap();
        assert_eq!(names, ["manager"]);
        assert_eq!(patch[0]["value"][0]["manager"], MANAGER);
        assert_eq!(
            patch[0]["value"][0]["fieldsV1"]["f:metadata"],
            json!({"f:ownerReferences": {}})
        );
    }

    #[test]
    fn people_and_controllers_keep_what_they_own() {
        let object = live(&json!([
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {}}},
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "subresource": "status", "fieldsV1": {}},
        ]));
        assert_eq!(migration(&object, &adoption()), None);
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
