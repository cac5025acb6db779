//! Which kinds may be owned by an object of a kind: what is listed for it, and nothing else.

use std::collections::BTreeSet;

type Name = (&'static str, &'static str);

const REPLICA_SET: Name = ("apps", "ReplicaSet");
const POD: Name = ("", "Pod");
const JOB: Name = ("batch", "Job");
const SLICE: Name = ("discovery.k8s.io", "EndpointSlice");
const CLAIM: Name = ("", "PersistentVolumeClaim");
/// What operators make for their own objects.
const OF_AN_OPERATOR: [Name; 10] = [
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    REPLICA_SET,
    JOB,
    ("batch", "CronJob"),
    POD,
    ("", "Service"),
    SLICE,
    CLAIM,
];

/// With what those own in turn. `wanted` are kinds by group and name.
pub(super) fn beneath<'a>(wanted: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeSet<Name> {
    let mut all = BTreeSet::new();
    let mut new: Vec<Name> = wanted
        .flat_map(|(group, kind)| owned_by(group, kind))
        .copied()
        .collect();
    while let Some(kind) = new.pop() {
        if all.insert(kind) {
            new.extend(owned_by(kind.0, kind.1));
        }
    }
    all
}

fn owned_by(group: &str, kind: &str) -> &'static [Name] {
    match (group, kind) {
        ("apps", "Deployment") | ("argoproj.io", "Rollout") => &[REPLICA_SET],
        ("apps", "StatefulSet") => &[POD, CLAIM],
        ("apps", "ReplicaSet" | "DaemonSet")
        | ("batch", "Job")
        | ("", "ReplicationController")
        | ("argoproj.io", "Workflow") => &[POD],
        ("batch", "CronJob") => &[JOB],
        ("", "Service") => &[SLICE],
        ("argoproj.io", "Application" | "AppProject" | "ApplicationSet") => &[],
        _ if is_kubernetes_own(group) => &[],
        _ => &OF_AN_OPERATOR,
    }
}

fn is_kubernetes_own(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// Of which metadata tell all that is shown.
pub(super) fn is_seen_as_metadata(group: &str, kind: &str) -> bool {
    (group, kind) == SLICE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(group: &str, kind: &str) -> Vec<&'static str> {
        let kinds = beneath([(group, kind)].into_iter());
        kinds.into_iter().map(|(_, kind)| kind).collect()
    }

    #[test]
    fn only_what_an_object_may_own_is_listed() {
        assert_eq!(of("apps", "Deployment"), ["Pod", "ReplicaSet"]);
        assert_eq!(of("batch", "CronJob"), ["Pod", "Job"]);
        assert_eq!(of("", "Service"), ["EndpointSlice"]);
        assert!(of("", "ConfigMap").is_empty());
        assert!(of("rbac.authorization.k8s.io", "Role").is_empty());
        assert!(of("example.org", "Database").contains(&"StatefulSet"));
    }
}
