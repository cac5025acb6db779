//! A pod by its phase, its restart policy and what its containers wait for.

use serde_json::Value;

use super::Health;
use super::fields::{Condition, Fields, joined};

pub(super) fn pod(object: Fields<'_>) -> Health {
    // A pod that ends by itself is mostly a hook: it may still succeed once its image can be pulled, and failing it early would
    // end the hook before its pod has run. So only pods that must stay up are judged by what they wait for.
    let policy = object.text("/spec/restartPolicy");
    let stays_up = matches!(policy, "Always" | "")
        || object.annotation(api::annotations::IGNORE_RESTART_POLICY) == "true" && !is_hook(object);
    if stays_up {
        let waiting: Vec<String> = containers(object)
            .filter_map(|container| {
                let reason = container.text("/state/waiting/reason");
                is_bad(reason).then(|| {
                    format!(
                        "{}: {}",
                        container.text("/name"),
                        joined(reason, container.text("/state/waiting/message"))
                    )
                })
            })
            .collect();
        if !waiting.is_empty() {
            return Health::degraded(waiting.join(", "));
        }
    }
    let message = object.text("/status/message");
    match object.text("/status/phase") {
        "Succeeded" => Health::healthy(message),
        "Failed" => Health::degraded(why_failed(object)),
        "Running" if stays_up => running(object),
        // One that ends by itself is not done while it runs.
        "Pending" | "Running" => Health::progressing(message),
        _ => Health::unknown(message),
    }
}

/// A hook's phase ends with its pod, whatever the pod says of itself.
fn is_hook(object: Fields<'_>) -> bool {
    [api::annotations::HOOK, api::annotations::HELM_HOOK]
        .iter()
        .any(|key| !object.annotation(key).is_empty())
}

fn running(object: Fields<'_>) -> Health {
    let message = object.text("/status/message");
    if object.condition("Ready").is_some_and(Condition::is_true) {
        return Health::healthy(message);
    }
    match object
        .list("/status/containerStatuses")
        .iter()
        .map(Fields)
        .find(|container| container.has("/lastState/terminated"))
    {
        Some(container) if message.is_empty() => Health::degraded(format!(
            "{}: restarted after {}",
            container.text("/name"),
            ended(container, "/lastState/terminated")
        )),
        Some(_) => Health::degraded(message),
        None => Health::progressing(message),
    }
}

fn why_failed(object: Fields<'_>) -> String {
    let said = joined(
        object.text("/status/reason"),
        object.text("/status/message"),
    );
    if !said.is_empty() {
        return said;
    }
    containers(object)
        .find_map(|container| {
            let message = container.text("/state/terminated/message");
            let failed = container.count("/state/terminated/exitCode") != 0 || !message.is_empty();
            failed.then(|| {
                let how = ended(container, "/state/terminated");
                format!(
                    "container \"{}\" failed with {}",
                    container.text("/name"),
                    joined(&how, message)
                )
            })
        })
        .unwrap_or_default()
}

