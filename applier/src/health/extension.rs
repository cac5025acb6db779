//! What extends the API itself: objects of the kinds that it serves must wait for it.

use super::Health;
use super::fields::Fields;

pub(super) fn api_service(object: Fields<'_>) -> Health {
    match object.condition("Available") {
        Some(available) if available.is_true() => Health::healthy(available.says()),
        Some(available) => Health::progressing(available.says()),
        None => Health::progressing("Waiting to be processed"),
    }
}

/// Argo CD calls a definition degraded while it has conditions and none says `Established`; that is a moment that every new one goes
/// through, so here it progresses.
pub(super) fn definition(object: Fields<'_>) -> Health {
    if let Some(terminating) = object
        .condition("Terminating")
        .filter(|terminating| terminating.is_true())
    {
        return Health::progressing(format!("Is being deleted: {}", terminating.says()));
    }
    if let Some(names) = object
        .condition("NamesAccepted")
        .filter(|names| names.is_false())
    {
        return Health::degraded(format!("Names are not accepted: {}", names.says()));
    }
    if let Some(schema) = object
        .condition("NonStructuralSchema")
        .filter(|schema| schema.is_true())
    {
        return Health::degraded(format!("The schema is not structural: {}", schema.says()));
    }
    match object.condition("Established") {
        Some(established) if established.is_true() => Health::healthy(""),
        Some(established) if established.reason != "Installing" => {
            Health::degraded(format!("Is not established: {}", established.says()))
        }
        _ => Health::progressing("Waiting to be established"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{HealthStatus, assess};

    fn of(api_version: &str, kind: &str, conditions: &Value) -> HealthStatus {
        assess(
            &json!({"apiVersion": api_version, "kind": kind, "status": {"conditions": conditions}}),
        )
        .unwrap()
        .status
    }

    #[test]
    fn an_api_service_waits_to_be_available() {
        let service = |conditions| of("apiregistration.k8s.io/v1", "APIService", &conditions);
        assert_eq!(service(json!([])), HealthStatus::Progressing);
        assert_eq!(
            service(json!([{"type": "Available", "status": "False"}])),
            HealthStatus::Progressing
        );
        assert_eq!(
            service(json!([{"type": "Available", "status": "True"}])),
            HealthStatus::Healthy
        );
    }

    #[test]
    fn a_definition_waits_to_be_established_and_may_lose_its_names() {
        let definition = |conditions| {
            of(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                &conditions,
            )
        };
        assert_eq!(definition(json!([])), HealthStatus::Progressing);
        assert_eq!(
            definition(json!([{"type": "Established", "status": "True"}])),
            HealthStatus::Healthy
        );
        let taken = json!([{"type": "Established", "status": "True"}, {"type": "NamesAccepted", "status": "False"}]);
        assert_eq!(definition(taken), HealthStatus::Degraded);
        let loose = json!([{"type": "Established", "status": "True"}, {"type": "NonStructuralSchema", "status": "True"}]);
        assert_eq!(definition(loose), HealthStatus::Degraded);
    }
}
