//! What an object reads of secrets, told of a manifest alone: without a cluster, a project or a store.

use std::collections::BTreeSet;

use api::vault_secret::{VaultSecret, is_vault_secret};
use bus::message::secret::Reference;
use serde_json::Value;

use super::body;
use super::client::reference;
use super::placement::Placement;

/// References are as the secrets-agent would be asked; a `VaultSecret` is taken for the Secret that it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub references: BTreeSet<Reference>,
    /// What can't be read as a placeholder, or as a `VaultSecret`.
    pub problems: Vec<String>,
    /// Annotations that the project needs for it, and why.
    pub needs: Vec<String>,
}

impl Reads {
    pub fn of(object: Value) -> Self {
        let mut reads = Self::default();
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let group = object["apiVersion"]
            .as_str()
            .and_then(|version| version.split_once('/'))
            .map(|(group, _)| format!("{group}/"))
            .unwrap_or_default();
        let (object, source) = if is_vault_secret(&object) {
            reads.needs.push(format!(
                "{}: resolve, or the object is applied as it is",
                api::annotations::VAULT_SECRETS
            ));
            match VaultSecret::take(object) {
                Ok((secret, source)) => (secret, Some(source)),
                Err(error) => {
                    reads.problems.push(error.to_string());
                    return reads;
                }
            }
        } else {
            (object, None)
        };
        if Placement::of(&object) == Placement::Elsewhere {
            reads.needs.push(format!(
                "{}: {group}{kind}, since a placeholder stands outside of the data of a Secret",
                api::annotations::SECRET_KINDS
            ));
        }
        let mut wanted = BTreeSet::new();
        if let Err(error) = body::references(&object, source.as_ref(), &mut wanted) {
            reads.problems.push(error.to_string());
        }
        for wanted in wanted {
            match reference(&wanted) {
                Ok(reference) => drop(reads.references.insert(reference)),
                Err(error) => reads.problems.push(error.to_string()),
            }
        }
        reads
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(reads: &Reads) -> Vec<String> {
        reads.references.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_needs_no_more_than_its_paths() {
        let reads = Reads::of(json!({"apiVersion": "v1", "kind": "Secret",
            "data": {"a": "PHBhdGg6a3YvYSNiPg=="}, "stringData": {"c": "<path:kv/c#d#2>"}}));
        assert_eq!(names(&reads), ["kv/a#b", "kv/c#d#2"]);
        assert!(reads.problems.is_empty() && reads.needs.is_empty());
    }

    #[test]
    fn what_a_project_has_to_say_is_named_and_what_is_wrong_is_too() {
        let widget = Reads::of(
            json!({"apiVersion": "example.org/v1", "kind": "Widget", "spec": {"a": "<path:kv/a#b>"}}),
        );
        assert!(widget.needs[0].contains("secret-kinds: example.org/Widget"));
        let secret = Reads::of(
            json!({"apiVersion": "ricoberger.de/v1alpha1", "kind": "VaultSecret", "metadata": {"name": "a"}, "spec": {"path": "kv/a", "keys": ["x"]}}),
        );
        assert_eq!(names(&secret), ["kv/a#x"]);
        assert!(secret.needs[0].contains("vault-secrets: resolve"));
        let wrong = Reads::of(
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "<path:kv/a#b#three>", "b": "<path:kv/b>"}}),
        );
        assert_eq!(wrong.problems.len(), 2, "{:?}", wrong.problems);
    }
}
