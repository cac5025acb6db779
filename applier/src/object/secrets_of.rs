//! Which Secrets the pods of a workload have values of.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Manifest;

/// The names of the Secrets that the workload's pods mount or read their environment from; none for what doesn't restart its pods
/// when their template changes. Credentials for pulling images are read anew by each pull, and don't count.
pub(crate) fn secrets_of(workload: &Manifest) -> BTreeSet<String> {
    let restarts = matches!(
        (&*workload.key.group, &*workload.key.kind),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet") | ("argoproj.io", "Rollout")
    );
    if !restarts {
        return BTreeSet::new();
    }
    let body = workload.body.value();
    let pod = &body["spec"]["template"]["spec"];
    let volumes = items(&pod["volumes"]).flat_map(|volume| {
        let projected =
            items(&volume["projected"]["sources"]).map(|source| &source["secret"]["name"]);
        std::iter::once(&volume["secret"]["secretName"]).chain(projected)
    });
    let containers = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| items(&pod[list]));
    let environment = containers.flat_map(|container| {
        let single =
            items(&container["env"]).map(|variable| &variable["valueFrom"]["secretKeyRef"]["name"]);
        let whole = items(&container["envFrom"]).map(|source| &source["secretRef"]["name"]);
        single.chain(whole)
    });
    volumes
        .chain(environment)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Body, Key, Options};
    use crate::secrets::Placement;

    fn workload(group: &str, kind: &str) -> Manifest {
        let pod = json!({
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"name": "i", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "initial", "key": "a"}}}]}],
            "containers": [
                {"name": "c", "env": [{"name": "A", "value": "x"}, {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "b"}}}],
                 "envFrom": [{"secretRef": {"name": "whole"}}, {"configMapRef": {"name": "map"}}]},
                {"name": "d"},
            ],
            "volumes": [
                {"name": "v", "secret": {"secretName": "mounted"}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "map"}}]}},
                {"name": "e", "emptyDir": {}},
            ],
        });
        Manifest {
            key: Key::new(group, kind, "shop", "web"),
            version: "v1".into(),
            body: Body::from(&json!({"spec": {"template": {"spec": pod}}})),
            digest: "d".into(),
            wave: 0,
            hook: None,
            options: Options::default(),
            filled: None,
            placeholders: Placement::Nowhere,
        }
    }

    #[test]
    fn mounted_projected_and_environment_count_and_pull_secrets_do_not() {
        let deployment = workload("apps", "Deployment");
        let names: Vec<String> = secrets_of(&deployment).into_iter().collect();
        assert_eq!(names, ["initial", "mounted", "projected", "whole"]);
    }

    #[test]
    fn what_does_not_restart_its_pods_uses_none() {
        for (group, kind) in [
            ("apps", "ReplicaSet"),
            ("batch", "Job"),
            ("batch", "CronJob"),
            ("", "Pod"),
        ] {
            assert!(secrets_of(&workload(group, kind)).is_empty(), "{kind}");
        }
    }

    #[test]
    fn a_malformed_workload_uses_what_can_be_read_of_it() {
        let mut odd = workload("apps", "StatefulSet");
        odd.body = Body::from(
            &json!({"spec": {"template": {"spec": {"volumes": "x", "containers": [1, null, {"envFrom": {}, "env": [[]]}]}}}}),
        );
        assert!(secrets_of(&odd).is_empty());
    }
}
