use serde_json::json;

use super::*;

fn rules(value: Value) -> Vec<ResourceIgnoreDifferences> {
    serde_json::from_value(value).unwrap()
}

fn key(group: &str, kind: &str) -> Key {
    Key::new(group, kind, "shop", "web")
}

fn mask(value: Value) -> Mask {
    let (ignores, problems) = Ignores::of(&rules(value), &Global::default());
    assert_eq!(problems, Vec::<String>::new());
    ignores.mask(&key("apps", "Deployment"))
}

fn global(data: &[(&str, &str)]) -> Global {
    let data = data.iter();
    let data = data.map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    let (global, problems) = Global::read(&data.collect());
    assert_eq!(problems, Vec::<String>::new());
    global
}

fn deployment() -> Value {
    json!({
        "metadata": {"name": "web", "managedFields": [
            {"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "towline", "operation": "Apply", "fieldsV1": {"f:spec": {"f:paused": {}}}},
        ]},
        "spec": {"replicas": 2, "paused": false, "template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}},
        "status": {"replicas": 2},
    })
}

#[test]
fn a_rule_is_about_the_objects_that_it_names() {
    let pointers = json!(["/spec/replicas"]);
    let about = |rule: Value, group: &str, kind: &str| {
        let mut rule = rule;
        rule["jsonPointers"] = pointers.clone();
        let (ignores, _) = Ignores::of(&rules(json!([rule])), &Global::default());
        ignores.mask(&key(group, kind)) != Mask::default()
    };
    assert!(about(
        json!({"group": "apps", "kind": "Deployment"}),
        "apps",
        "Deployment"
    ));
    assert!(!about(json!({"kind": "Deployment"}), "apps", "Deployment"));
    assert!(about(json!({"kind": "Service"}), "", "Service"));
    assert!(about(
        json!({"group": "*", "kind": "*"}),
        "apps",
        "Deployment"
    ));
    assert!(about(
        json!({"group": "*.crossplane.io", "kind": "*"}),
        "aws.crossplane.io",
        "Bucket"
    ));
    assert!(!about(
        json!({"group": "apps", "kind": "Deployment", "name": "other"}),
        "apps",
        "Deployment"
    ));
    assert!(about(
        json!({"group": "apps", "kind": "Deployment", "name": "web", "namespace": "shop"}),
        "apps",
        "Deployment"
    ));
    assert!(!about(
        json!({"group": "apps", "kind": "Deployment", "namespace": "else"}),
        "apps",
        "Deployment"
    ));
}

#[test]
fn pointers_expressions_and_managers_name_what_does_not_count() {
    let mask = mask(json!([{
        "group": "apps", "kind": "Deployment",
        "jsonPointers": ["/spec/template/spec/containers/0/image", "/spec/none"],
        "jqPathExpressions": [".spec.template.spec.containers[] | select(.name == \"b\")"],
        "managedFieldsManagers": ["hpa"],
    }]));
    let object = deployment();
    let ignored = mask.of(&object);
    for path in [
        "spec.template.spec.containers[name=\"a\"].image",
        "spec.template.spec.containers[name=\"b\"].image",
        "spec.none.of.it",
        "spec.replicas",
        "status.replicas",
    ] {
        assert!(ignored.covers(path), "{path}");
    }
    for path in [
        "spec.template.spec.containers[name=\"a\"].name",
        "spec.template.spec.containers",
        "spec.paused",
        "spec",
        "statusX",
    ] {
        assert!(!ignored.covers(path), "{path}");
    }
    assert_eq!(
        mask.without(&object)["spec"],
        json!({"paused": false, "template": {"spec": {"containers": [{"name": "a"}]}}})
    );
    assert!(mask.without(&object).get("status").is_none());
}

#[test]
fn what_cannot_be_used_is_told_and_the_rest_counts() {
    let (ignores, problems) = Ignores::of(
        &rules(
            json!([{"group": "apps", "kind": "Deployment", "jsonPointers": ["spec", "/spec/replicas"], "jqPathExpressions": [".a[", "env"]}]),
        ),
        &Global::default(),
    );
    assert_eq!(problems.len(), 3);
    assert!(problems[2].contains("env/0"), "{problems:?}");
    let object = deployment();
    let mask = ignores.mask(&key("apps", "Deployment"));
    assert!(mask.of(&object).covers("spec.replicas"));
}

#[test]
fn the_config_map_says_what_no_application_counts() {
    let global = global(&[
        (
            "resource.customizations.ignoreDifferences.all",
            "managedFieldsManagers: [hpa]",
        ),
        (
            "resource.customizations.ignoreDifferences.apps_Deployment",
            "jqPathExpressions: ['.spec.paused']",
        ),
        (
            "resource.customizations",
            "apps/StatefulSet:\n  ignoreDifferences: |\n    jsonPointers: [/spec/replicas]\n",
        ),
        (
            "resource.compareoptions",
            "ignoreAggregatedRoles: true\nignoreResourceStatusField: crd\n",
        ),
    ]);
    let (ignores, _) = Ignores::of(&[], &global);
    let object = deployment();
    let mask = ignores.mask(&key("apps", "Deployment"));
    let seen = mask.of(&object);
    assert!(seen.covers("spec.replicas") && seen.covers("spec.paused"));
    assert!(!seen.covers("status.replicas"));
    let definition = ignores.mask(&key("apiextensions.k8s.io", "CustomResourceDefinition"));
    assert!(definition.of(&object).covers("status.replicas"));
    let role = json!({"aggregationRule": {}, "rules": []});
    let mask = ignores.mask(&key("rbac.authorization.k8s.io", "ClusterRole"));
    assert!(mask.of(&role).covers("rules"));
    let plain = json!({"rules": []});
    assert!(!mask.of(&plain).covers("rules"));
}

const US: &str = "towline";

/// What is applied of `wanted` with the rule that replicas and one container's image don't count.
fn respected(wanted: &Value, live: &Value, keep: Keep<'_>) -> (Value, bool) {
    let mask = mask(json!([{
        "group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas", "/spec/list/0/theirs"],
        "jqPathExpressions": [".spec.containers[] | select(.name == \"b\") | .image"],
    }]));
    let respected = mask.respect(wanted, live, keep);
    (respected.object, respected.repeats)
}

fn wanted() -> Value {
    json!({"spec": {"replicas": 2, "containers": [{"name": "b", "image": "git"}], "list": [{"ours": 1, "theirs": 1}]}, "status": {}})
}

/// As others left it: more replicas, another image, and a container before ours.
fn left_by_others(ours: &Value) -> Value {
    json!({
        "metadata": {"managedFields": [
            {"manager": US, "operation": "Apply", "fieldsV1": ours},
            {"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        ]},
        "spec": {"replicas": 7, "containers": [{"name": "a", "image": "side"}, {"name": "b", "image": "theirs"}], "list": [{"ours": 1, "theirs": 9}]},
    })
}

#[test]
fn what_others_own_is_not_written_and_what_is_ours_is_repeated() {
    let nothing = left_by_others(&json!({}));
    assert_eq!(
        respected(&wanted(), &nothing, Keep::AppliedBy(US)),
        (
            json!({"spec": {"containers": [{"name": "b"}], "list": [{"ours": 1}]}}),
            false
        )
    );
    let ours = left_by_others(&json!({"f:spec": {
        "f:replicas": {}, "f:list": {},
        "f:containers": {"k:{\"name\":\"b\"}": {".": {}, "f:name": {}, "f:image": {}}},
    }}));
    assert_eq!(
        respected(&wanted(), &ours, Keep::AppliedBy(US)),
        (
            json!({"spec": {"replicas": 7, "containers": [{"name": "b", "image": "theirs"}], "list": [{"ours": 1, "theirs": 9}]}}),
            true
        )
    );
}

#[test]
fn a_write_of_the_whole_object_repeats_what_others_own() {
    let live = left_by_others(&json!({}));
    let (object, repeats) = respected(&wanted(), &live, Keep::All);
    assert!(repeats);
    assert_eq!(object["spec"]["replicas"], 7);
}

#[test]
fn a_mask_with_more_rules_covers_one_with_fewer() {
    let one = json!({"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]});
    let two = json!({"group": "apps", "kind": "Deployment", "jqPathExpressions": [".spec.paused"]});
    let (few, many) = (mask(json!([one])), mask(json!([one, two])));
    assert!(many.covers(&few) && !few.covers(&many) && few.covers(&Mask::default()));
}
