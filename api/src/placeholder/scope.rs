//! Which texts of an object are placeholders, as argocd-vault-plugin's annotations on it say.

use serde_json::Value;

/// Of the annotations that say what placeholders mean.
pub const PREFIX: &str = "avp.kubernetes.io/";
/// The path that `<key>` is a key of.
const PATH: &str = "avp.kubernetes.io/path";
/// Which version of that path; of inline paths only their own `#version` counts.
const SECRET_VERSION: &str = "avp.kubernetes.io/secret-version";
/// Nothing of the object is a placeholder.
const IGNORE: &str = "avp.kubernetes.io/ignore";
/// A field whose key the path lacks is left out, of a Secret or a ConfigMap.
const REMOVE_MISSING: &str = "avp.kubernetes.io/remove-missing";

/// What counts as a placeholder in one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Of `<key>`; none means that only inline paths count.
    pub(super) generic: Option<Generic>,
    pub(super) ignored: bool,
    /// A key that isn't there removes its field, instead of failing.
    pub(super) optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generic {
    pub(super) path: String,
    pub(super) version: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the annotation {REMOVE_MISSING} is for Secrets and ConfigMaps only, and this is a {kind}")]
pub struct ScopeError {
    kind: String,
}

impl Scope {
    /// Of an object with these annotations.
    ///
    /// # Errors
    /// If fields are to be left out of an object that isn't a Secret or a ConfigMap.
    pub fn of(object: &Value) -> Result<Self, ScopeError> {
        let annotation = |name: &str| {
            object
                .pointer("/metadata/annotations")
                .and_then(|annotations| annotations.get(name))
                .and_then(Value::as_str)
        };
        let kind = object["kind"].as_str().unwrap_or_default();
        if annotation(IGNORE).is_some_and(is_true) || is_handed_on(object, kind) {
            return Ok(Self {
                ignored: true,
                ..Self::default()
            });
        }
        let optional = annotation(REMOVE_MISSING).is_some_and(is_true);
        if optional && !matches!(kind, "Secret" | "ConfigMap") {
            return Err(ScopeError {
                kind: kind.to_owned(),
            });
        }
        let set = |name: &str| annotation(name).map(str::trim).filter(|it| !it.is_empty());
        Ok(Self {
            generic: set(PATH).map(|path| Generic {
                path: path.to_owned(),
                version: set(SECRET_VERSION).map(str::to_owned),
            }),
            ignored: false,
            optional,
        })
    }

    /// Whether a text may hold a placeholder; cheap, and true too often.
    pub fn may_hold(&self, text: &str) -> bool {
        !self.ignored
            && match self.generic {
                Some(_) => text.contains('<'),
                None => text.contains(super::OPEN) || text.contains(super::OPEN_CIPHERTEXT),
            }
    }
}

/// Whether it holds placeholders only for the objects that it brings: a value in an Application would be desired state, which every
/// service reads.
fn is_handed_on(object: &Value, kind: &str) -> bool {
    let group = object["apiVersion"]
        .as_str()
        .and_then(|version| version.split_once('/'));
    group.is_some_and(|(group, _)| group == crate::GROUP)
        && matches!(kind, "Application" | "ApplicationSet" | "AppProject")
}

/// What Go's `strconv.ParseBool` takes for true.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(kind: &str, annotations: &Value) -> Result<Scope, ScopeError> {
        Scope::of(&json!({"kind": kind, "metadata": {"annotations": annotations}}))
    }

    #[test]
    fn without_annotations_only_inline_paths_count() {
        let scope = Scope::of(&json!({"kind": "Secret"})).unwrap();
        assert_eq!(scope, Scope::default());
        assert!(scope.may_hold("x <path:a#b>"));
        assert!(scope.may_hold("x <vault:transit/decrypt/a#vault:v1:b>"));
        assert!(!scope.may_hold("<b>"));
    }

    #[test]
    fn with_a_path_every_pair_of_brackets_counts() {
        let scope = of(
            "Deployment",
            &json!({PATH: "kv/data/a", SECRET_VERSION: "2"}),
        )
        .unwrap();
        assert!(scope.may_hold("<b>"));
        assert_eq!(scope.generic.unwrap().version.as_deref(), Some("2"));
    }

    #[test]
    fn an_ignored_object_has_no_placeholder() {
        let scope = of("Secret", &json!({PATH: "kv/data/a", IGNORE: "true"})).unwrap();
        assert!(!scope.may_hold("<path:a#b>"));
        assert!(
            of("Secret", &json!({IGNORE: "yes"}))
                .unwrap()
                .may_hold("<path:a#b>")
        );
    }

    #[test]
    fn fields_are_left_out_of_secrets_and_config_maps_only() {
        assert!(
            of("ConfigMap", &json!({REMOVE_MISSING: "1"}))
                .unwrap()
                .optional
        );
        assert!(of("Deployment", &json!({REMOVE_MISSING: "true"})).is_err());
        assert!(of("Deployment", &json!({REMOVE_MISSING: "no"})).is_ok());
    }
}
