use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::drift::{Global, Ignores, Mask, Reference};
use crate::object::Key;

const US: &str = "towline";

fn mask(kind: &str, said: &[(&str, &str)]) -> Mask {
    let data: BTreeMap<String, String> = said
        .iter()
        .map(|(key, text)| (format!("resource.customizations{key}"), (*text).to_owned()))
        .collect();
    let (global, problems) = Global::read(&data);
    assert_eq!(problems, Vec::<String>::new());
    let (ignores, _) = Ignores::of(&[], &global);
    ignores.mask(&Key::new("argoproj.io", kind, "shop", "web"))
}

fn known() -> Mask {
    let fields = "- field: spec.size\n  type: core/Quantity\n- field: spec.parts.limits\n  type: core/v1/ResourceList";
    mask("Thing", &[(".knownTypeFields.argoproj.io_Thing", fields)])
}

/// With an owner for each field.
fn thing(spec: &Value, owners: &[(&str, Value)]) -> Value {
    let entries: Vec<Value> = owners
        .iter()
        .map(|(manager, fields)| {
            let operation = if *manager == US { "Apply" } else { "Update" };
            json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}})
        })
        .collect();
    json!({"apiVersion": "argoproj.io/v1", "kind": "Thing", "metadata": {"name": "web", "managedFields": entries}, "spec": spec})
}

fn applied() -> Value {
    let all = json!({"f:size": {}, "f:name": {}, "f:parts": {}});
    let spec = json!({"size": "1000m", "name": "a", "parts": [{"limits": {"cpu": "2000m"}}]});
    thing(&spec, &[(US, all)])
}

/// What a controller made of it.
fn written_again(size: &str, cpu: &str) -> Value {
    let spec = json!({"size": size, "name": "a", "parts": [{"limits": {"cpu": cpu}}]});
    let (ours, theirs) = (json!({"f:name": {}}), json!({"f:size": {}, "f:parts": {}}));
    thing(&spec, &[(US, ours), ("controller", theirs)])
}

#[test]
fn what_is_written_again_in_another_way_is_no_drift_and_what_means_something_else_is() {
    let mask = known();
    let reference = Reference::of(&applied(), US, &mask);
    assert_eq!(reference.drift(&written_again("1", "2"), &mask), None);
    let drift = reference.drift(&written_again("2", "2"), &mask).unwrap();
    assert_eq!(drift.fields, ["spec.size"]);
    assert_eq!(drift.managers, ["controller"]);
    let drift = reference.drift(&written_again("1", "3"), &mask).unwrap();
    assert_eq!(drift.fields, ["spec.parts"]);
    let mut removed = written_again("1", "2");
    removed["spec"]["parts"][0] = json!({});
    assert!(reference.drift(&removed, &mask).is_some());
}

#[test]
fn without_known_types_or_for_another_field_it_is_drift() {
    let none = Mask::default();
    let reference = Reference::of(&applied(), US, &none);
    assert!(reference.drift(&written_again("1", "2"), &none).is_some());
    let mask = known();
    let mut renamed = written_again("1", "2");
    renamed["spec"]["name"] = "b".into();
    let reference = Reference::of(&applied(), US, &mask);
    let drift = reference.drift(&renamed, &mask).unwrap();
    assert_eq!(drift.fields, ["spec.name"]);
}

#[test]
fn what_was_applied_before_types_were_known_has_not_drifted_by_that() {
    let reference = Reference::of(&applied(), US, &Mask::default());
    assert_eq!(reference.drift(&applied(), &known()), None);
    let reference = Reference::of(&applied(), US, &known());
    let without = Mask::default();
    assert!(reference.drift(&applied(), &without).is_some());
}

#[test]
fn an_object_written_as_a_whole_is_compared_by_meaning_too() {
    let mask = known();
    let manifest = json!({"spec": {"size": "1000m", "parts": [{"limits": {"cpu": "2000m"}}]}});
    let reference = Reference::of_content(&applied(), &manifest, US, &mask, true);
    assert_eq!(reference.drift(&written_again("1", "2"), &mask), None);
    assert!(reference.drift(&written_again("1", "3"), &mask).is_some());
}

#[test]
fn a_rollouts_pod_is_known_without_a_word_and_another_word_takes_its_place() {
    assert!(mask("Rollout", &[]).knows_types());
    let none = mask("Rollout", &[(".knownTypeFields.argoproj.io_Rollout", "")]);
    assert!(!none.knows_types());
    let whole =
        "argoproj.io/Thing:\n  knownTypeFields:\n  - field: spec.size\n    type: core/Quantity\n";
    assert!(mask("Thing", &[("", whole)]).knows_types());
}

#[test]
fn what_cannot_be_used_is_told() {
    let said = |text: &str| {
        let key = "resource.customizations.knownTypeFields.x.io_Thing".to_owned();
        Global::read(&[(key, text.to_owned())].into()).1
    };
    let unknown = "- field: spec.size\n  type: core/v2/Size\n";
    assert_eq!(
        said(unknown),
        ["knownTypeFields of x.io/Thing: type \"core/v2/Size\" is not known"]
    );
    assert_eq!(
        said("{"),
        ["knownTypeFields of x.io/Thing: it can't be read"]
    );
    assert_eq!(said("[{field: '', type: core/Quantity}]").len(), 1);
}
