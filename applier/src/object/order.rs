//! The order of kinds within a wave, as Argo CD (and Helm before it) has it: what others need comes first.

const KINDS: [&str; 37] = [
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
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
];

/// Lower comes first; kinds that aren't listed come after the listed ones, before what may block every later request.
pub(crate) fn rank(kind: &str) -> usize {
    match KINDS.iter().position(|known| *known == kind) {
        Some(at) if kind.ends_with("WebhookConfiguration") => at + 1,
        Some(at) => at,
        None => KINDS.len() - 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_comes_before_what_lives_in_it() {
        assert!(rank("Namespace") < rank("ConfigMap"));
        assert!(rank("CustomResourceDefinition") < rank("Prometheus"));
        assert!(rank("Deployment") < rank("Widget"));
        assert!(rank("Widget") < rank("ValidatingWebhookConfiguration"));
        assert!(rank("APIService") < rank("Widget"));
    }
}
