//! What an Application's status lists as its objects: what Argo CD had applied when the application came over, or what was shown
//! last when a cluster lost its record.

use serde::{Deserialize, Deserializer};

/// So much is carried, in bytes: a desired state is one message.
const MOST: usize = 256 * 1024;

/// Paths `group/kind/namespace/name`, a line each: there may be many, and they are rarely asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Had(Box<str>);

impl Had {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn paths(&self) -> Vec<String> {
        self.0.lines().map(str::to_owned).collect()
    }
}

#[derive(Deserialize)]
struct Status {
    resources: Option<Vec<Resource>>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    hook: bool,
}

impl<'de> Deserialize<'de> for Had {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = Option::<Status>::deserialize(deserializer)?;
        let resources = status.and_then(|status| status.resources);
        let mut lines = String::new();
        // Hooks come and go with releases.
        for one in resources.iter().flatten().filter(|one| !one.hook) {
            let parts = [&*one.group, &*one.kind, &*one.namespace, &*one.name];
            let length: usize = parts.iter().map(|part| part.len() + 1).sum();
            let formed = parts.iter().all(|part| !part.contains(['/', '\n']));
            if !formed || one.kind.is_empty() || one.name.is_empty() {
                continue;
            }
            if lines.len() + length > MOST {
                break;
            }
            lines.push_str(&parts.join("/"));
            lines.push('\n');
        }
        Ok(Self(lines.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn had(status: serde_json::Value) -> Vec<String> {
        serde_json::from_value::<Had>(status).unwrap().paths()
    }

    #[test]
    fn objects_that_stay_are_listed_by_their_paths() {
        let status = json!({"sync": {"status": "Synced"}, "resources": [
            {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web", "status": "Synced"},
            {"version": "v1", "kind": "Namespace", "name": "shop"},
            {"group": "batch", "kind": "Job", "namespace": "shop", "name": "migrate", "hook": true},
        ]});
        assert_eq!(
            had(status),
            ["apps/Deployment/shop/web", "/Namespace//shop"]
        );
    }

    #[test]
    fn a_status_without_objects_lists_none() {
        assert!(had(json!(null)).is_empty());
        assert!(had(json!({"resources": null})).is_empty());
        assert!(
            had(json!({"resources": [{"kind": "A/B", "name": "x"}, {"kind": "A"}]})).is_empty()
        );
    }

    #[test]
    fn a_list_without_measure_is_cut() {
        let one = json!({"kind": "ConfigMap", "namespace": "n", "name": "x".repeat(200)});
        let many: Vec<_> = std::iter::repeat_n(one, 10_000).collect();
        let had: Had = serde_json::from_value(json!({ "resources": many })).unwrap();
        assert!(had.0.len() <= MOST && had.paths().len() > 1_000);
    }
}
