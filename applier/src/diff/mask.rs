//! Values of secrets are masked before anything is said of an object. Pure.

use serde_json::Value;

use crate::object::Key;
use crate::secrets::places::Pattern;

/// What of an object is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Masking {
    /// These places.
    Places(Vec<Pattern>),
    /// Every value, since it isn't known any more where it has secrets.
    Everything,
}

impl Masking {
    /// What is secret in every object of this kind. `annotations`: those of Secrets that argocd-cm names.
    pub(crate) fn of_kind(key: &Key, annotations: &[&str]) -> Self {
        if !key.is_secret() {
            return Self::Places(Vec::new());
        }
        let named = annotations
            .iter()
            .map(|name| Pattern::field(&["metadata", "annotations", name]));
        let data = ["data", "stringData"].map(|name| Pattern::field(&[name]));
        Self::Places(data.into_iter().chain(named).collect())
    }

    pub(crate) fn add(&mut self, more: Vec<Pattern>) {
        if let Self::Places(places) = self {
            places.extend(more);
        }
    }

    fn covers(&self, place: &[Option<&str>]) -> bool {
        match self {
            Self::Places(places) => places.iter().any(|pattern| pattern.covers(place)),
            Self::Everything => !matches!(
                place,
                [Some("apiVersion" | "kind")] | [Some("metadata"), Some("name" | "namespace")]
            ),
        }
    }
}

/// Masks what is to be masked. `digest` tells values apart without telling them: the same mask is the same value of the same place.
pub(crate) fn mask(object: &mut Value, masking: &Masking, digest: &impl Fn(&str) -> String) {
    walk(object, &mut Vec::new(), masking, digest);
}

fn walk<'v>(
    value: &'v mut Value,
    place: &mut Vec<Option<&'v str>>,
    masking: &Masking,
    digest: &impl Fn(&str) -> String,
) {
    match value {
        Value::Array(items) => {
            for item in items {
                place.push(None);
                walk(item, place, masking, digest);
                place.pop();
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                place.push(Some(name.as_str()));
                walk(field, place, masking, digest);
                place.pop();
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            if masking.covers(place) {
                let text = zeroize::Zeroizing::new(format!("{place:?}{value}"));
                *value = format!("<secret {}>", digest(&text)).into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::secrets::places;

    fn masked(mut object: Value, masking: &Masking) -> Value {
        mask(&mut object, masking, &|text| text.len().to_string());
        object
    }

    #[test]
    fn a_placeholders_value_is_masked_in_every_item_of_its_list_and_nothing_else_is() {
        let manifest = json!({"kind": "Deployment", "spec": {"env": [{"name": "A", "value": "<path:kv/data/a#b>"}], "x": 1}});
        let masking = Masking::Places(places::of(&manifest));
        let live = json!({"kind": "Deployment", "spec": {"env": [{"name": "B", "value": "hunter2"}, {"name": "A", "value": {"deep": ["hunter2", 7]}}], "x": 1}});
        let shown = masked(live, &masking);
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
        assert_ne!(shown["spec"]["env"][1]["value"]["deep"][1], 7);
        assert_eq!(shown["spec"]["env"][1]["name"], "A");
        assert_eq!(shown["spec"]["x"], 1);
    }

    #[test]
    fn all_data_of_a_secret_is_masked_and_its_named_annotations() {
        let masking = Masking::of_kind(&Key::new("", "Secret", "shop", "db"), &["token"]);
        let secret = json!({"kind": "Secret", "type": "Opaque", "data": {"a": "aHVudGVyMg=="}, "metadata": {"annotations": {"token": "hunter2", "note": "n"}}});
        let shown = masked(secret, &masking);
        assert!(
            !shown.to_string().contains("unter") && !shown.to_string().contains("aHVu"),
            "{shown}"
        );
        assert_eq!(shown["type"], "Opaque");
        assert_eq!(shown["metadata"]["annotations"]["note"], "n");
    }

    #[test]
    fn where_it_is_forgotten_what_is_secret_only_the_name_is_shown() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"l": "hunter2"}}, "data": {"a": "hunter2"}});
        let shown = masked(object, &Masking::Everything);
        assert!(!shown.to_string().contains("hunter2"));
        assert_eq!(shown["metadata"]["name"], "c");
    }

    #[test]
    fn an_object_whose_placeholders_cannot_be_told_is_masked_as_a_whole() {
        let masking = Masking::Places(vec![Pattern::field(&[])]);
        let shown = masked(json!({"data": {"a": "hunter2"}}), &masking);
        assert!(!shown.to_string().contains("hunter2"));
    }
}
