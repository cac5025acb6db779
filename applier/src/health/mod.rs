//! Health of one live object, as Argo CD sees it: scripts of `argocd-cm` first ([`Customizations`]), then built-in rules per kind,
//! kstatus conventions for the rest.
//!
//! A function of the object alone, but for the time that a script may ask for: no neighbours, so an unchanged object doesn't change its
//! health. What an operator wants to know beyond that (which pod, why) is [`worst_pod_reason`].

mod aggregate;
mod autoscaler;
mod children;
mod customization;
mod extension;
mod fields;
mod job;
mod kstatus;
mod pod;
mod service;
mod workload;
mod worst_pod;

pub(crate) use aggregate::Aggregate;
pub use bus::message::state::HealthStatus;
pub use customization::{Assessment, Customizations};
use serde_json::Value;
pub use worst_pod::worst_pod_reason;

use self::fields::Fields;

/// The longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    /// For a person; empty when there is nothing to add.
    pub message: String,
}

impl Health {
    fn new(status: HealthStatus, message: impl Into<String>) -> Self {
        let mut message = message.into();
        fields::cut(&mut message, MAX_MESSAGE);
        Self { status, message }
    }

    fn healthy(message: impl Into<String>) -> Self {
        Self::new(HealthStatus::Healthy, message)
    }

    fn progressing(message: impl Into<String>) -> Self {
        Self::new(HealthStatus::Progressing, message)
    }

    fn degraded(message: impl Into<String>) -> Self {
        Self::new(HealthStatus::Degraded, message)
    }

    fn suspended(message: impl Into<String>) -> Self {
        Self::new(HealthStatus::Suspended, message)
    }

    fn unknown(message: impl Into<String>) -> Self {
        Self::new(HealthStatus::Unknown, message)
    }
}

/// The health of a live object by the rules of this crate alone; none where the kind has none, or where the object asks not to be
/// looked at.
///
/// A child `Application` is assessed like any kind: whether it counts for its parent is the caller's to know.
pub fn assess(object: &Value) -> Option<Health> {
    judged(object, || None)
}

/// By what `customized` says, which may be that there is no health, or else by the rule of its kind.
fn judged(object: &Value, customized: impl FnOnce() -> Option<Option<Health>>) -> Option<Health> {
    let object = Fields(object);
    if object.annotation(api::annotations::IGNORE_HEALTHCHECK) == "true" {
        return None;
    }
    if !object.text("/metadata/deletionTimestamp").is_empty() && !awaits_its_hook(object) {
        return Some(Health::progressing("Pending deletion"));
    }
    customized().unwrap_or_else(|| by_rule(object))
}

/// Group and kind.
fn kind_of(object: Fields<'_>) -> (&str, &str) {
    let api_version = object.text("/apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    (group, object.text("/kind"))
}

fn by_rule(object: Fields<'_>) -> Option<Health> {
    match kind_of(object) {
        ("apps", "Deployment") => Some(workload::deployment(object)),
        ("apps", "StatefulSet") => Some(workload::stateful_set(object)),
        ("apps", "DaemonSet") => Some(workload::daemon_set(object)),
        ("apps", "ReplicaSet") => Some(workload::replica_set(object)),
        ("batch", "Job") => Some(job::job(object)),
        ("batch", "CronJob") => Some(job::cron_job(object)),
        ("", "Pod") => Some(pod::pod(object)),
        ("", "Service") => Some(service::service(object)),
        ("networking.k8s.io" | "extensions", "Ingress") => Some(service::ingress(object)),
        ("", "PersistentVolumeClaim") => Some(service::volume_claim(object)),
        ("autoscaling", "HorizontalPodAutoscaler") => Some(autoscaler::autoscaler(object)),
        ("apiregistration.k8s.io", "APIService") => Some(extension::api_service(object)),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Some(extension::definition(object)),
        (api::GROUP, "Application") => Some(children::application(object)),
        (api::GROUP, "Workflow") => Some(children::workflow(object)),
        _ => kstatus::assess(object),
    }
}

/// A hook that is being deleted, and kept by Argo CD's finalizer until its phase has ended, still has a health of its own.
fn awaits_its_hook(object: Fields<'_>) -> bool {
    object
        .list("/metadata/finalizers")
        .iter()
        .any(|finalizer| finalizer == api::annotations::HOOK_FINALIZER)
}

#[cfg(test)]
mod cases;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_without_any_notion_of_health_has_none() {
        assert_eq!(
            assess(&json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}})),
            None
        );
        assert_eq!(assess(&json!({"apiVersion": "v1", "kind": "Secret"})), None);
        assert_eq!(assess(&json!({})), None);
        assert_eq!(assess(&json!("not an object")), None);
    }

    #[test]
    fn what_is_being_deleted_is_progressing_whatever_its_kind() {
        for kind in ["ConfigMap", "Pod", "Service"] {
            let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
            assert_eq!(
                assess(&object),
                Some(Health::progressing("Pending deletion")),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_hook_held_by_its_finalizer_keeps_its_own_health() {
        let object = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["argocd.argoproj.io/hook-finalizer"]},
            "status": {"conditions": [{"type": "Complete", "status": "True", "message": "done"}]},
        });
        assert_eq!(assess(&object), Some(Health::healthy("done")));
    }

    #[test]
    fn an_object_may_ask_not_to_be_looked_at() {
        let pod = |value: &str| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "status": {"phase": "Failed"},
                "metadata": {"annotations": {"argocd.argoproj.io/ignore-healthcheck": value}},
            })
        };
        assert_eq!(assess(&pod("true")), None);
        assert_eq!(
            assess(&pod("false")).unwrap().status,
            HealthStatus::Degraded
        );
    }

    #[test]
    fn a_kind_counts_only_in_its_own_group() {
        let service = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": {"type": "LoadBalancer"}});
        assert_eq!(assess(&service), None);
    }

    #[test]
    fn a_message_from_the_cluster_is_bounded() {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Failed", "message": "é".repeat(5_000)}});
        assert!(assess(&object).unwrap().message.len() <= MAX_MESSAGE);
    }
}
