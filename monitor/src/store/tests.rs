use bus::message::state::OperationPhase;
use bus::{Generation, ReleaseId};
use serde_json::json;

use super::*;
use crate::sample;

fn store() -> Store {
    let store = Store::default();
    store.declare(sample::declared(&sample::object("dome")));
    store.put_watcher(Some(ClusterId::in_cluster()), sample::watcher("dome", 3));
    store
}

fn verified() -> Verified {
    Verified {
        repo_url: sample::REPOSITORY.to_owned(),
        target_revision: "main".to_owned(),
        revision: "newest".to_owned(),
        time: sample::NOW,
    }
}

#[test]
fn what_was_there_before_us_is_not_counted() {
    let store = store();
    let (_, step) = store.put_applier(sample::applier("dome", 3));
    assert_eq!(step, Progress::default());
    store.caught_up();
    let (view, step) = store.put_applier(sample::applier("dome", 4));
    assert_eq!(step.finished, Some(OperationPhase::Succeeded));
    assert_eq!(view.live_generation, Some(Generation(4)));
}

#[tokio::test]
async fn a_checked_commit_is_joined_when_read_and_wakes_nobody() {
    let store = store();
    store.put_applier(sample::applier("dome", 3));
    assert_eq!(store.changed().await.len(), 1);
    let mut notices = store.listen();
    store.verify(
        &bus::subject::branch(sample::REPOSITORY, "main"),
        verified(),
    );
    assert_eq!(
        store.view(&sample::app("dome")).unwrap().revisions,
        ["newest"]
    );
    assert_eq!(
        store.subject(&sample::app("dome")).unwrap().compared,
        [sample::revision(3)]
    );
    assert!(notices.try_recv().is_err());
}

#[test]
fn the_same_state_again_is_no_news() {
    let store = store();
    store.put_applier(sample::applier("dome", 3));
    let mut notices = store.listen();
    store.put_applier(sample::applier("dome", 3));
    assert!(notices.try_recv().is_err());
}

#[test]
fn an_application_is_forgotten_when_nobody_speaks_of_it() {
    let store = store();
    store.undeclare(&sample::app("dome"));
    assert!(store.view(&sample::app("dome")).is_some());
    store.forget(
        Speaker::Watcher,
        Some(&ClusterId::in_cluster()),
        &sample::app("dome"),
    );
    assert!(store.view(&sample::app("dome")).is_none());
    assert!(store.views().is_empty());
}

#[test]
fn only_a_whole_list_shows_that_an_object_is_gone() {
    let store = Store::default();
    store.put_watcher(None, sample::watcher("dome", 3));
    assert!(!store.subject(&sample::app("dome")).unwrap().gone);
    store.listed(&BTreeSet::new());
    assert!(store.subject(&sample::app("dome")).unwrap().gone);
}

#[test]
fn a_request_waits_for_its_own_release() {
    let store = store();
    store.put_applier(sample::applier("dome", 3));
    let asked = Requested {
        id: "one".to_owned(),
        operation: serde_json::from_value(json!({"sync": {}})).unwrap(),
        at: sample::NOW,
        refused: None,
    };
    store.request(&sample::app("dome"), asked.clone());
    assert!(
        store
            .view(&sample::app("dome"))
            .unwrap()
            .requested
            .is_some()
    );
    store.put_applier(sample::applier("dome", 3));
    assert!(
        store
            .view(&sample::app("dome"))
            .unwrap()
            .requested
            .is_some()
    );

    let mut carried_out = sample::applier("dome", 3);
    let operation = carried_out.operation.as_mut().unwrap();
    operation.release = ReleaseId(4);
    operation.cause = ReleaseCause::Command {
        user: "vera".to_owned(),
        id: "one".to_owned(),
    };
    store.put_applier(carried_out);
    assert!(
        store
            .view(&sample::app("dome"))
            .unwrap()
            .requested
            .is_none()
    );
    store.request(&sample::app("dome"), asked);
    assert!(
        store
            .view(&sample::app("dome"))
            .unwrap()
            .requested
            .is_none(),
        "answered already"
    );
}

#[test]
fn a_refusal_reaches_the_request_that_it_is_about() {
    let store = store();
    let app = sample::app("dome");
    let operation = serde_json::from_value(json!({"sync": {}})).unwrap();
    store.request(
        &app,
        Requested {
            id: "one".to_owned(),
            operation,
            at: sample::NOW,
            refused: None,
        },
    );
    let refusal = |id: &str| {
        Event::new(
            &app,
            &ClusterId::in_cluster(),
            EventKind::CommandRefused,
            "pinned",
        )
        .detail("command", id)
    };
    store.record(1, refusal("another"));
    assert_eq!(store.view(&app).unwrap().requested.unwrap().refused, None);
    store.record(2, refusal("one"));
    assert_eq!(
        store
            .view(&app)
            .unwrap()
            .requested
            .unwrap()
            .refused
            .as_deref(),
        Some("pinned")
    );
}

#[test]
fn a_thousand_applications_are_folded_and_read_at_once() {
    let store = Store::default();
    for number in 0..1_000 {
        let name = format!("dome-{number}");
        store.declare(sample::declared(&sample::object(&name)));
        store.put_watcher(Some(ClusterId::in_cluster()), sample::watcher(&name, 3));
        store.put_applier(sample::applier(&name, 3));
    }
    store.verify(
        &bus::subject::branch(sample::REPOSITORY, "main"),
        verified(),
    );
    assert!(
        store
            .views()
            .iter()
            .all(|view| view.revisions == ["newest"])
    );
}
