//! Argo's own kinds: a child `Application` says its health itself, a `Workflow` its phase.

use super::fields::Fields;
use super::{Health, HealthStatus};

pub(super) fn application(object: Fields<'_>) -> Health {
    let said = object.text("/status/health/status");
    let message = object.text("/status/health/message");
    if said.is_empty() {
        return Health::progressing("Waiting for the application's first status");
    }
    let known = HealthStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == said);
    match known {
        Some(status) => Health::new(status, message),
        None => Health::unknown(format!("the application says `{said}`")),
    }
}

pub(super) fn workflow(object: Fields<'_>) -> Health {
    let message = object.text("/status/message");
    match object.text("/status/phase") {
        "" | "Pending" | "Running" => Health::progressing(message),
        "Succeeded" => Health::healthy(message),
        "Failed" | "Error" => Health::degraded(message),
        _ => Health::unknown(message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Health, HealthStatus, assess};

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn of(kind: &str, status: Value) -> Health {
        assess(&json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "status": status}))
            .unwrap()
    }

    #[test]
    fn a_child_application_is_as_healthy_as_it_says() {
        for status in HealthStatus::ALL {
            let said = json!({"health": {"status": status.as_str(), "message": "why"}});
            assert_eq!(of("Application", said), Health::new(status, "why"));
        }
        assert_eq!(
            of("Application", json!({})).status,
            HealthStatus::Progressing
        );
        assert_eq!(
            of("Application", json!({"health": {"status": "Splendid"}})).status,
            HealthStatus::Unknown
        );
    }

    #[test]
    fn a_workflow_is_as_its_phase_says() {
        for (phase, status) in [
            ("", HealthStatus::Progressing),
            ("Running", HealthStatus::Progressing),
            ("Succeeded", HealthStatus::Healthy),
            ("Failed", HealthStatus::Degraded),
            ("Error", HealthStatus::Degraded),
            ("Strange", HealthStatus::Unknown),
        ] {
            assert_eq!(
                of("Workflow", json!({"phase": phase})).status,
                status,
                "{phase}"
            );
        }
    }
}
