//! What the monitor does, step by step, on one stack.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bus::message::command::{Action, Command};
use bus::message::event::{Event, EventKind};
use bus::message::state::{HealthStatus, OperationPhase, PinUntil, ReleaseCause};
use bus::subject::{self, Bucket, Stream};
use bus::{ClusterId, Outcome};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::setup::{Towline, soon, until};
use crate::states;

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_kept_in_step_and_commands_let_in() {
    let towline = Box::pin(Towline::start()).await;
    a_status_settles(&towline).await;
    a_failed_render_is_a_condition(&towline).await;
    a_release_is_told_to_kubernetes_once(&towline).await;
    an_operation_in_the_object_becomes_a_command(&towline).await;
    a_refresh_that_was_carried_out_is_taken_away(&towline).await;
    a_command_needs_a_token_and_the_right(&towline).await;
    the_page_and_the_metrics_show_it(&towline).await;
    many_changes_at_once_settle_soon(&towline).await;
    a_deleted_application_goes_when_its_cluster_says_so(&towline).await;
    towline.stops_cleanly().await;
}

async fn a_status_settles(towline: &Towline) {
    towline.apply(&states::object("dome")).await;
    towline.say("dome", 3).await;
    let object = towline
        .settled("dome", |object| {
            object["status"]["health"]["status"] == "Healthy"
        })
        .await;
    assert_eq!(object["status"]["sync"]["status"], "Synced");
    assert_eq!(object["status"]["sync"]["revision"], states::revision(3));
    assert_eq!(object["status"]["operationState"]["phase"], "Succeeded");
    assert_eq!(object["status"]["resources"].as_array().unwrap().len(), 1);
    // The same state again writes nothing.
    towline.say("dome", 3).await;
    towline.apply(&states::object("other")).await;
    towline.say("other", 3).await;
    towline
        .settled("other", |object| {
            object["status"]["health"]["status"] == "Healthy"
        })
        .await;
    let after = towline.get("dome").await.unwrap();
    assert_eq!(
        after["metadata"]["resourceVersion"],
        object["metadata"]["resourceVersion"]
    );
}

async fn a_failed_render_is_a_condition(towline: &Towline) {
    let mut failed = states::watcher("dome", 4, &towline.uid("dome").await);
    failed.conditions = vec![states::render_error()];
    towline.put_watcher(&failed).await;
    let object = towline
        .settled("dome", |object| object["status"]["conditions"].is_array())
        .await;
    assert_eq!(object["status"]["conditions"][0]["type"], "ComparisonError");
    assert_eq!(object["status"]["sync"]["status"], "Unknown");
    assert_eq!(object["status"]["health"]["status"], "Healthy");
    towline.say("dome", 4).await;
    let object = towline
        .settled("dome", |object| {
            object["status"]["sync"]["status"] == "Synced"
        })
        .await;
    assert_eq!(object["status"].get("conditions"), None);
}

async fn a_release_is_told_to_kubernetes_once(towline: &Towline) {
    let event = |kind, message: &str| {
        Event::new(
            &states::app("dome"),
            &ClusterId::in_cluster(),
            kind,
            message,
        )
    };
    let started = event(EventKind::ReleaseStarted, "release 7 began");
    towline.applier.event(&started).await;
    // As after a crash before the broker said that it has it.
    towline.applier.event(&started).await;
    let mut failed = event(EventKind::ReleaseFailed, "no such kind");
    failed.time = started.time + 1;
    towline.applier.event(&failed).await;
    let expected = [
        ("OperationStarted".to_owned(), "release 7 began".to_owned()),
        ("OperationCompleted".to_owned(), "no such kind".to_owned()),
    ];
    until("Kubernetes knows", async || {
        towline.told("dome").await == expected
    })
    .await;
}

async fn an_operation_in_the_object_becomes_a_command(towline: &Towline) {
    let operation =
        json!({"operation": {"initiatedBy": {"username": "vera"}, "sync": {"prune": true}}});
    towline.merge("dome", &operation).await;
    let command = towline.command().await;
    assert_eq!(command.user, "vera (by Application.operation)");
    assert!(
        matches!(command.action, Action::Sync { prune: true, .. }),
        "{:?}",
        command.action
    );
    let object = towline
        .settled("dome", |object| object.get("operation").is_none())
        .await;
    assert_eq!(object["status"]["operationState"]["phase"], "Running");
    assert_eq!(
        object["status"]["operationState"]["operation"]["sync"],
        json!({"prune": true})
    );

    let mut carried_out = states::applier("dome", 4, &towline.uid("dome").await);
    let release = carried_out.operation.as_mut().unwrap();
    release.cause = ReleaseCause::Command {
        user: command.user,
        id: command.id,
    };
    release.phase = OperationPhase::Failed;
    towline.put_applier(&carried_out).await;
    towline
        .settled("dome", |object| {
            object["status"]["operationState"]["phase"] == "Failed"
        })
        .await;
}

async fn a_refresh_that_was_carried_out_is_taken_away(towline: &Towline) {
    let annotation = json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}});
    let asked = towline.merge("dome", &annotation).await;
    let mut refreshed = states::watcher("dome", 4, &towline.uid("dome").await);
    let version = asked["metadata"]["resourceVersion"].as_str().unwrap();
    refreshed.refreshed = Some(bus::message::state::Refreshed {
        resource_version: version.to_owned(),
        time: bus::clock::now_ms(),
    });
    towline.put_watcher(&refreshed).await;
    let gone = |object: &Value| {
        object["metadata"]["annotations"]
            .get("argocd.argoproj.io/refresh")
            .is_none()
    };
    towline.settled("dome", gone).await;
}

