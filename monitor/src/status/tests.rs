use serde_json::json;

use super::*;
use crate::fold::fold;
use crate::sample;

fn fields_of(view: &View, object: &Value) -> Fields {
    fields(view, &sample::declared(object), sample::NOW).unwrap()
}

fn healthy() -> Fields {
    fields_of(&sample::view("dome"), &sample::object("dome"))
}

fn value<'a>(fields: &'a Fields, name: &str) -> &'a Value {
    fields[name].as_ref().unwrap()
}

#[test]
fn a_healthy_application_reads_as_argo_cd_writes_it() {
    let fields = healthy();
    let sync = value(&fields, "sync");
    assert_eq!(sync["status"], "Synced");
    assert_eq!(sync["revision"], sample::revision(3));
    assert_eq!(sync["comparedTo"]["source"]["path"], "dome");
    assert_eq!(sync["comparedTo"]["destination"]["namespace"], "summit");
    assert_eq!(value(&fields, "health")["status"], "Healthy");
    assert_eq!(
        value(&fields, "health")["lastTransitionTime"],
        "2026-03-04T05:06:05Z"
    );
    assert_eq!(value(&fields, "sourceType"), "Directory");
    assert_eq!(
        value(&fields, "summary")["images"],
        json!(["registry.example.org/dome:1.4"])
    );
    assert_eq!(fields["conditions"], None);
    let deployment = &value(&fields, "resources")[1];
    assert_eq!(
        deployment,
        &json!({"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "summit", "name": "dome",
            "status": "Synced", "health": {"status": "Healthy"}})
    );
    assert_eq!(value(&fields, "resources")[0]["syncWave"], -1);
}

#[test]
fn a_release_is_an_operation_state() {
    let fields = healthy();
    let state = value(&fields, "operationState");
    assert_eq!(state["phase"], "Succeeded");
    assert_eq!(
        state["operation"]["initiatedBy"],
        json!({"automated": true})
    );
    assert_eq!(state["syncResult"]["revision"], sample::revision(3));
    assert_eq!(state["syncResult"]["resources"][0]["syncPhase"], "Sync");
    assert_eq!(state["startedAt"], "2026-03-04T05:06:02Z");
}

#[test]
fn the_history_names_who_asked() {
    let fields = healthy();
    let history = value(&fields, "history");
    assert_eq!(history[0]["initiatedBy"], json!({"username": "vera"}));
    assert_eq!(history[1]["initiatedBy"], json!({"automated": true}));
    assert_eq!(history[0]["id"], 1);
    assert_eq!(history[0]["source"]["path"], "dome");
}

#[test]
fn sources_in_the_plural_stay_in_the_plural() {
    let mut object = sample::object("dome");
    let source = object["spec"]["source"].take();
    let values = json!({"repoURL": "https://h/values", "ref": "values"});
    object["spec"]["sources"] = json!([values, source]);
    let fields = fields_of(&sample::view("dome"), &object);
    let sync = value(&fields, "sync");
    assert_eq!(sync["revisions"], json!([sample::revision(3)]));
    assert_eq!(sync.get("revision"), None);
    assert_eq!(value(&fields, "sourceTypes"), &json!(["", "Directory"]));
    assert_eq!(fields["sourceType"], None);
}

#[test]
fn what_is_not_known_yet_leaves_alone_what_the_object_shows() {
    let mut parts = sample::parts("dome");
    parts.clusters.clear();
    let view = fold(&sample::app("dome"), &parts);
    let fresh = fields_of(&view, &sample::object("dome"));
    assert_eq!(value(&fresh, "health")["status"], "Missing");
    let mut object = sample::object("dome");
    object["status"] =
        json!({"sync": {"status": "Synced"}, "health": {"status": "Healthy"}, "resources": []});
    let fields = fields_of(&view, &object);
    assert_eq!(fields.keys().copied().collect::<Vec<_>>(), ["conditions"]);
}

#[test]
fn a_requested_operation_runs_until_its_release_shows() {
    let mut view = sample::view("dome");
    let requested = Requested {
        id: "1".to_owned(),
        operation: serde_json::from_value(json!({"sync": {"prune": true}})).unwrap(),
        at: sample::NOW,
        refused: None,
    };
    view.requested = Some(requested.clone().into());
    let state = fields_of(&view, &sample::object("dome"));
    assert_eq!(value(&state, "operationState")["phase"], "Running");
    assert_eq!(
        value(&state, "operationState")["operation"],
        json!({"sync": {"prune": true}})
    );

    view.requested = Some(
        Requested {
            refused: Some("no".to_owned()),
            ..requested.clone()
        }
        .into(),
    );
    let state = fields_of(&view, &sample::object("dome"));
    assert_eq!(value(&state, "operationState")["phase"], "Failed");
    assert_eq!(value(&state, "operationState")["message"], "no");

    view.requested = Some(requested.into());
    let late = fields(
        &view,
        &sample::declared(&sample::object("dome")),
        sample::NOW + REQUEST_KEPT + 1,
    )
    .unwrap();
    assert_eq!(value(&late, "operationState")["phase"], "Failed");
}
