//! Which pod is worst off, and why, in one line for the person on call.

use serde_json::Value;

use super::fields::{Fields, cut, joined};
use super::pod::{containers, ended, is_bad};

/// The longest reason, in bytes: image pull errors quote whole HTTP answers.
const MAX_REASON: usize = 500;

/// How bad, least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Waits,
    NotReady,
    Restarted,
    Unschedulable,
    Ended,
    Stuck,
}

/// What keeps the worst of these pods from being ready, e.g.
/// `pod web-7d container app: CrashLoopBackOff: back-off 40s restarting failed container (exit code 1)`.
/// The same pods give the same answer in whatever order they come; none when nothing is wrong.
pub fn worst_pod_reason(pods: &[Value]) -> Option<String> {
    let (_, std::cmp::Reverse((name, what))) = pods
        .iter()
        .map(Fields)
        .filter(|pod| !pod.has("/metadata/deletionTimestamp"))
        .flat_map(|pod| {
            reasons(pod).map(move |(severity, what)| {
                (
                    severity,
                    std::cmp::Reverse((pod.text("/metadata/name"), what)),
                )
            })
        })
        .max()?;
    let mut reason = format!("pod {name} {what}");
    cut(&mut reason, MAX_REASON);
    Some(reason)
}

fn reasons(pod: Fields<'_>) -> impl Iterator<Item = (Severity, String)> {
    let whole = whole_pod(pod);
    let finished = pod.text("/status/phase") == "Succeeded";
    let each = containers(pod)
        .filter(move |_| !finished)
        .filter_map(|container| {
            let (severity, what) = one_container(container)?;
            Some((
                severity,
                format!("container {}: {what}", container.text("/name")),
            ))
        });
    whole.into_iter().chain(each)
}

fn whole_pod(pod: Fields<'_>) -> Option<(Severity, String)> {
    let said = joined(pod.text("/status/reason"), pod.text("/status/message"));
    if pod.text("/status/phase") == "Failed" && !said.is_empty() {
        return Some((Severity::Ended, said));
    }
    let scheduled = pod.condition("PodScheduled")?;
    scheduled
        .is_false()
        .then(|| (Severity::Unschedulable, scheduled.says()))
}

fn one_container(container: Fields<'_>) -> Option<(Severity, String)> {
    let before = || {
        container
            .has("/lastState/terminated")
            .then(|| ended(container, "/lastState/terminated"))
    };
    let waits_for = container.text("/state/waiting/reason");
    if is_bad(waits_for) {
        let what = joined(
            waits_for,
            without_identity(container.text("/state/waiting/message")),
        );
        return Some((
            Severity::Stuck,
            before().map_or_else(|| what.clone(), |before| format!("{what} ({before})")),
        ));
    }
    if container.has("/state/terminated") {
        let failed = container.count("/state/terminated/exitCode") != 0;
        let what = || {
            joined(
                &ended(container, "/state/terminated"),
                container.text("/state/terminated/message"),
            )
        };
        return failed.then(|| (Severity::Ended, what()));
    }
    if container.has("/state/running") {
        // An init container that runs is never ready, and nothing is wrong with it.
        let ready = container.is_true("/ready") || !container.has("/ready");
        return match before() {
            _ if ready => None,
            Some(before) => Some((
                Severity::Restarted,
                format!("not ready after a restart ({before})"),
            )),
            None => Some((Severity::NotReady, "runs and is not ready".to_owned())),
        };
    }
    // Waiting for the pod's other containers is no reason of its own.
    (!waits_for.is_empty() && waits_for != "PodInitializing").then(|| {
        (
            Severity::Waits,
            joined(waits_for, container.text("/state/waiting/message")),
        )
    })
}

/// Kubelets end back-off messages with `=<container> pod=<name>_<namespace>(<uid>)`, which the reader knows already.
fn without_identity(message: &str) -> &str {
    match message.find("container=") {
        Some(at) if message[at..].contains(" pod=") => &message[..at + "container".len()],
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, container: &Value) -> Value {
        json!({"metadata": {"name": name}, "status": {"phase": "Running", "containerStatuses": [container]}})
    }

    fn crashing() -> Value {
        let message = "back-off 40s restarting failed container=app pod=web-1_shop(2f0c)";
        json!({
            "name": "app", "ready": false,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": message}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        })
    }

    #[test]
    fn a_crash_loop_is_told_with_its_exit_code() {
        assert_eq!(
            worst_pod_reason(&[pod("web-1", &crashing())]).unwrap(),
            "pod web-1 container app: CrashLoopBackOff: back-off 40s restarting failed container (exit code 1)"
        );
    }

    #[test]
    fn the_worst_pod_is_told_whatever_the_order() {
        let unready = pod(
            "web-0",
            &json!({"name": "app", "ready": false, "state": {"running": {}}}),
        );
        let fine = pod(
            "web-2",
            &json!({"name": "app", "ready": true, "state": {"running": {}}}),
        );
        let bad = pod("web-1", &crashing());
        let one = worst_pod_reason(&[unready.clone(), fine.clone(), bad.clone()]);
        assert!(one.as_ref().unwrap().starts_with("pod web-1 "), "{one:?}");
        assert_eq!(one, worst_pod_reason(&[bad, unready.clone(), fine.clone()]));
        assert_eq!(
            worst_pod_reason(&[fine.clone(), unready]).unwrap(),
            "pod web-0 container app: runs and is not ready"
        );
        assert_eq!(worst_pod_reason(&[fine]), None);
        assert_eq!(worst_pod_reason(&[]), None);
    }

    #[test]
    fn among_equals_the_first_by_name_is_told() {
        let pods = [pod("web-2", &crashing()), pod("web-1", &crashing())];
        assert!(worst_pod_reason(&pods).unwrap().starts_with("pod web-1 "));
    }

    #[test]
    fn an_unschedulable_or_evicted_pod_is_told_without_a_container() {
        let pending = json!({"metadata": {"name": "web-1"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"},
        ]}});
        assert_eq!(
            worst_pod_reason(&[pending]).unwrap(),
            "pod web-1 Unschedulable: 0/3 nodes are available"
        );
        let evicted = json!({"metadata": {"name": "web-1"}, "status": {"phase": "Failed", "reason": "Evicted", "message": "disk"}});
        assert_eq!(
            worst_pod_reason(&[evicted]).unwrap(),
            "pod web-1 Evicted: disk"
        );
    }

    #[test]
    fn a_pod_on_its_way_out_and_one_that_ended_well_are_not_told() {
        let mut leaving = pod("web-1", &crashing());
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let mut done = pod(
            "job-1",
            &json!({"name": "app", "ready": false, "state": {"terminated": {"exitCode": 0}}}),
        );
        done["status"]["phase"] = "Succeeded".into();
        assert_eq!(worst_pod_reason(&[leaving, done]), None);
    }

    #[test]
    fn a_long_answer_of_a_registry_is_cut() {
        let state = json!({"waiting": {"reason": "ErrImagePull", "message": "ü".repeat(4_000)}});
        let reason =
            worst_pod_reason(&[pod("web-1", &json!({"name": "app", "state": state}))]).unwrap();
        assert!(
            reason.len() <= MAX_REASON
                && reason.starts_with("pod web-1 container app: ErrImagePull: ü"),
            "{reason}"
        );
    }
}
