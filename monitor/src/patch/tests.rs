use bus::message::state::Refreshed;

use super::*;
use crate::sample;
use crate::status::fields;
use crate::view::View;

const NOW: u64 = sample::NOW;

/// The object as it is once `ops` were applied to it; only what the tests need of RFC 6902.
fn applied(mut object: Value, ops: &Ops) -> Value {
    for op in ops {
        let path = op["path"].as_str().unwrap();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match op["op"].as_str().unwrap() {
            "add" => drop(parent.insert(key, op["value"].clone())),
            "remove" => drop(parent.remove(&key).unwrap()),
            "test" => assert_eq!(parent[&key], op["value"]),
            other => panic!("{other}"),
        }
    }
    object
}

fn subject(view: View) -> Subject {
    Subject {
        compared: view.revisions.clone(),
        view,
        declared: None,
        refreshed: None,
        gone: false,
        spoken: Vec::new(),
    }
}

fn status_ops(subject: &Subject, object: &Value, written: Option<&Written>) -> Ops {
    let declared = sample::declared(object);
    let fields = fields(&subject.view, &declared, NOW).unwrap();
    status(&fields, subject, &declared.shown, written, NOW)
}

/// An object whose status is in step with the sample view.
fn in_step() -> Value {
    let object = sample::object("dome");
    let ops = status_ops(&subject(sample::view("dome")), &object, None);
    applied(object, &ops)
}

#[test]
fn an_object_without_status_gets_all_of_it() {
    let object = in_step();
    assert_eq!(object["status"]["health"]["status"], "Healthy");
    assert_eq!(object["status"]["reconciledAt"], "2026-03-04T05:06:07Z");
}

#[test]
fn an_object_in_step_costs_nothing() {
    let ops = status_ops(&subject(sample::view("dome")), &in_step(), None);
    assert_eq!(ops, Ops::new());
}

#[test]
fn only_what_changed_is_written_and_nothing_old_stays_in_it() {
    let mut object = in_step();
    object["status"]["health"] = json!({"status": "Degraded", "message": "CrashLoopBackOff"});
    let ops = status_ops(&subject(sample::view("dome")), &object, None);
    let paths: Vec<_> = ops.iter().map(|op| op["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/status/health", "/status/reconciledAt"]);
    assert_eq!(
        applied(object, &ops)["status"]["health"].get("message"),
        None
    );
}

#[test]
fn a_condition_that_is_over_is_removed() {
    let mut object = in_step();
    object["status"]["conditions"] = json!([{"type": "ComparisonError", "message": "x"}]);
    let ops = status_ops(&subject(sample::view("dome")), &object, None);
    assert_eq!(
        ops[0],
        json!({"op": "remove", "path": "/status/conditions"})
    );
}

#[test]
fn fields_that_are_not_ours_are_left_alone() {
    let mut object = in_step();
    object["status"]["sourceHydrator"] = json!({"x": 1});
    assert_eq!(
        status_ops(&subject(sample::view("dome")), &object, None),
        Ops::new()
    );
}

#[test]
fn a_commit_that_changed_nothing_of_it_writes_nothing() {
    let mut checked = subject(sample::view("dome"));
    checked.view.revisions = vec!["newest".to_owned()];
    let written = Written {
        compared: checked.compared.clone(),
        ..Written::default()
    };
    assert_eq!(status_ops(&checked, &in_step(), Some(&written)), Ops::new());
    assert_eq!(status_ops(&checked, &in_step(), None), Ops::new());
}

#[test]
fn a_commit_that_was_compared_anew_is_written_though_a_newer_one_was_checked() {
    let mut checked = subject(sample::view("dome"));
    checked.view.revisions = vec!["newest".to_owned()];
    let written = Written {
        compared: vec!["older".to_owned()],
        ..Written::default()
    };
    let ops = status_ops(&checked, &in_step(), Some(&written));
    assert_eq!(ops[0]["value"]["revision"], "newest");
}

#[test]
fn a_checked_commit_goes_along_when_something_else_is_written() {
    let mut checked = subject(sample::view("dome"));
    checked.view.revisions = vec!["newest".to_owned()];
    let mut object = in_step();
    object["status"]["health"]["status"] = json!("Degraded");
    let written = applied(object.clone(), &status_ops(&checked, &object, None));
    assert_eq!(written["status"]["sync"]["revision"], "newest");
}

