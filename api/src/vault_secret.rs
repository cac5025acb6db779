//! `VaultSecret` of vault-secrets-operator (`ricoberger.de/v1alpha1`), as far as it says what is in the Secret that it stands for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::placeholder::{PathForm, SecretReference};

pub const GROUP: &str = "ricoberger.de";
pub const KIND: &str = "VaultSecret";

/// Where the data of a Secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VaultSecret {
    /// Short paths; of a key that several have, the first one counts. Never empty.
    pub paths: Vec<String>,
    /// Empty for all of them. One that no path has is left out.
    pub keys: BTreeSet<String>,
    /// None for the newest.
    pub version: Option<u64>,
    pub content: Content,
}

/// What the texts at its paths are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Content {
    Text,
    /// `isBinary`: the bytes of the Secret's data in base64.
    Base64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultSecretError {
    #[error("its spec can't be read: {0}")]
    Unreadable(String),
    #[error("it has neither path nor paths")]
    NoPath,
    #[error("secretEngine {0:?} is not supported, only kv is")]
    Engine(String),
    #[error("templates are not supported: write a Secret with placeholders instead")]
    Templates,
    #[error(
        "vaultNamespace is not supported: the secrets-agent reads one namespace of Vault, see its --vault-namespace"
    )]
    Namespace,
    #[error("reconcileStrategy {0:?} is neither Replace nor Merge")]
    Strategy(String),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    path: String,
    paths: Vec<String>,
    keys: Option<BTreeSet<String>>,
    #[serde(rename = "type")]
    kind: String,
    version: u64,
    is_binary: bool,
    templates: Option<serde_json::Map<String, Value>>,
    secret_engine: String,
    vault_namespace: String,
    reconcile_strategy: String,
}

/// Whether an object is one.
pub fn is_vault_secret(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    object["kind"] == KIND
        && version
            .strip_prefix(GROUP)
            .is_some_and(|rest| rest.starts_with('/'))
}

impl VaultSecret {
    /// Takes a `VaultSecret` apart: into the Secret that stands in its place, still without data, and where that data comes from.
    ///
    /// # Errors
    /// If it asks for what only the operator can do.
    pub fn take(mut object: Value) -> Result<(Value, Self), VaultSecretError> {
        let spec: Spec = match object["spec"].take() {
            Value::Null => Spec::default(),
            spec => serde_json::from_value(spec)
                .map_err(|error| VaultSecretError::Unreadable(error.to_string()))?,
        };
        if !matches!(spec.secret_engine.as_str(), "" | "kv") {
            return Err(VaultSecretError::Engine(spec.secret_engine));
        }
        if !matches!(spec.reconcile_strategy.as_str(), "" | "Replace" | "Merge") {
            return Err(VaultSecretError::Strategy(spec.reconcile_strategy));
        }
        if !spec.vault_namespace.is_empty() {
            return Err(VaultSecretError::Namespace);
        }
        if spec
            .templates
            .is_some_and(|templates| !templates.is_empty())
        {
            return Err(VaultSecretError::Templates);
        }
        let paths: Vec<String> = std::iter::once(spec.path)
            .chain(spec.paths)
            .filter(|path| !path.is_empty())
            .collect();
        if paths.is_empty() {
            return Err(VaultSecretError::NoPath);
        }
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret"});
        let metadata = &object["metadata"];
        for field in ["name", "generateName", "namespace", "labels", "annotations"] {
            if let Some(value) = metadata.get(field) {
                secret["metadata"][field] = value.clone();
            }
        }
        if !spec.kind.is_empty() {
            secret["type"] = spec.kind.into();
        }
        let source = Self {
            paths,
            keys: spec.keys.unwrap_or_default(),
            version: (spec.version > 0).then_some(spec.version),
            content: if spec.is_binary {
                Content::Base64
            } else {
                Content::Text
            },
        };
        Ok((secret, source))
    }

    /// What is asked for at one of its paths, in the order of its keys; all keys at once where it names none.
    pub fn references<'a>(&'a self, path: &'a str) -> impl Iterator<Item = SecretReference> + 'a {
        let all = self.keys.is_empty().then_some("");
        let keys = self.keys.iter().map(String::as_str);
        all.into_iter().chain(keys).map(|key| SecretReference {
            path: path.to_owned(),
            key: key.to_owned(),
            version: self.version.map(|version| version.to_string()),
            optional: true,
            form: PathForm::Short,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(spec: &Value) -> Result<(Value, VaultSecret), VaultSecretError> {
        let object = json!({"apiVersion": "ricoberger.de/v1alpha1", "kind": "VaultSecret", "spec": spec, "status": {"conditions": []},
            "metadata": {"name": "a", "namespace": "n", "labels": {"x": "y"}, "finalizers": ["f"], "ownerReferences": []}});
        assert!(is_vault_secret(&object));
        VaultSecret::take(object)
    }

    #[test]
    fn the_secret_has_its_name_labels_and_type() {
        let (secret, source) =
            take(&json!({"path": "secret/phalanx/argocd", "type": "Opaque"})).unwrap();
        assert_eq!(
            secret,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"name": "a", "namespace": "n", "labels": {"x": "y"}}})
        );
        assert_eq!(source.paths, ["secret/phalanx/argocd"]);
        let references: Vec<_> = source.references("secret/phalanx/argocd").collect();
        assert_eq!(references.len(), 1);
        assert_eq!(references[0].to_string(), "secret/phalanx/argocd#*");
    }

    #[test]
    fn keys_version_and_several_paths_are_taken() {
        let (_, source) = take(&json!({"path": "kv/a", "paths": ["kv/b"], "keys": ["y", "x", "y"], "version": 2, "isBinary": true, "type": "Opaque",
            "reconcileStrategy": "Merge", "secretEngine": "kv", "vaultRole": "r"}))
        .unwrap();
        assert_eq!(source.paths, ["kv/a", "kv/b"]);
        assert_eq!(source.content, Content::Base64);
        let names: Vec<_> = source
            .references("kv/b")
            .map(|reference| reference.to_string())
            .collect();
        assert_eq!(names, ["kv/b#x#2", "kv/b#y#2"]);
    }

    #[test]
    fn what_only_the_operator_can_do_is_refused_by_name() {
        for (spec, said) in [
            (json!({}), "path"),
            (json!(null), "path"),
            (json!({"path": "pki", "secretEngine": "pki"}), "pki"),
            (
                json!({"path": "a/b", "templates": {"x": "{% .Secrets.y %}"}}),
                "templates",
            ),
            (
                json!({"path": "a/b", "vaultNamespace": "team"}),
                "vaultNamespace",
            ),
            (json!({"path": "a/b", "reconcileStrategy": "Keep"}), "Keep"),
            (json!({"path": ["a"]}), "read"),
            (json!("a"), "read"),
        ] {
            let error = take(&spec).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn other_kinds_of_that_name_are_not_it() {
        for version in ["ricoberger.dev/v1", "v1", "ricoberger.de"] {
            assert!(!is_vault_secret(
                &json!({"apiVersion": version, "kind": "VaultSecret"})
            ));
        }
    }
}
