//! What waits for something from outside the cluster: Service and Ingress for an address, a claim for its volume.

use super::Health;
use super::fields::Fields;

pub(super) fn service(object: Fields<'_>) -> Health {
    if object.text("/spec/type") == "LoadBalancer" {
        address(object)
    } else {
        Health::healthy("")
    }
}

pub(super) fn ingress(object: Fields<'_>) -> Health {
    address(object)
}

fn address(object: Fields<'_>) -> Health {
    if object.list("/status/loadBalancer/ingress").is_empty() {
        Health::progressing("Waiting for a load balancer's address")
    } else {
        Health::healthy("")
    }
}

pub(super) fn volume_claim(object: Fields<'_>) -> Health {
    match object.text("/status/phase") {
        "Bound" => Health::healthy(""),
        "Pending" => Health::progressing("Waiting for a volume"),
        "Lost" => Health::degraded("The bound volume is gone"),
        _ => Health::unknown(""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{HealthStatus, assess};

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn status(api_version: &str, kind: &str, spec: Value, status: Value) -> HealthStatus {
        assess(&json!({"apiVersion": api_version, "kind": kind, "spec": spec, "status": status}))
            .unwrap()
            .status
    }

    #[test]
    fn only_a_load_balancer_waits_for_an_address() {
        let given = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
        assert_eq!(
            status("v1", "Service", json!({"type": "ClusterIP"}), json!({})),
            HealthStatus::Healthy
        );
        assert_eq!(
            status("v1", "Service", json!({}), json!({})),
            HealthStatus::Healthy
        );
        assert_eq!(
            status("v1", "Service", json!({"type": "LoadBalancer"}), json!({})),
            HealthStatus::Progressing
        );
        assert_eq!(
            status(
                "v1",
                "Service",
                json!({"type": "LoadBalancer"}),
                given.clone()
            ),
            HealthStatus::Healthy
        );
        assert_eq!(
            status("networking.k8s.io/v1", "Ingress", json!({}), json!({})),
            HealthStatus::Progressing
        );
        assert_eq!(
            status("networking.k8s.io/v1", "Ingress", json!({}), given),
            HealthStatus::Healthy
        );
    }

    #[test]
    fn a_claim_is_as_its_phase_says() {
        let claim = |phase: &str| {
            status(
                "v1",
                "PersistentVolumeClaim",
                json!({}),
                json!({"phase": phase}),
            )
        };
        assert_eq!(claim("Bound"), HealthStatus::Healthy);
        assert_eq!(claim("Pending"), HealthStatus::Progressing);
        assert_eq!(claim("Lost"), HealthStatus::Degraded);
        assert_eq!(claim(""), HealthStatus::Unknown);
    }
}