async fn a_command_needs_a_token_and_the_right(towline: &Towline) {
    let path = "/api/v1/applications/argocd/dome/rollback";
    assert_eq!(
        towline.post(path, "nobody's").await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        towline.post(path, &towline.token("guest")).await.status(),
        StatusCode::FORBIDDEN
    );
    let answer = towline.post(path, &towline.token("pilot")).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let id = answer.json::<Value>().await.unwrap()["id"].clone();
    let command = towline.command().await;
    assert_eq!(id, command.id);
    assert_eq!(command.user, "pilot");
    assert_eq!(
        command.action,
        Action::Rollback {
            release: None,
            until: PinUntil::Unpinned
        }
    );
    let events = towline.read("/api/v1/events?app=argocd/dome", &towline.token("guest"));
    until("the command is in the audit", async || {
        events().await.contains("command.accepted")
    })
    .await;
}

async fn the_page_and_the_metrics_show_it(towline: &Towline) {
    let page = towline.read("/", "")().await;
    assert!(page.contains("dome") && page.contains("Healthy"), "{page}");
    let metrics = towline.metrics().await;
    let info = metrics
        .lines()
        .find(|line| line.starts_with("argocd_app_info") && line.contains("name=\"dome\""));
    assert!(
        info.unwrap().contains("health_status=\"Healthy\""),
        "{metrics}"
    );
    assert!(metrics.contains("argocd_app_sync_total"), "{metrics}");
}

async fn many_changes_at_once_settle_soon(towline: &Towline) {
    let count =
        std::env::var("TOWLINE_TEST_APPLICATIONS").map_or(200, |count| count.parse().unwrap());
    let names: Vec<String> = (0..count).map(|number| format!("many-{number}")).collect();
    let mut uids = Vec::new();
    for name in &names {
        towline.apply(&states::object(name)).await;
        uids.push(towline.uid(name).await);
    }
    let say = async |generation, health| {
        let puts = names.iter().zip(&uids).map(|(name, uid)| async move {
            let mut state = states::applier(name, generation, uid);
            state.health.status = health;
            towline
                .put_watcher(&states::watcher(name, generation, uid))
                .await;
            towline.put_applier(&state).await;
        });
        let all = futures::stream::iter(puts).buffer_unordered(32);
        all.collect::<()>().await;
    };
    towline
        .all_show(count, "Missing", async || {
            say(3, HealthStatus::Missing).await;
        })
        .await;
    let before = towline.used();
    let took = towline
        .all_show(count, "Degraded", async || {
            say(4, HealthStatus::Degraded).await;
        })
        .await;
    let after = towline.used();
    println!(
        "{count} statuses settled {took:?} after the last of {count} states; {} ms of CPU, {} MiB resident",
        after.cpu_ms - before.cpu_ms,
        after.resident_mib
    );
    assert!(
        took < Duration::from_secs(2) * (count / 200 + 1),
        "{took:?}"
    );
}

async fn a_deleted_application_goes_when_its_cluster_says_so(towline: &Towline) {
    let uid = towline.uid("dome").await;
    towline.delete("dome").await;
    assert!(
        towline.get("dome").await.is_some(),
        "its finalizer holds it"
    );
    let mut deleted = states::applier("dome", 5, &uid);
    deleted.deleted = Some(uid);
    towline.put_applier(&deleted).await;
    until("the object is gone", async || {
        towline.get("dome").await.is_none()
    })
    .await;
    let key = subject::state(
        "applier",
        Some(&ClusterId::in_cluster()),
        &states::app("dome"),
    );
    let state = async || {
        let state = towline
            .applier
            .get::<bus::message::state::ApplierState>(Bucket::State, &key)
            .await;
        state.unwrap().is_none()
    };
    until("its states are gone", state).await;
}

impl Towline {
    /// Does `change`, then waits until `count` objects show that health; the time from the end of the change.
    async fn all_show(&self, count: u32, health: &str, change: impl AsyncFn()) -> Duration {
        let mut objects = Box::pin(self.follow());
        let mut shown = BTreeSet::new();
        let mut changed = None;
        let mut change = Box::pin(change());
        soon("all statuses", async {
            while shown.len() < count as usize {
                tokio::select! {
                    () = &mut change, if changed.is_none() => changed = Some(Instant::now()),
                    Some(object) = objects.next() => {
                        if object["status"]["health"]["status"] == health {
                            shown.insert(object["metadata"]["name"].to_string());
                        }
                    }
                }
            }
        })
        .await;
        changed.map(|changed| changed.elapsed()).unwrap_or_default()
    }

    /// The next command that reaches the cluster's applier.
    async fn command(&self) -> Command {
        let durable = subject::applier_commands(&ClusterId::in_cluster());
        let work = self.applier.work::<Command>(Stream::Commands, &durable);
        let delivery = soon("a command", work.next()).await;
        let command = delivery.value.clone();
        delivery.finish(Outcome::Done).await;
        command
    }
}
