//! What a project permits, as pure functions. A pattern that can't be read never widens anything:
//! as a permission it matches nothing, as a denial everything.

use regex::RegexBuilder;

use super::{AppProject, AppProjectSpec, ClusterResourceRestriction, GroupKind};
use crate::{git_url, glob};

/// A destination after its cluster is known: both its address and its name count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<'a> {
    pub server: &'a str,
    pub name: &'a str,
    pub namespace: &'a str,
}

impl AppProjectSpec {
    /// Whether files may come from this repository.
    pub fn permits_source(&self, repo_url: &str) -> bool {
        let url = git_url::comparable(repo_url);
        let mut permitted = false;
        for pattern in self.source_repos.iter().flatten() {
            if let Some(denied) = pattern.strip_prefix('!') {
                if glob::matches(&git_url::comparable(denied), &url, Some('/')) != Some(false) {
                    return false;
                }
                // Argo CD: what a denial doesn't match, it permits.
                permitted = true;
            } else {
                let pattern = git_url::comparable(pattern);
                permitted |=
                    pattern == "*" || glob::matches(&pattern, &url, Some('/')) == Some(true);
            }
        }
        permitted
    }

    /// Whether objects may go to this cluster and namespace.
    pub fn permits_destination(&self, destination: Destination<'_>) -> bool {
        let mut permitted = false;
        for item in self.destinations.iter().flatten() {
            let name = item.name.as_deref().unwrap_or_default();
            let server = item.server.as_deref().unwrap_or_default();
            let namespace = item.namespace.as_deref().unwrap_or_default();
            let by_name = !destination.name.is_empty() && accepts(name, destination.name);
            let by_server = !destination.server.is_empty() && accepts(server, destination.server);
            let by_namespace = accepts(namespace, destination.namespace);
            if (by_server || by_name) && by_namespace {
                permitted = true;
            } else if (!by_name && denies(name))
                || (!by_server && denies(server) && by_namespace)
                || (!by_namespace && denies(namespace) && by_server)
            {
                return false;
            }
        }
        permitted
    }

    /// Whether an object of this cluster-scoped kind may be deployed. Without a list, none may.
    pub fn permits_cluster_resource(&self, group: &str, kind: &str, name: &str) -> bool {
        let listed = |list: &Option<Vec<ClusterResourceRestriction>>, unreadable: bool| {
            list.iter().flatten().any(|item| {
                let pattern = item.name.as_deref().unwrap_or_default();
                is_kind(&item.group, &item.kind, group, kind, unreadable)
                    && (pattern.is_empty() || is(pattern, name, unreadable))
            })
        };
        listed(&self.cluster_resource_whitelist, false)
            && !listed(&self.cluster_resource_blacklist, true)
    }

    /// Whether an object of this namespaced kind may be deployed. Without a list, all may.
    pub fn permits_namespace_resource(&self, group: &str, kind: &str) -> bool {
        let listed = |list: &[GroupKind], unreadable: bool| {
            list.iter()
                .any(|item| is_kind(&item.group, &item.kind, group, kind, unreadable))
        };
        self.namespace_resource_whitelist
            .as_deref()
            .is_none_or(|list| listed(list, false))
            && !listed(
                self.namespace_resource_blacklist
                    .as_deref()
                    .unwrap_or_default(),
                true,
            )
    }
}

impl AppProject {
    /// Whether Applications of this namespace may belong to the project. Those in the control
    /// namespace always may.
    pub fn permits_source_namespace(&self, namespace: &str, control_namespace: &str) -> bool {
        namespace == control_namespace
            || self.spec.source_namespaces.iter().flatten().any(|pattern| {
                is_regex(pattern).map_or_else(
                    || glob::matches(pattern, namespace, None) == Some(true),
                    |regex| regex_matches(regex, namespace),
                )
            })
    }
}

fn denies(pattern: &str) -> bool {
    pattern.starts_with('!')
}

fn accepts(pattern: &str, text: &str) -> bool {
    match pattern.strip_prefix('!') {
        Some(denied) => glob::matches(denied, text, None) == Some(false),
        None => glob::matches(pattern, text, None) == Some(true),
    }
}

fn is(pattern: &str, text: &str, unreadable: bool) -> bool {
    glob::matches(pattern, text, Some('/')).unwrap_or(unreadable)
}

fn is_kind(
    group_pattern: &str,
    kind_pattern: &str,
    group: &str,
    kind: &str,
    unreadable: bool,
) -> bool {
    is(kind_pattern, kind, unreadable) && is(group_pattern, group, unreadable)
}

fn is_regex(pattern: &str) -> Option<&str> {
    pattern
        .strip_prefix('/')?
        .strip_suffix('/')
        .filter(|inside| !inside.is_empty())
}

