//! Kinds that nobody wrote a rule for, by the conventions of kstatus: `observedGeneration` and the conditions `Stalled`,
//! `Reconciling` and `Ready`. An object that follows none of them has no health.

use super::Health;
use super::fields::Fields;

pub(super) fn assess(object: Fields<'_>) -> Option<Health> {
    let observes = object.number("/status/observedGeneration");
    if observes.is_some_and(|observed| observed < object.count("/metadata/generation")) {
        return Some(Health::progressing(
            "The newest specification has not been observed yet",
        ));
    }
    let holds = |kind| {
        object
            .condition(kind)
            .filter(|condition| condition.is_true())
    };
    if let Some(stalled) = holds("Stalled") {
        return Some(Health::degraded(stalled.says()));
    }
    if let Some(reconciling) = holds("Reconciling") {
        return Some(Health::progressing(reconciling.says()));
    }
    match object.condition("Ready") {
        Some(ready) if ready.is_true() => Some(Health::healthy(ready.message)),
        Some(ready) => Some(Health::progressing(ready.says())),
        None => observes.map(|_| Health::healthy("")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Health, HealthStatus, assess};

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn of(status: Value) -> Option<Health> {
        assess(
            &json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"generation": 2}, "status": status}),
        )
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "Why", "message": "told"})
    }

    #[test]
    fn an_object_that_follows_no_convention_has_no_health() {
        assert_eq!(of(json!({})), None);
        assert_eq!(
            of(json!({"conditions": [condition("Custom", "True")]})),
            None
        );
    }

    #[test]
    fn ready_decides_when_nothing_else_speaks() {
        assert_eq!(
            of(json!({"conditions": [condition("Ready", "True")]})),
            Some(Health::healthy("told"))
        );
        assert_eq!(
            of(json!({"conditions": [condition("Ready", "False")]})),
            Some(Health::progressing("Why: told"))
        );
        assert_eq!(
            of(json!({"conditions": [condition("Ready", "Unknown")]}))
                .unwrap()
                .status,
            HealthStatus::Progressing
        );
    }

    #[test]
    fn stalled_is_worse_than_ready_and_reconciling() {
        let all = json!({"conditions": [condition("Ready", "True"), condition("Reconciling", "True"), condition("Stalled", "True")]});
        assert_eq!(of(all).unwrap().status, HealthStatus::Degraded);
        let busy = json!({"conditions": [condition("Ready", "True"), condition("Reconciling", "True"), condition("Stalled", "False")]});
        assert_eq!(of(busy).unwrap().status, HealthStatus::Progressing);
    }

    #[test]
    fn what_was_observed_before_the_newest_specification_does_not_count() {
        let old = json!({"observedGeneration": 1, "conditions": [condition("Ready", "True")]});
        assert_eq!(of(old).unwrap().status, HealthStatus::Progressing);
        assert_eq!(
            of(json!({"observedGeneration": 2})),
            Some(Health::healthy(""))
        );
    }
}
