//! `HorizontalPodAutoscaler`, whose conditions are in an annotation in `autoscaling/v1`.

use serde_json::Value;

use super::Health;
use super::fields::{Condition, Fields, conditions};

const V1_CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

pub(super) fn autoscaler(object: Fields<'_>) -> Health {
    if object.text("/apiVersion") != "autoscaling/v1" {
        return judge(object.conditions());
    }
    match object.annotation(V1_CONDITIONS) {
        "" => judge(std::iter::empty()),
        text => match serde_json::from_str::<Vec<Value>>(text) {
            Ok(list) => judge(conditions(&list)),
            Err(error) => {
                Health::unknown(format!("cannot read annotation {V1_CONDITIONS}: {error}"))
            }
        },
    }
}

/// One condition that says what is wrong outweighs all others.
fn judge<'a>(conditions: impl Iterator<Item = (&'a str, Condition<'a>)>) -> Health {
    let mut works = None;
    for (kind, condition) in conditions {
        if is_fault(kind, condition.reason) {
            return Health::degraded(condition.message);
        }
        if matches!(kind, "AbleToScale" | "ScalingLimited") && condition.is_true() {
            works = works.or(Some(condition.message));
        }
    }
    match works {
        Some(message) => Health::healthy(message),
        None => Health::progressing("Waiting to autoscale"),
    }
}

fn is_fault(kind: &str, reason: &str) -> bool {
    match kind {
        "AbleToScale" => matches!(reason, "FailedGetScale" | "FailedUpdateScale"),
        "ScalingActive" => matches!(
            reason,
            "FailedGetResourceMetric"
                | "FailedGetContainerResourceMetric"
                | "FailedGetObjectMetric"
                | "FailedGetPodsMetric"
                | "FailedGetExternalMetric"
                | "FailedComputeMetricsReplicas"
                | "InvalidSelector"
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{HealthStatus, assess};

    fn v2(conditions: &Value) -> HealthStatus {
        let object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "status": {"conditions": conditions},
        });
        assess(&object).unwrap().status
    }

    fn v1(annotation: Option<&str>) -> HealthStatus {
        let mut object = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"annotations": {}}});
        if let Some(text) = annotation {
            object["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/conditions"] =
                text.into();
        }
        assess(&object).unwrap().status
    }

    #[test]
    fn an_autoscaler_that_can_scale_is_healthy_and_one_that_cannot_is_degraded() {
        assert_eq!(v2(&json!([])), HealthStatus::Progressing);
        assert_eq!(
            v2(&json!([{"type": "AbleToScale", "status": "True", "reason": "SucceededRescale"}])),
            HealthStatus::Healthy
        );
        assert_eq!(
            v2(&json!([{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale"}])),
            HealthStatus::Degraded
        );
        let metric = json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric"}]);
        assert_eq!(v2(&metric), HealthStatus::Degraded);
    }

    #[test]
    fn the_first_version_keeps_its_conditions_in_an_annotation() {
        assert_eq!(v1(None), HealthStatus::Progressing);
        assert_eq!(
            v1(Some(r#"[{"type":"AbleToScale","status":"True"}]"#)),
            HealthStatus::Healthy
        );
        assert_eq!(v1(Some("not json")), HealthStatus::Unknown);
    }
}
