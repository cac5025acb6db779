//! What keeps pods running: Deployment, `StatefulSet`, `DaemonSet`, `ReplicaSet`.

use super::Health;
use super::fields::Fields;

const UNOBSERVED: &str =
    "Waiting for rollout to finish: the newest specification has not been observed yet";

pub(super) fn deployment(object: Fields<'_>) -> Health {
    if object.is_true("/spec/paused") {
        return Health::suspended("Deployment is paused");
    }
    if object.is_unobserved() {
        return Health::progressing(UNOBSERVED);
    }
    if object
        .condition("Progressing")
        .is_some_and(|condition| condition.reason == "ProgressDeadlineExceeded")
    {
        let name = object.text("/metadata/name");
        return Health::degraded(format!(
            "Deployment \"{name}\" exceeded its progress deadline"
        ));
    }
    let wanted = object.number("/spec/replicas");
    let all = object.count("/status/replicas");
    let updated = object.count("/status/updatedReplicas");
    let available = object.count("/status/availableReplicas");
    if let Some(wanted) = wanted.filter(|wanted| updated < *wanted) {
        return Health::progressing(format!(
            "Waiting for rollout to finish: {updated} out of {wanted} new replicas have been updated..."
        ));
    }
    if all > updated {
        let old = all - updated;
        return Health::progressing(format!(
            "Waiting for rollout to finish: {old} old replicas are pending termination..."
        ));
    }
    if available < updated {
        return Health::progressing(format!(
            "Waiting for rollout to finish: {available} of {updated} updated replicas are available..."
        ));
    }
    Health::healthy("")
}

pub(super) fn stateful_set(object: Fields<'_>) -> Health {
    if object.count("/status/observedGeneration") == 0 || object.is_unobserved() {
        return Health::progressing("Waiting for statefulset spec update to be observed...");
    }
    let wanted = object.number("/spec/replicas");
    let ready = object.count("/status/readyReplicas");
    let updated = object.count("/status/updatedReplicas");
    if let Some(wanted) = wanted.filter(|wanted| ready < *wanted) {
        return Health::progressing(format!(
            "Waiting for {} pods to be ready...",
            wanted - ready
        ));
    }
    let strategy = object.text("/spec/updateStrategy/type");
    if strategy == "RollingUpdate" && object.has("/spec/updateStrategy/rollingUpdate") {
        if let (Some(wanted), Some(partition)) = (
            wanted,
            object.number("/spec/updateStrategy/rollingUpdate/partition"),
        ) {
            let above = wanted - partition;
            if updated < above {
                return Health::progressing(format!(
                    "Waiting for partitioned roll out to finish: {updated} out of {above} new pods have been updated..."
                ));
            }
        }
        return Health::healthy(format!(
            "partitioned roll out complete: {updated} new pods have been updated..."
        ));
    }
    if strategy == "OnDelete" {
        return Health::healthy(format!("statefulset has {ready} ready pods"));
    }
    let next = object.text("/status/updateRevision");
    let current = object.text("/status/currentRevision");
    if next != current {
        return Health::progressing(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {next}..."
        ));
    }
    let pods = object.count("/status/currentReplicas");
    Health::healthy(format!(
        "statefulset rolling update complete {pods} pods at revision {current}..."
    ))
}

pub(super) fn daemon_set(object: Fields<'_>) -> Health {
    if object.is_unobserved() {
        return Health::progressing(UNOBSERVED);
    }
    let wanted = object.count("/status/desiredNumberScheduled");
    let updated = object.count("/status/updatedNumberScheduled");
    let available = object.count("/status/numberAvailable");
    if object.text("/spec/updateStrategy/type") == "OnDelete" {
        return Health::healthy(format!(
            "daemon set {updated} out of {wanted} new pods have been updated"
        ));
    }
    if updated < wanted {
        return Health::progressing(format!(
            "Waiting for rollout to finish: {updated} out of {wanted} new pods have been updated..."
        ));
    }
    if available < wanted {
        return Health::progressing(format!(
            "Waiting for rollout to finish: {available} of {wanted} updated pods are available..."
        ));
    }
    Health::healthy("")
}

