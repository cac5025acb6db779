//! Where in an object placeholders stand: in the data of a Secret, or where their values would be read by more people.

use api::placeholder::Scope;
use serde_json::Value;

use super::body::{decoded_placeholder, is_secret};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Placement {
    /// There are none.
    Nowhere,
    /// All of them are values of a Secret's `data` or `stringData`.
    SecretData,
    /// One is in a Secret's metadata, or in another kind.
    Elsewhere,
}

impl Placement {
    /// Of an object whose placeholders may be wrong: those count for what they were meant to be.
    pub(crate) fn of(object: &Value) -> Self {
        let Ok(scope) = Scope::of(object) else {
            return Self::Elsewhere;
        };
        let secret = is_secret(object);
        let Some(fields) = object.as_object() else {
            return Self::Nowhere;
        };
        let mut most = Self::Nowhere;
        for (name, field) in fields {
            let data = match (name.as_str(), field) {
                ("data" | "stringData", Value::Object(data)) if secret => data,
                _ => {
                    if holds(field, &scope) {
                        return Self::Elsewhere;
                    }
                    continue;
                }
            };
            let behind = |value: &Value| {
                name == "data"
                    && value
                        .as_str()
                        .is_some_and(|text| decoded_placeholder(text, &scope).is_some())
            };
            if data
                .values()
                .any(|value| holds(value, &scope) || behind(value))
            {
                most = Self::SecretData;
            }
        }
        most
    }
}

/// Whether a text at any depth is a placeholder, or begins like one. Names of fields are no texts.
fn holds(value: &Value, scope: &Scope) -> bool {
    match value {
        Value::String(text) => {
            scope.may_hold(text) && scope.find(text).map_or(true, |found| !found.is_empty())
        }
        Value::Array(items) => items.iter().any(|item| holds(item, scope)),
        Value::Object(fields) => fields.values().any(|field| holds(field, scope)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(object: &Value) -> Placement {
        Placement::of(object)
    }

    #[test]
    fn the_data_of_a_secret_is_where_placeholders_belong() {
        let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": data});
        assert_eq!(of(&secret(json!({"a": "YQ=="}))), Placement::Nowhere);
        assert_eq!(
            of(&secret(json!({"a": "<path:kv/a#b>"}))),
            Placement::SecretData
        );
        // base64 of `x <path:kv/a#b>`
        assert_eq!(
            of(&secret(json!({"a": "eCA8cGF0aDprdi9hI2I+"}))),
            Placement::SecretData
        );
        let strings =
            json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "u:<path:kv/a#b>"}});
        assert_eq!(of(&strings), Placement::SecretData);
        let generic = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"annotations": {"avp.kubernetes.io/path": "kv/a", "says": "a < b"}}, "stringData": {"a": "<b>"}});
        assert_eq!(of(&generic), Placement::SecretData);
    }

    #[test]
    fn everything_else_is_elsewhere() {
        let placeholder = "<path:kv/a#b>";
        for object in [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": placeholder}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"annotations": {"a": placeholder}}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"annotations": {"a": placeholder}}, "data": {"a": placeholder}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"labels": {"a": placeholder}}}),
            json!({"apiVersion": "v1", "kind": "Secret", "type": placeholder}),
            json!({"apiVersion": "example.org/v1", "kind": "Secret", "data": {"a": placeholder}}),
            json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {"containers": [{"command": ["sh", "-c", placeholder]}]}}}}),
            json!({"apiVersion": "example.org/v1", "kind": "Widget", "spec": {"deep": [[{"field": format!("x{placeholder}")}]]}}),
            json!({"apiVersion": "example.org/v1", "kind": "Widget", "status": {"message": placeholder}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"annotations": {"avp.kubernetes.io/path": "kv/a"}}, "data": {"a": "<b>"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "<path:unclosed"}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"annotations": {"avp.kubernetes.io/remove-missing": "true"}}}),
        ] {
            assert_eq!(of(&object), Placement::Elsewhere, "{object}");
        }
    }

    #[test]
    fn base64_means_something_in_a_secret_only() {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "PHBhdGg6a3YvYSNiPg=="}});
        assert_eq!(of(&object), Placement::Nowhere);
    }

    #[test]
    fn what_an_application_hands_on_is_not_its_own() {
        for kind in ["Application", "ApplicationSet", "AppProject"] {
            let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind,
                "spec": {"source": {"helm": {"values": "password: <path:kv/a#b>"}}}, "status": {"conditions": [{"message": "<path:kv/a#b>"}]}});
            assert_eq!(of(&object), Placement::Nowhere, "{kind}");
        }
        let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"a": "<path:kv/a#b>"}});
        assert_eq!(of(&rollout), Placement::Elsewhere);
    }
}