#[test]
fn a_watch_that_lags_and_a_status_that_is_fought_over_are_noticed() {
    let declared = sample::declared(&sample::object("dome"));
    let patched = |version| Written {
        wanted: 7,
        patch: Some(Patched {
            version: Some(version),
            at: NOW,
        }),
        ..Written::default()
    };
    assert!(lags(&declared, Some(&patched(101))));
    assert!(!lags(&declared, Some(&patched(100))));
    assert!(!lags(&declared, None));
    let ops = vec![json!({})];
    assert!(is_fought(&ops, 7, Some(&patched(100)), NOW + 1));
    assert!(!is_fought(&ops, 8, Some(&patched(100)), NOW + 1));
    assert!(!is_fought(&ops, 7, Some(&patched(100)), NOW + FOUGHT));
    assert!(!is_fought(&Ops::new(), 7, Some(&patched(100)), NOW + 1));
}

fn refreshing() -> Value {
    let mut object = sample::object("dome");
    object["metadata"]["annotations"] =
        json!({annotations::REFRESH: "normal", "other/one": "stays"});
    object
}

fn done(version: &str) -> Refreshed {
    Refreshed {
        resource_version: version.to_owned(),
        time: NOW,
    }
}

#[test]
fn a_refresh_that_was_carried_out_is_taken_away() {
    let ops = refresh(&sample::declared(&refreshing()), Some(&done("100")));
    let after = applied(refreshing(), &ops);
    assert_eq!(
        after["metadata"]["annotations"],
        json!({"other/one": "stays"})
    );
}

#[test]
fn a_refresh_that_was_asked_for_later_stays() {
    let mut declared = sample::declared(&refreshing());
    declared.follows(&sample::declared(&sample::object("dome")));
    assert_eq!(declared.refresh.as_ref().unwrap().seen, Some(100));
    assert_eq!(refresh(&declared, Some(&done("99"))), Ops::new());
    assert_ne!(refresh(&declared, Some(&done("101"))), Ops::new());
    assert_eq!(refresh(&declared, None), Ops::new());
}

#[test]
fn a_refresh_is_known_again_when_other_things_change() {
    let mut first = sample::declared(&refreshing());
    first.follows(&sample::declared(&sample::object("dome")));
    let mut later = refreshing();
    later["metadata"]["resourceVersion"] = json!("120");
    let mut later = sample::declared(&later);
    later.follows(&first);
    assert_ne!(refresh(&later, Some(&done("101"))), Ops::new());
}

#[test]
fn a_refresh_from_before_we_looked_is_judged_by_its_time() {
    let mut declared = sample::declared(&refreshing());
    declared.refresh.as_mut().unwrap().set = Some(NOW - 10_000);
    assert_ne!(refresh(&declared, Some(&done("90"))), Ops::new());
    declared.refresh.as_mut().unwrap().set = Some(NOW - 500);
    assert_eq!(refresh(&declared, Some(&done("90"))), Ops::new());
}

fn dying() -> Value {
    let mut object = sample::object("dome");
    object["metadata"]["deletionTimestamp"] = json!("2026-03-04T05:06:07Z");
    object["metadata"]["finalizers"] = json!([
        annotations::FOREGROUND_FINALIZER,
        "example.com/another",
        annotations::POST_DELETE_FINALIZER,
        annotations::RESOURCES_FINALIZER
    ]);
    object
}

#[test]
fn a_deletion_that_was_carried_out_lets_the_object_go() {
    let ops = finalize(&sample::declared(&dying()), Some("uid-dome"));
    let after = applied(dying(), &ops);
    assert_eq!(
        after["metadata"]["finalizers"],
        json!(["example.com/another"])
    );
}

#[test]
fn only_the_deletion_of_this_very_object_counts() {
    assert_eq!(
        finalize(&sample::declared(&dying()), Some("uid-of-another")),
        Ops::new()
    );
    assert_eq!(finalize(&sample::declared(&dying()), None), Ops::new());
    let mut living = dying();
    living["metadata"]["deletionTimestamp"] = Value::Null;
    assert_eq!(
        finalize(&sample::declared(&living), Some("uid-dome")),
        Ops::new()
    );
}

#[test]
fn an_operation_is_taken_only_as_it_was_seen() {
    let mut object = sample::object("dome");
    object["operation"] = json!({"sync": {}});
    let after = applied(object, &take_operation(&json!({"sync": {}})));
    assert_eq!(after.get("operation"), None);
    let declared = sample::declared(&sample::object("dome"));
    assert_eq!(request_id(&declared), request_id(&declared));
}