fn regex_matches(pattern: &str, text: &str) -> bool {
    const MAX_COMPILED: usize = 256 * 1024;
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .build()
        .is_ok_and(|regex| regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn project(spec: Value) -> AppProject {
        AppProject::new("p", serde_json::from_value(spec).unwrap())
    }

    fn to(
        server: &'static str,
        name: &'static str,
        namespace: &'static str,
    ) -> Destination<'static> {
        Destination {
            server,
            name,
            namespace,
        }
    }

    #[test]
    fn an_empty_project_permits_nothing_but_namespaced_kinds() {
        let project = project(json!({}));
        assert!(!project.spec.permits_source("https://h/a"));
        assert!(!project.spec.permits_destination(to("https://s", "s", "n")));
        assert!(!project.spec.permits_cluster_resource("", "Namespace", "n"));
        assert!(
            project
                .spec
                .permits_namespace_resource("apps", "Deployment")
        );
    }

    #[test]
    fn the_default_project_permits_everything() {
        let spec = AppProject::allow_all("default").spec;
        assert!(spec.permits_source("git@h:a/b.git"));
        assert!(spec.permits_destination(to("https://s", "in-cluster", "n")));
        assert!(spec.permits_cluster_resource("rbac.authorization.k8s.io", "ClusterRole", "x"));
    }

    #[test]
    fn a_repository_is_matched_whatever_its_form() {
        let spec = project(json!({"sourceRepos": ["https://git.example.org/team/*"]})).spec;
        assert!(spec.permits_source("https://GIT.example.org/team/a.git"));
        assert!(!spec.permits_source("https://git.example.org/team/a/b"));
        assert!(!spec.permits_source("https://evil.example.org/team/a"));
    }

    #[test]
    fn a_denied_repository_stays_denied() {
        let spec = project(json!({"sourceRepos": ["*", "!https://h/secret/**"]})).spec;
        assert!(spec.permits_source("https://h/open/a"));
        assert!(!spec.permits_source("https://h/secret/a"));
    }

    #[test]
    fn an_unreadable_denial_denies_everything() {
        let spec = project(json!({"sourceRepos": ["*", "!https://h/{"]})).spec;
        assert!(!spec.permits_source("https://h/open/a"));
    }

    #[test]
    fn a_destination_needs_cluster_and_namespace() {
        let spec =
            project(json!({"destinations": [{"server": "https://a", "namespace": "team-*"}]})).spec;
        assert!(spec.permits_destination(to("https://a", "a", "team-x")));
        assert!(!spec.permits_destination(to("https://a", "a", "kube-system")));
        assert!(!spec.permits_destination(to("https://b", "b", "team-x")));
    }

    #[test]
    fn a_denied_namespace_wins_over_a_wildcard() {
        let spec = project(json!({"destinations": [
            {"server": "*", "namespace": "*"},
            {"server": "*", "namespace": "!kube-system"},
        ]}))
        .spec;
        assert!(spec.permits_destination(to("https://a", "a", "web")));
        assert!(!spec.permits_destination(to("https://a", "a", "kube-system")));
    }

    #[test]
    fn cluster_resources_can_be_limited_by_name() {
        let spec = project(json!({
            "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "team-*"}],
            "clusterResourceBlacklist": [{"group": "", "kind": "Namespace", "name": "team-x"}],
        }))
        .spec;
        assert!(spec.permits_cluster_resource("", "Namespace", "team-a"));
        assert!(!spec.permits_cluster_resource("", "Namespace", "team-x"));
        assert!(!spec.permits_cluster_resource("", "Namespace", "other"));
    }

    #[test]
    fn an_empty_namespaced_whitelist_permits_nothing() {
        let spec = project(json!({"namespaceResourceWhitelist": []})).spec;
        assert!(!spec.permits_namespace_resource("", "ConfigMap"));
        let spec = project(
            json!({"namespaceResourceBlacklist": [{"group": "", "kind": "ResourceQuota"}]}),
        )
        .spec;
        assert!(spec.permits_namespace_resource("", "ConfigMap"));
        assert!(!spec.permits_namespace_resource("", "ResourceQuota"));
    }

    #[test]
    fn source_namespaces_are_globs_or_regular_expressions() {
        let project = project(json!({"sourceNamespaces": ["team-*", "/^dev-[0-9]+$/"]}));
        assert!(project.permits_source_namespace("argocd", "argocd"));
        assert!(project.permits_source_namespace("team-a", "argocd"));
        assert!(project.permits_source_namespace("dev-12", "argocd"));
        assert!(!project.permits_source_namespace("dev-x", "argocd"));
    }

    #[test]
    fn secret_paths_come_from_the_annotation() {
        let mut project = project(json!({}));
        assert_eq!(project.secret_paths(), None);
        project.metadata.annotations = Some(
            [(
                "towline.dev/secret-paths".to_owned(),
                "kv/data/a/*, kv/data/b\n".to_owned(),
            )]
            .into(),
        );
        assert_eq!(
            project.secret_paths(),
            Some(vec!["kv/data/a/*", "kv/data/b"])
        );
    }
}
