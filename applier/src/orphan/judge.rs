//! Which orphans a project wants to hear of.

use api::glob;
use api::project::{AppProjectSpec, OrphanedResourceKey};

use super::Found;
use crate::object::Key;

/// So many are named.
const NAMED: usize = 10;

/// For a person; none where nothing is orphaned or the project doesn't want to be warned.
pub(crate) fn orphaned(found: &Found, project: &AppProjectSpec) -> Option<String> {
    let asked = project.orphaned_resources.as_ref()?;
    if asked.warn != Some(true) {
        return None;
    }
    let ignored = asked.ignore.as_deref().unwrap_or_default();
    let orphans: Vec<&Key> = found
        .objects
        .iter()
        .filter(|key| project.permits_namespace_resource(&key.group, &key.kind))
        .filter(|key| !is_of_every_namespace(key))
        .filter(|key| !ignored.iter().any(|item| ignores(item, key)))
        .collect();
    if orphans.is_empty() {
        return None;
    }
    let names: Vec<String> = orphans
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let more = if orphans.len() > NAMED || found.more {
        ", …"
    } else {
        ""
    };
    let at_least = if found.more { "at least " } else { "" };
    // Argo CD's words, and which.
    Some(format!(
        "Application has {at_least}{} orphaned resources: {}{more}",
        orphans.len(),
        names.join(", ")
    ))
}

/// What Kubernetes puts there by itself.
pub(crate) fn is_of_every_namespace(key: &Key) -> bool {
    match (&*key.group, &*key.kind, &*key.name) {
        ("", "Service", "kubernetes") => &*key.namespace == "default",
        ("", "ServiceAccount", "default") | ("", "ConfigMap", "kube-root-ca.crt") => true,
        _ => false,
    }
}

fn ignores(item: &OrphanedResourceKey, key: &Key) -> bool {
    let is = |pattern: Option<&str>, text: &str| {
        glob::matches(pattern.unwrap_or_default(), text, None) == Some(true)
    };
    let any_or =
        |pattern: Option<&str>, text: &str| pattern.is_none_or(str::is_empty) || is(pattern, text);
    // As in Argo CD: without a group it is the core group.
    any_or(item.kind.as_deref(), &key.kind)
        && is(item.group.as_deref(), &key.group)
        && any_or(item.name.as_deref(), &key.name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(orphaned_resources: &Value, keys: &[(&str, &str, &str)]) -> Option<String> {
        let spec = serde_json::from_value(json!({
            "orphanedResources": orphaned_resources,
            "namespaceResourceBlacklist": [{"group": "", "kind": "LimitRange"}],
        }))
        .unwrap();
        let found = Found {
            objects: keys
                .iter()
                .map(|(group, kind, name)| Key::new(group, kind, "shop", name))
                .collect(),
            more: false,
        };
        orphaned(&found, &spec)
    }

    const CONFIG: (&str, &str, &str) = ("", "ConfigMap", "left");

    #[test]
    fn a_project_is_warned_only_if_it_asks_for_it() {
        assert_eq!(said(&json!({}), &[CONFIG]), None);
        assert_eq!(said(&json!({"warn": false}), &[CONFIG]), None);
        assert_eq!(said(&json!({"warn": true}), &[]), None);
        assert_eq!(
            said(&json!({"warn": true}), &[CONFIG]).unwrap(),
            "Application has 1 orphaned resources: ConfigMap shop/left"
        );
    }

    #[test]
    fn what_is_in_every_namespace_or_not_the_projects_business_is_left_out() {
        let keys = [
            ("", "ConfigMap", "kube-root-ca.crt"),
            ("", "ServiceAccount", "default"),
            ("", "LimitRange", "l"),
        ];
        assert_eq!(said(&json!({"warn": true}), &keys), None);
    }

    #[test]
    fn what_the_project_ignores_is_left_out_by_group_kind_and_name() {
        let ignoring = |item: Value| {
            let keys = [CONFIG, ("apps", "Deployment", "left")];
            said(&json!({"warn": true, "ignore": [item]}), &keys).unwrap()
        };
        assert!(!ignoring(json!({"kind": "ConfigMap"})).contains("ConfigMap"));
        assert!(ignoring(json!({"kind": "Deployment"})).contains("Deployment"));
        assert!(!ignoring(json!({"group": "apps", "name": "le*"})).contains("Deployment"));
        assert!(ignoring(json!({"group": "apps", "name": "right"})).contains("Deployment"));
    }

    #[test]
    fn of_many_the_first_are_named() {
        let names: Vec<String> = (0..20).map(|at| format!("c{at:02}")).collect();
        let keys: Vec<_> = names
            .iter()
            .map(|name| ("", "ConfigMap", &**name))
            .collect();
        let said = said(&json!({"warn": true}), &keys).unwrap();
        assert!(said.starts_with("Application has 20 orphaned resources: ConfigMap shop/c00, "));
        assert!(said.ends_with("c09, …"), "{said}");
    }
}
