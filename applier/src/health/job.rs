//! What runs to its end: Job, and `CronJob` that makes them.

use super::Health;
use super::fields::Fields;

pub(super) fn job(object: Fields<'_>) -> Health {
    let holds = |kind| {
        object
            .condition(kind)
            .filter(|condition| condition.is_true())
    };
    if let Some(failed) = holds("Failed") {
        return Health::degraded(failed.says());
    }
    if let Some(complete) = holds("Complete") {
        return Health::healthy(complete.message);
    }
    // A resumed Job keeps the condition with status False, and runs.
    if let Some(suspended) = holds("Suspended") {
        return Health::suspended(suspended.message);
    }
    let failed = object.count("/status/failed");
    if failed > 0 {
        return Health::progressing(format!("{failed} pods have failed, the Job tries again"));
    }
    Health::progressing("")
}

pub(super) fn cron_job(object: Fields<'_>) -> Health {
    // As in Argo CD: that a schedule rests says nothing of the application as a whole.
    if object.is_true("/spec/suspend") {
        return Health::healthy("CronJob is suspended");
    }
    if !object.has("/status") {
        return Health::progressing("Waiting for the CronJob to be observed");
    }
    let scheduled = object.text("/status/lastScheduleTime");
    let succeeded = object.text("/status/lastSuccessfulTime");
    if scheduled.is_empty() {
        return Health::healthy("Not scheduled yet");
    }
    if succeeded.is_empty() {
        // It may run for the first time, or never have succeeded: the status doesn't tell.
        return Health::healthy("No run has succeeded yet");
    }
    if !object.list("/status/active").is_empty() {
        return Health::healthy("A run is active");
    }
    // Both are RFC 3339 in UTC with whole seconds, so their order as texts is their order in time.
    if succeeded < scheduled {
        return Health::degraded("The last run did not succeed");
    }
    Health::healthy("The last run succeeded")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Health, HealthStatus, assess};

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn job(status: Value) -> Health {
        assess(&json!({"apiVersion": "batch/v1", "kind": "Job", "status": status})).unwrap()
    }

    fn condition(kind: &str, status: &str, message: &str) -> Value {
        json!({"conditions": [{"type": kind, "status": status, "reason": "Because", "message": message}]})
    }

    #[test]
    fn a_job_is_progressing_until_a_condition_says_how_it_ended() {
        assert_eq!(job(json!({})).status, HealthStatus::Progressing);
        assert_eq!(job(json!({"active": 1})).status, HealthStatus::Progressing);
        assert_eq!(
            job(condition("SuccessCriteriaMet", "True", "")).status,
            HealthStatus::Progressing
        );
        assert_eq!(
            job(condition("Complete", "True", "ok")),
            Health::healthy("ok")
        );
        assert_eq!(
            job(condition("Failed", "True", "too often")),
            Health::degraded("Because: too often")
        );
    }

    #[test]
    fn a_suspended_job_is_suspended_and_a_resumed_one_runs() {
        assert_eq!(
            job(condition("Suspended", "True", "Job suspended")).status,
            HealthStatus::Suspended
        );
        assert_eq!(
            job(condition("Suspended", "False", "Job resumed")).status,
            HealthStatus::Progressing
        );
    }

    #[test]
    fn a_job_that_tries_again_says_so() {
        assert!(
            job(json!({"failed": 2}))
                .message
                .contains("2 pods have failed")
        );
    }

    #[test]
    fn a_cron_job_is_degraded_when_its_last_run_failed() {
        let cron = |spec: Value, status: Value| {
            assess(&json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": spec, "status": status})).unwrap().status
        };
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        assert_eq!(
            cron(json!({"suspend": true}), json!({})),
            HealthStatus::Healthy
        );
        assert_eq!(cron(json!({}), Value::Null), HealthStatus::Progressing);
        assert_eq!(cron(json!({}), json!({})), HealthStatus::Healthy);
        assert_eq!(
            cron(json!({}), json!({"lastScheduleTime": late})),
            HealthStatus::Healthy
        );
        let failed = json!({"lastScheduleTime": late, "lastSuccessfulTime": early});
        assert_eq!(cron(json!({}), failed), HealthStatus::Degraded);
        let running = json!({"lastScheduleTime": late, "lastSuccessfulTime": early, "active": [{"name": "x"}]});
        assert_eq!(cron(json!({}), running), HealthStatus::Healthy);
        let fine = json!({"lastScheduleTime": early, "lastSuccessfulTime": late});
        assert_eq!(cron(json!({}), fine), HealthStatus::Healthy);
    }
}
