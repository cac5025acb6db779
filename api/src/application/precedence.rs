//! Defaults and precedence of a spec's fields, as Argo CD's documentation states them.

use super::{ApplicationSpec, SyncPolicy, source::ApplicationSource, spec::ApplicationDestination};

/// The control cluster's own address.
pub const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";
/// The control cluster's own name.
pub const IN_CLUSTER_NAME: &str = "in-cluster";

const DEFAULT_PROJECT: &str = "default";
const DEFAULT_REVISION: &str = "HEAD";
const DEFAULT_HISTORY_LIMIT: i64 = 10;

impl ApplicationSpec {
    /// The project; absent or empty means `default`.
    pub fn project(&self) -> &str {
        present(self.project.as_ref()).unwrap_or(DEFAULT_PROJECT)
    }

    /// The sources that count: `sources` if there are any, else `source`.
    pub fn sources(&self) -> &[ApplicationSource] {
        match self.sources.as_deref() {
            Some(sources) if !sources.is_empty() => sources,
            _ => self.source.as_slice(),
        }
    }

    /// How many releases the history holds.
    pub fn history_limit(&self) -> i64 {
        self.revision_history_limit
            .unwrap_or(DEFAULT_HISTORY_LIMIT)
            .max(0)
    }

    pub fn automated(&self) -> bool {
        self.policy(SyncPolicy::automated)
    }

    pub fn prune(&self) -> bool {
        self.policy(SyncPolicy::prune)
    }

    pub fn self_heal(&self) -> bool {
        self.policy(SyncPolicy::self_heal)
    }

    pub fn allow_empty(&self) -> bool {
        self.policy(SyncPolicy::allow_empty)
    }

    /// The value of a sync option written `Name=value`.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.sync_policy.as_ref()?.option(name)
    }

    fn policy(&self, predicate: impl Fn(&SyncPolicy) -> bool) -> bool {
        self.sync_policy.as_ref().is_some_and(predicate)
    }
}

impl ApplicationSource {
    /// Branch, tag or commit; absent or empty means `HEAD`.
    pub fn target_revision(&self) -> &str {
        present(self.target_revision.as_ref()).unwrap_or(DEFAULT_REVISION)
    }

    /// The folder; absent or empty means the root.
    pub fn path(&self) -> &str {
        present(self.path.as_ref()).unwrap_or(".")
    }

    /// The chart, if the source is one.
    pub fn chart(&self) -> Option<&str> {
        present(self.chart.as_ref())
    }

    pub fn is_oci(&self) -> bool {
        self.repo_url.starts_with("oci://")
    }

    /// Whether, among several, it has no manifests of its own and only lends its files to the others.
    pub fn is_reference_only(&self) -> bool {
        present(self.reference.as_ref()).is_some()
            && present(self.path.as_ref()).is_none()
            && self.chart().is_none()
            && !self.is_oci()
    }
}

impl ApplicationDestination {
    pub fn server(&self) -> Option<&str> {
        present(self.server.as_ref()).map(|server| server.trim_end_matches('/'))
    }

    pub fn name(&self) -> Option<&str> {
        present(self.name.as_ref())
    }

    /// The namespace for objects that name none; may be empty.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

fn present(field: Option<&String>) -> Option<&str> {
    field.map(String::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> ApplicationSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_empty_project_is_the_default_project() {
        assert_eq!(spec(json!({"destination": {}})).project(), "default");
        assert_eq!(
            spec(json!({"destination": {}, "project": ""})).project(),
            "default"
        );
    }

    #[test]
    fn sources_win_over_source_unless_they_are_empty() {
        let both = json!({"destination": {}, "source": {"repoURL": "a"}, "sources": [{"repoURL": "b"}, {"repoURL": "c"}]});
        assert_eq!(spec(both).sources().len(), 2);
        let empty = json!({"destination": {}, "source": {"repoURL": "a"}, "sources": []});
        assert_eq!(spec(empty).sources()[0].repo_url, "a");
    }

    #[test]
    fn a_source_without_revision_follows_head() {
        let source: ApplicationSource =
            serde_json::from_value(json!({"repoURL": "a", "targetRevision": ""})).unwrap();
        assert_eq!(source.target_revision(), "HEAD");
        assert_eq!(source.path(), ".");
    }
}