pub(super) fn replica_set(object: Fields<'_>) -> Health {
    if object.is_unobserved() {
        return Health::progressing(UNOBSERVED);
    }
    if let Some(failure) = object
        .condition("ReplicaFailure")
        .filter(|condition| condition.is_true())
    {
        return Health::degraded(failure.message);
    }
    let available = object.count("/status/availableReplicas");
    match object.number("/spec/replicas") {
        Some(wanted) if available < wanted => Health::progressing(format!(
            "Waiting for rollout to finish: {available} out of {wanted} new replicas are available..."
        )),
        _ => Health::healthy(""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Health, HealthStatus, assess};

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn status(kind: &str, spec: Value, status: Value) -> Health {
        assess(&json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "generation": 3}, "spec": spec, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_deployment_is_healthy_when_every_replica_is_new_and_available() {
        let full = json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(
            status("Deployment", json!({"replicas": 2}), full),
            Health::healthy("")
        );
        assert_eq!(
            status(
                "Deployment",
                json!({"replicas": 0}),
                json!({"observedGeneration": 3})
            ),
            Health::healthy("")
        );
    }

    #[test]
    fn a_deployment_progresses_through_its_rollout() {
        for (what, live) in [
            (
                "observed",
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
            ),
            (
                "1 out of 2 new",
                json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
            ),
            (
                "1 old replicas",
                json!({"observedGeneration": 3, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}),
            ),
            (
                "1 of 2 updated",
                json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
            ),
            ("0 out of 2 new", json!({"observedGeneration": 3})),
        ] {
            let health = status("Deployment", json!({"replicas": 2}), live);
            assert_eq!(health.status, HealthStatus::Progressing, "{what}");
            assert!(health.message.contains(what), "{what}: {}", health.message);
        }
    }

    #[test]
    fn a_deployment_without_any_status_is_progressing() {
        let health = assess(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 1},
        }));
        assert_eq!(health.unwrap().status, HealthStatus::Progressing);
    }

    #[test]
    fn a_deployment_past_its_deadline_is_degraded() {
        let late = |observed: i64| {
            json!({
                "observedGeneration": observed, "replicas": 2, "updatedReplicas": 1,
                "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
            })
        };
        let health = status("Deployment", json!({"replicas": 2}), late(3));
        assert_eq!(health.status, HealthStatus::Degraded);
        assert!(health.message.contains("web"), "{}", health.message);
        let newer = status("Deployment", json!({"replicas": 2}), late(2));
        assert_eq!(
            newer.status,
            HealthStatus::Progressing,
            "the deadline was the old specification's"
        );
    }

    #[test]
    fn a_paused_deployment_is_suspended_even_when_unobserved() {
        assert_eq!(
            status("Deployment", json!({"paused": true}), json!({})).status,
            HealthStatus::Suspended
        );
    }

    #[test]
    fn a_stateful_set_waits_to_be_observed_ready_and_updated() {
        let spec = || json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}});
        let live = |observed: i64, ready: i64, next: &str| {
            json!({
                "observedGeneration": observed, "readyReplicas": ready, "currentReplicas": 3, "updatedReplicas": 3,
                "currentRevision": "a", "updateRevision": next,
            })
        };
        assert_eq!(
            status("StatefulSet", spec(), json!({})).status,
            HealthStatus::Progressing
        );
        assert_eq!(
            status("StatefulSet", spec(), live(2, 3, "a")).status,
            HealthStatus::Progressing
        );
        assert!(
            status("StatefulSet", spec(), live(3, 1, "a"))
                .message
                .contains("2 pods")
        );
        assert!(
            status("StatefulSet", spec(), live(3, 3, "b"))
                .message
                .contains("revision b")
        );
        assert_eq!(
            status("StatefulSet", spec(), live(3, 3, "a")).status,
            HealthStatus::Healthy
        );
    }

    #[test]
    fn a_partition_asks_only_for_the_pods_above_it() {
        let spec = || json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        let live = |updated: i64| json!({"observedGeneration": 3, "readyReplicas": 3, "updatedReplicas": updated, "currentRevision": "a", "updateRevision": "b"});
        assert!(
            status("StatefulSet", spec(), live(0))
                .message
                .contains("0 out of 1")
        );
        assert_eq!(
            status("StatefulSet", spec(), live(1)).status,
            HealthStatus::Healthy
        );
    }

    #[test]
    fn on_delete_never_waits_for_an_update() {
        let stateful = status(
            "StatefulSet",
            json!({"replicas": 1, "updateStrategy": {"type": "OnDelete"}}),
            json!({"observedGeneration": 3, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"}),
        );
        assert_eq!(stateful.status, HealthStatus::Healthy);
        let daemon = status(
            "DaemonSet",
            json!({"updateStrategy": {"type": "OnDelete"}}),
            json!({"observedGeneration": 3, "desiredNumberScheduled": 3, "updatedNumberScheduled": 1}),
        );
        assert_eq!(daemon.status, HealthStatus::Healthy);
    }

    #[test]
    fn a_daemon_set_wants_every_node_updated_and_available() {
        let live = |observed: i64, updated: i64, available: i64| {
            let live = json!({
                "observedGeneration": observed, "desiredNumberScheduled": 2,
                "updatedNumberScheduled": updated, "numberAvailable": available,
            });
            status("DaemonSet", json!({}), live).status
        };
        assert_eq!(live(2, 2, 2), HealthStatus::Progressing);
        assert_eq!(live(3, 1, 2), HealthStatus::Progressing);
        assert_eq!(live(3, 2, 1), HealthStatus::Progressing);
        assert_eq!(live(3, 2, 2), HealthStatus::Healthy);
    }

    #[test]
    fn a_replica_set_that_cannot_make_pods_is_degraded() {
        let failing = json!({
            "observedGeneration": 3,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}],
        });
        assert_eq!(
            status("ReplicaSet", json!({"replicas": 1}), failing),
            Health::degraded("exceeded quota")
        );
        let short = status(
            "ReplicaSet",
            json!({"replicas": 2}),
            json!({"observedGeneration": 3, "availableReplicas": 1}),
        );
        assert_eq!(short.status, HealthStatus::Progressing);
        let full = status(
            "ReplicaSet",
            json!({"replicas": 1}),
            json!({"observedGeneration": 3, "availableReplicas": 1}),
        );
        assert_eq!(full.status, HealthStatus::Healthy);
    }
}
