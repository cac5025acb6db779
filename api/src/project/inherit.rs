//! Rules that a project inherits from a global one, as Argo CD merges them.

use super::AppProjectSpec;

impl AppProjectSpec {
    /// Adds the rules of a global project to its own: kinds, windows, sources, destinations and accounts.
    pub fn inherit(&mut self, global: &Self) {
        extend(
            &mut self.cluster_resource_whitelist,
            global.cluster_resource_whitelist.as_ref(),
        );
        extend(
            &mut self.cluster_resource_blacklist,
            global.cluster_resource_blacklist.as_ref(),
        );
        extend(
            &mut self.namespace_resource_whitelist,
            global.namespace_resource_whitelist.as_ref(),
        );
        extend(
            &mut self.namespace_resource_blacklist,
            global.namespace_resource_blacklist.as_ref(),
        );
        extend(&mut self.sync_windows, global.sync_windows.as_ref());
        extend(&mut self.source_repos, global.source_repos.as_ref());
        extend(&mut self.destinations, global.destinations.as_ref());
        extend(
            &mut self.destination_service_accounts,
            global.destination_service_accounts.as_ref(),
        );
    }
}

/// A list that isn't there stays so unless something is added: to some fields it means another thing than an empty one.
fn extend<T: Clone>(own: &mut Option<Vec<T>>, global: Option<&Vec<T>>) {
    if let Some(global) = global.filter(|global| !global.is_empty()) {
        own.get_or_insert_default().extend(global.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> AppProjectSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_the_global_project_denies_is_denied() {
        let mut own = spec(json!({"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}));
        own.inherit(&spec(json!({
            "clusterResourceBlacklist": [{"group": "", "kind": "Namespace"}],
            "namespaceResourceBlacklist": [{"group": "", "kind": "ResourceQuota"}],
        })));
        assert!(!own.permits_cluster_resource("", "Namespace", "x"));
        assert!(!own.permits_namespace_resource("", "ResourceQuota"));
        assert!(own.permits_namespace_resource("", "ConfigMap"));
    }

    #[test]
    fn a_global_whitelist_of_namespaced_kinds_limits_who_had_none() {
        let mut own = spec(json!({}));
        own.inherit(&spec(
            json!({"namespaceResourceWhitelist": [{"group": "apps", "kind": "*"}]}),
        ));
        assert!(own.permits_namespace_resource("apps", "Deployment"));
        assert!(!own.permits_namespace_resource("", "ConfigMap"));
    }

    #[test]
    fn an_empty_global_list_changes_nothing() {
        let mut own = spec(json!({}));
        own.inherit(&spec(json!({"namespaceResourceWhitelist": []})));
        assert_eq!(own, spec(json!({})));
    }
}