/// All of a pod's container statuses, init containers first.
pub(super) fn containers(object: Fields<'_>) -> impl Iterator<Item = Fields<'_>> {
    let of = move |pointer| object.list(pointer).iter().map(Fields);
    of("/status/initContainerStatuses").chain(of("/status/containerStatuses"))
}

/// Whether a container that waits for this reason needs a person: `ErrImagePull`, `CreateContainerConfigError`,
/// `CrashLoopBackOff`, and whatever else kubelets name in the same way.
pub(super) fn is_bad(reason: &str) -> bool {
    reason.starts_with("Err")
        || reason.ends_with("Error")
        || reason.ends_with("BackOff")
        || reason == "InvalidImageName"
}

/// `exit code 137, OOMKilled`: how the container at `pointer` ended.
pub(super) fn ended(container: Fields<'_>, pointer: &str) -> String {
    let terminated = container.0.pointer(pointer).unwrap_or(&Value::Null);
    let terminated = Fields(terminated);
    let code = terminated.count("/exitCode");
    match terminated.text("/reason") {
        "" | "Error" | "Completed" => format!("exit code {code}"),
        reason => format!("exit code {code}, {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Health, HealthStatus, assess};

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn pod(policy: &str, status: Value) -> Health {
        assess(&json!({"apiVersion": "v1", "kind": "Pod", "spec": {"restartPolicy": policy}, "status": status})).unwrap()
    }

    fn waiting(reason: &str) -> Value {
        json!({
            "phase": "Pending",
            "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": reason, "message": "as it says"}}}],
        })
    }

    #[test]
    fn a_ready_pod_is_healthy_and_one_on_its_way_progresses() {
        let ready =
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(pod("Always", ready).status, HealthStatus::Healthy);
        assert_eq!(
            pod("Always", json!({"phase": "Running"})).status,
            HealthStatus::Progressing
        );
        assert_eq!(
            pod("Always", json!({"phase": "Pending"})).status,
            HealthStatus::Progressing
        );
        assert_eq!(pod("Always", json!({})).status, HealthStatus::Unknown);
        assert_eq!(
            pod("Never", json!({"phase": "Succeeded"})).status,
            HealthStatus::Healthy
        );
        assert_eq!(
            pod("Always", json!({"phase": "Unknown"})).status,
            HealthStatus::Unknown
        );
    }

    #[test]
    fn a_waiting_reason_that_needs_a_person_is_degraded_with_reason_and_message() {
        let reasons = [
            "CrashLoopBackOff",
            "ImagePullBackOff",
            "ErrImagePull",
            "ErrImageNeverPull",
            "CreateContainerConfigError",
            "RunContainerError",
            "InvalidImageName",
        ];
        for reason in reasons {
            assert_eq!(
                pod("Always", waiting(reason)),
                Health::degraded(format!("app: {reason}: as it says"))
            );
        }
        assert_eq!(
            pod("Always", waiting("ContainerCreating")).status,
            HealthStatus::Progressing
        );
    }

    #[test]
    fn an_init_container_that_crashes_degrades_its_pod() {
        let status = json!({
            "phase": "Pending",
            "initContainerStatuses": [{"name": "migrate", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "PodInitializing"}}}],
        });
        assert_eq!(
            pod("Always", status),
            Health::degraded("migrate: CrashLoopBackOff")
        );
    }

    #[test]
    fn a_pod_that_ends_by_itself_is_not_failed_early() {
        for policy in ["Never", "OnFailure"] {
            assert_eq!(
                pod(policy, waiting("ImagePullBackOff")).status,
                HealthStatus::Progressing,
                "{policy}"
            );
            let ready =
                json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
            assert_eq!(
                pod(policy, ready).status,
                HealthStatus::Progressing,
                "{policy}"
            );
        }
    }

    #[test]
    fn its_annotation_makes_such_a_pod_count_like_the_others() {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": {"restartPolicy": "Never"}, "status": waiting("ImagePullBackOff"),
            "metadata": {"annotations": {"argocd.argoproj.io/ignore-restart-policy": "true"}},
        });
        assert_eq!(assess(&object).unwrap().status, HealthStatus::Degraded);
    }

    #[test]
    fn a_failed_pod_says_why() {
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"});
        assert_eq!(
            pod("Always", evicted),
            Health::degraded("Evicted: low on memory")
        );
        let exited = |terminated: Value| {
            pod(
                "Never",
                json!({"phase": "Failed", "containerStatuses": [{"name": "app", "state": {"terminated": terminated}}]}),
            )
        };
        assert_eq!(
            exited(json!({"exitCode": 2})).message,
            "container \"app\" failed with exit code 2"
        );
        let killed = exited(json!({"exitCode": 137, "reason": "OOMKilled"}));
        assert_eq!(
            killed.message,
            "container \"app\" failed with exit code 137, OOMKilled"
        );
        assert_eq!(exited(json!({"exitCode": 0})), Health::degraded(""));
    }

    #[test]
    fn a_running_pod_that_restarted_and_is_not_ready_is_degraded() {
        let status = json!({
            "phase": "Running", "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "app", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}],
        });
        assert_eq!(
            pod("Always", status),
            Health::degraded("app: restarted after exit code 1")
        );
    }
}
