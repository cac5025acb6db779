//! Helm's order of manifests, by kind. Objects needn't be in it here, but what Helm prints last it prints without the line ends
//! that are behind it.

/// Kinds in the order in which Helm installs them; others come after them, by name.
const KINDS: [&str; 38] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Greater for a kind that comes later.
pub(super) fn rank(kind: &str) -> (usize, &str) {
    match KINDS.iter().position(|known| *known == kind) {
        Some(at) => (at, ""),
        None => (KINDS.len(), kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_kinds_come_last_by_name() {
        assert!(rank("ConfigMap") < rank("Service"));
        assert!(rank("ValidatingWebhookConfiguration") < rank("Alpha"));
        assert!(rank("Alpha") < rank("Beta"));
    }
}
