use serde_json::json;

use super::*;

const US: &str = "towline";

/// An object as the API server would answer it: ours is `set`, and each of `others` is (manager, operation, set).
fn object(mut content: Value, set: &Value, others: &[(&str, &str, Value)]) -> Value {
    let mut managed =
        vec![json!({"manager": US, "operation": "Apply", "apiVersion": "v1", "fieldsV1": set})];
    for (manager, operation, set) in others {
        managed.push(json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": set}));
    }
    content["metadata"]["managedFields"] = managed.into();
    content
}

fn deployment(image: &str, replicas: u32) -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web"}},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [
                {"name": "side", "image": "side:1"},
                {"name": "app", "image": image, "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            ]}},
        },
    })
}

fn deployment_set() -> Value {
    json!({
        "f:metadata": {"f:labels": {"f:app.kubernetes.io/name": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {
                ".": {}, "f:name": {}, "f:image": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
            }}}},
        },
    })
}

fn reference() -> Reference {
    Reference::of(
        &object(deployment("app:1", 2), &deployment_set(), &[]),
        US,
        &Mask::default(),
    )
}

#[test]
fn an_unchanged_object_has_not_drifted() {
    let applied = object(deployment("app:1", 2), &deployment_set(), &[]);
    assert_eq!(reference().drift(&applied, &Mask::default()), None);
}

#[test]
fn what_others_own_may_change_as_they_like() {
    let mut live = object(
        deployment("app:1", 2),
        &deployment_set(),
        &[(
            "kube-controller-manager",
            "Update",
            json!({"f:status": {"f:replicas": {}}}),
        )],
    );
    live["status"] = json!({"replicas": 2});
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "side:2".into();
    live["metadata"]["labels"]["other"] = "x".into();
    assert_eq!(reference().drift(&live, &Mask::default()), None);
}

#[test]
fn an_edit_by_hand_is_drift_and_names_field_and_manager() {
    let mut set = deployment_set();
    set["f:spec"].as_object_mut().unwrap().remove("f:replicas");
    let edit = (
        "kubectl-edit",
        "Update",
        json!({"f:spec": {"f:replicas": {}}}),
    );
    let live = object(deployment("app:1", 5), &set, &[edit]);
    assert_eq!(
        reference().drift(&live, &Mask::default()),
        Some(Drift {
            fields: vec!["spec.replicas".into()],
            managers: vec!["kubectl-edit".into()]
        })
    );
}

#[test]
fn a_field_inside_a_keyed_list_is_named_by_its_keys() {
    let mut set = deployment_set();
    set["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"app\"}"]
        .as_object_mut()
        .unwrap()
        .remove("f:image");
    let theirs = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:image": {}}}}}}});
    let live = object(
        deployment("app:2", 2),
        &set,
        &[("kubectl-set", "Update", theirs)],
    );
    let drift = reference().drift(&live, &Mask::default()).unwrap();
    assert_eq!(
        drift.fields,
        [r#"spec.template.spec.containers[name="app"].image"#]
    );
    assert_eq!(drift.managers, ["kubectl-set"]);
}

#[test]
fn a_value_that_changed_without_a_new_owner_is_drift_too() {
    let live = object(deployment("app:2", 2), &deployment_set(), &[]);
    let drift = reference().drift(&live, &Mask::default()).unwrap();
    assert_eq!(
        drift.fields,
        [r#"spec.template.spec.containers[name="app"].image"#]
    );
    assert!(drift.managers.is_empty());
}

#[test]
fn what_is_gone_as_a_whole_is_named_once() {
    let mut set = deployment_set();
    set["f:spec"].as_object_mut().unwrap().remove("f:template");
    let mut live = object(deployment("app:1", 2), &set, &[]);
    live["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .truncate(1);
    assert_eq!(
        reference().drift(&live, &Mask::default()).unwrap().fields,
        [r#"spec.template.spec.containers[name="app"]"#]
    );
}

#[test]
fn an_item_is_found_by_its_keys_wherever_it_stands() {
    let mut live = object(deployment("app:1", 2), &deployment_set(), &[]);
    live["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .reverse();
    assert_eq!(reference().drift(&live, &Mask::default()), None);
}

#[test]
fn a_shared_field_stays_ours_while_its_value_stays() {
    let theirs = ("kubectl", "Apply", json!({"f:spec": {"f:replicas": {}}}));
    let live = object(deployment("app:1", 2), &deployment_set(), &[theirs]);
    assert_eq!(reference().drift(&live, &Mask::default()), None);
}

#[test]
fn the_same_manager_name_updating_or_writing_status_is_not_us() {
    let mut content = json!({"metadata": {}, "data": {"a": "1"}});
    content["metadata"]["managedFields"] = json!([
        {"manager": US, "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}},
        {"manager": US, "operation": "Apply", "subresource": "status", "fieldsV1": {"f:data": {"f:a": {}}}},
    ]);
    let reference = Reference::of(&content, US, &Mask::default());
    assert!(reference.is_empty());
    assert_eq!(reference.drift(&content, &Mask::default()), None);
}

#[test]
fn a_key_with_dots_is_one_step() {
    let set = json!({"f:data": {"f:app.conf": {}}});
    let applied = object(
        json!({"metadata": {}, "data": {"app.conf": "1"}}),
        &set,
        &[],
    );
    let live = object(
        json!({"metadata": {}, "data": {"app.conf": "2"}}),
        &set,
        &[],
    );
    assert_eq!(
        Reference::of(&applied, US, &Mask::default())
            .drift(&live, &Mask::default())
            .unwrap()
            .fields,
        [r#"data["app.conf"]"#]
    );
}

#[test]
fn an_indivisible_map_or_list_is_compared_as_a_whole_whatever_the_order_of_its_keys() {
    let set = json!({"f:spec": {"f:selector": {}, "f:args": {}}});
    let of = |content: &str| {
        object(
            json!({"metadata": {}, "spec": serde_json::from_str::<Value>(content).unwrap()}),
            &set,
            &[],
        )
    };
    let reference = Reference::of(
        &of(r#"{"selector": {"a": "1", "b": "2"}, "args": ["x", "y"]}"#),
        US,
        &Mask::default(),
    );
    assert_eq!(
        reference.drift(
            &of(r#"{"args": ["x", "y"], "selector": {"b": "2", "a": "1"}}"#),
            &Mask::default()
        ),
        None
    );
    let swapped = reference
        .drift(
            &of(r#"{"selector": {"a": "1", "b": "2"}, "args": ["y", "x"]}"#),
            &Mask::default(),
        )
        .unwrap();
    assert_eq!(swapped.fields, ["spec.args"]);
    let grown = reference
        .drift(
            &of(r#"{"selector": {"a": "1", "b": "2", "c": ""}, "args": ["x", "y"]}"#),
            &Mask::default(),
        )
        .unwrap();
    assert_eq!(grown.fields, ["spec.selector"]);
}

#[test]
fn a_map_that_we_own_empty_may_be_filled_by_others() {
    let set = json!({"f:metadata": {"f:annotations": {}}, "f:spec": {"f:emptyDir": {}}});
    let applied = object(
        json!({"metadata": {"annotations": {}}, "spec": {"emptyDir": {}}}),
        &set,
        &[],
    );
    let theirs = (
        "someone",
        "Update",
        json!({"f:metadata": {"f:annotations": {"f:note": {}}}}),
    );
    let live = object(
        json!({"metadata": {"annotations": {"note": "x"}}, "spec": {"emptyDir": {}}}),
        &set,
        &[theirs],
    );
    assert_eq!(
        Reference::of(&applied, US, &Mask::default()).drift(&live, &Mask::default()),
        None
    );
    assert_eq!(
        Reference::of(&live, US, &Mask::default()).drift(&applied, &Mask::default()),
        None
    );
}

#[test]
fn a_map_that_was_ours_empty_and_left_our_set_is_drift_only_when_it_is_gone() {
    // As kube-apiserver 1.37 does: a controller's first annotation takes the map from who applied it empty.
    let set = json!({"f:metadata": {"f:annotations": {}}, "f:spec": {"f:emptyDir": {}, "f:x": {}}});
    let without = json!({"f:spec": {"f:x": {}}});
    let theirs = |set: Value| ("kube-controller-manager", "Update", set);
    let content = |metadata: Value, spec: Value| json!({"metadata": metadata, "spec": spec});
    let omitted = object(
        content(json!({}), json!({"emptyDir": {}, "x": 1})),
        &set,
        &[],
    );
    let reference = Reference::of(&omitted, US, &Mask::default());
    let filled = object(
        content(
            json!({"annotations": {"revision": "1"}}),
            json!({"emptyDir": {"sizeLimit": "1"}, "x": 1}),
        ),
        &without,
        &[theirs(json!({
            "f:metadata": {"f:annotations": {".": {}, "f:revision": {}}}, "f:spec": {"f:emptyDir": {"f:sizeLimit": {}}},
        }))],
    );
    assert_eq!(reference.drift(&filled, &Mask::default()), None);
    let replaced = object(
        content(json!({}), json!({"hostPath": {"path": "/"}, "x": 1})),
        &without,
        &[theirs(json!({"f:spec": {"f:hostPath": {"f:path": {}}}}))],
    );
    assert_eq!(
        reference.drift(&replaced, &Mask::default()).unwrap().fields,
        ["spec.emptyDir"]
    );
}

#[test]
fn an_indivisible_list_that_was_emptied_is_drift() {
    let set = json!({"f:args": {}});
    let of = |args: Value| object(json!({"metadata": {}, "args": args}), &set, &[]);
    let reference = Reference::of(&of(json!(["x"])), US, &Mask::default());
    assert_eq!(
        reference
            .drift(&of(json!([])), &Mask::default())
            .unwrap()
            .fields,
        ["args"]
    );
}

#[test]
fn what_defaulting_put_into_our_empty_map_may_be_taken_by_its_owner() {
    let set = json!({"f:spec": {"f:strategy": {}}});
    let applied = object(
        json!({"metadata": {}, "spec": {"strategy": {"type": "RollingUpdate"}}}),
        &set,
        &[],
    );
    let theirs = (
        "operator",
        "Update",
        json!({"f:spec": {"f:strategy": {"f:type": {}}}}),
    );
    let live = object(
        json!({"metadata": {}, "spec": {"strategy": {"type": "Recreate"}}}),
        &set,
        &[theirs],
    );
    assert_eq!(
        Reference::of(&applied, US, &Mask::default()).drift(&live, &Mask::default()),
        None,
        "healing could not change it back: it was never ours"
    );
}

#[test]
fn a_member_of_a_set_is_there_or_not() {
    let with = json!({"f:metadata": {"f:finalizers": {"v:\"a/b\"": {}, "v:\"c/d\"": {}}}});
    let without = json!({"f:metadata": {"f:finalizers": {"v:\"a/b\"": {}}}});
    let applied = object(
        json!({"metadata": {"finalizers": ["a/b", "c/d"]}}),
        &with,
        &[],
    );
    let more = object(
        json!({"metadata": {"finalizers": ["x/y", "c/d", "a/b"]}}),
        &with,
        &[],
    );
    let less = object(json!({"metadata": {"finalizers": ["a/b"]}}), &without, &[]);
    let reference = Reference::of(&applied, US, &Mask::default());
    assert_eq!(reference.drift(&more, &Mask::default()), None);
    assert_eq!(
        reference.drift(&less, &Mask::default()).unwrap().fields,
        [r#"metadata.finalizers[="c/d"]"#]
    );
}

#[test]
fn numbers_texts_and_absence_are_different_values() {
    let set = json!({"f:spec": {"f:x": {}}});
    let of = |x: Value| object(json!({"metadata": {}, "spec": {"x": x}}), &set, &[]);
    let reference = Reference::of(&of(json!(1)), US, &Mask::default());
    for other in [
        json!("1"),
        json!(true),
        json!(null),
        json!([1]),
        json!({"y": 1}),
    ] {
        assert!(
            reference
                .drift(&of(other.clone()), &Mask::default())
                .is_some(),
            "{other}"
        );
    }
    assert_eq!(reference.drift(&of(json!(1)), &Mask::default()), None);
}

#[test]
fn a_reset_of_all_ownership_is_drift_even_with_every_value_in_place() {
    let mut live = object(deployment("app:1", 2), &deployment_set(), &[]);
    live["metadata"]["managedFields"] = json!([]);
    let none = reference().drift(&live, &Mask::default()).unwrap();
    assert!(!none.fields.is_empty());
    live["metadata"]["managedFields"] =
        json!([{"manager": "other", "operation": "Update", "fieldsV1": deployment_set()}]);
    let taken = reference().drift(&live, &Mask::default()).unwrap();
    assert_eq!(taken.fields, ["metadata.managedFields"]);
}

#[test]
fn a_secret_is_compared_by_ownership_and_metadata_alone() {
    let set = json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:data": {".": {}, "f:password": {}}, "f:type": {}});
    let applied = object(
        json!({"metadata": {"labels": {"a": "1"}}, "data": {"password": "c2VjcmV0"}, "type": "Opaque"}),
        &set,
        &[],
    );
    let seen = |label: &str, set: &Value, others: &[(&str, &str, Value)]| {
        object(json!({"metadata": {"labels": {"a": label}}}), set, others)
    };
    let reference = Reference::metadata_only(&applied, US, &Mask::default());
    assert_eq!(
        reference.drift(&seen("1", &set, &[]), &Mask::default()),
        None
    );
    assert_eq!(
        reference
            .drift(&seen("2", &set, &[]), &Mask::default())
            .unwrap()
            .fields,
        ["metadata.labels.a"]
    );
    let mut taken = set.clone();
    taken["f:data"]
        .as_object_mut()
        .unwrap()
        .remove("f:password");
    let edit = (
        "kubectl-edit",
        "Update",
        json!({"f:data": {"f:password": {}}}),
    );
    let drift = reference
        .drift(&seen("1", &taken, &[edit]), &Mask::default())
        .unwrap();
    assert_eq!(
        drift,
        Drift {
            fields: vec!["data.password".into()],
            managers: vec!["kubectl-edit".into()]
        }
    );
}

#[test]
fn a_reference_holds_no_digest_of_a_secrets_value() {
    let set = json!({"f:data": {"f:password": {}}});
    let of = |value: &str| {
        Reference::metadata_only(
            &object(
                json!({"metadata": {}, "data": {"password": value}}),
                &set,
                &[],
            ),
            US,
            &Mask::default(),
        )
    };
    assert_eq!(of("b25l"), of("dHdv"));
}

#[test]
fn a_reference_survives_json_and_stays_small() {
    let reference = reference();
    let text = serde_json::to_string(&reference).unwrap();
    assert_eq!(serde_json::from_str::<Reference>(&text).unwrap(), reference);
    assert!(text.len() < 400, "{}: {text}", text.len());
    assert!(!text.contains("app:1"));
}

#[test]
fn a_great_drift_names_a_bounded_number_of_fields() {
    let data: serde_json::Map<String, Value> =
        (0..200).map(|n| (format!("k{n}"), json!(n))).collect();
    let set: serde_json::Map<String, Value> =
        (0..200).map(|n| (format!("f:k{n}"), json!({}))).collect();
    let applied = object(
        json!({"metadata": {}, "data": data}),
        &json!({"f:data": set}),
        &[],
    );
    let live = object(
        json!({"metadata": {}, "data": {}}),
        &json!({"f:data": {"f:other": {}}}),
        &[],
    );
    let drift = Reference::of(&applied, US, &Mask::default())
        .drift(&live, &Mask::default())
        .unwrap();
    assert_eq!(drift.fields.len(), MAX_NAMED + 1);
    assert_eq!(drift.fields.last().unwrap(), "and 150 more");
}

#[test]
fn malformed_managed_fields_are_no_fields() {
    for managed in [
        json!(null),
        json!("x"),
        json!([1, {"manager": US, "operation": "Apply", "fieldsV1": ["f:a"]}]),
    ] {
        let live = json!({"metadata": {"managedFields": managed}});
        assert!(
            Reference::of(&live, US, &Mask::default()).is_empty(),
            "{live}"
        );
    }
    let odd = json!({"f:a": {}, "k:not json": {}, "i:x": {}, "z:b": {}, "nothing": {}});
    let live = object(json!({"metadata": {}, "a": 1}), &odd, &[]);
    assert_eq!(
        Reference::of(&live, US, &Mask::default()).drift(&live, &Mask::default()),
        None
    );
}

#[test]
fn what_is_ignored_is_no_drift_whoever_changes_removes_or_owns_it() {
    let rules = json!([{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"],
        "jqPathExpressions": [".spec.template.spec.containers[] | select(.name == \"app\") | .image"]}]);
    let (ignores, _) = Ignores::of(
        &serde_json::from_value::<Vec<_>>(rules).unwrap(),
        &Global::default(),
    );
    let mask = ignores.mask(&crate::object::Key::new("apps", "Deployment", "", "web"));
    let taken = [("hpa", "Update", json!({"f:spec": {"f:replicas": {}}}))];
    let mut set = deployment_set();
    set["f:spec"].as_object_mut().unwrap().remove("f:replicas");
    let live = object(deployment("other:1", 7), &set, &taken);
    assert!(reference().drift(&live, &Mask::default()).is_some());
    assert_eq!(reference().drift(&live, &mask), None);
    let mut changed = live;
    changed["metadata"]["labels"]["app.kubernetes.io/name"] = "else".into();
    let drift = reference().drift(&changed, &mask).unwrap();
    assert_eq!(
        drift.fields,
        ["metadata.labels[\"app.kubernetes.io/name\"]"]
    );
}

#[test]
fn what_is_ignored_within_an_indivisible_value_does_not_make_it_differ() {
    let rules =
        json!([{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/list/0/theirs"]}]);
    let (ignores, _) = Ignores::of(
        &serde_json::from_value::<Vec<_>>(rules).unwrap(),
        &Global::default(),
    );
    let mask = ignores.mask(&crate::object::Key::new("apps", "Deployment", "", "web"));
    let set = json!({"f:spec": {"f:list": {}}});
    let of = |theirs: u32, ours: u32| {
        object(
            json!({"spec": {"list": [{"ours": ours, "theirs": theirs}]}}),
            &set,
            &[],
        )
    };
    let reference = Reference::of(&of(1, 1), US, &mask);
    assert_eq!(reference.drift(&of(2, 1), &mask), None);
    assert!(reference.drift(&of(2, 2), &mask).is_some());
}

/// As a client-side apply left it: nobody wrote down that a field is ours.
fn by_content(values: bool) -> (Value, Reference) {
    let manifest = json!({"kind": "Deployment", "metadata": {"name": "web", "labels": {"a": "1"}}, "spec": {
        "replicas": 2, "list": [1, 2], "selector": {}, "containers": [{"name": "app", "image": "app:1"}],
    }});
    let applied = json!({"kind": "Deployment", "metadata": {"name": "web", "labels": {"a": "1"}, "uid": "u"}, "spec": {
        "replicas": 2, "list": [1, 2], "selector": {}, "paused": false,
        "containers": [{"name": "side", "image": "x"}, {"name": "app", "image": "app:1", "pull": "Always"}],
    }, "status": {"replicas": 1}});
    let reference = Reference::of_content(&applied, &manifest, US, &Mask::default(), values);
    (applied, reference)
}

#[test]
fn what_was_not_applied_server_side_is_compared_by_the_manifests_fields() {
    let (applied, reference) = by_content(true);
    assert_eq!(reference.drift(&applied, &Mask::default()), None);
    let changed = |pointer: &str, value: Value| {
        let mut live = applied.clone();
        *live.pointer_mut(pointer).unwrap() = value;
        reference
            .drift(&live, &Mask::default())
            .map(|drift| drift.fields)
    };
    for (pointer, path) in [
        ("/spec/replicas", "spec.replicas"),
        ("/spec/list", "spec.list"),
        (
            "/spec/containers/1/image",
            "spec.containers[name=\"app\"].image",
        ),
        ("/metadata/labels/a", "metadata.labels.a"),
    ] {
        assert_eq!(
            changed(pointer, json!("other")),
            Some(vec![path.to_owned()])
        );
    }
    for pointer in [
        "/spec/paused",
        "/spec/containers/0",
        "/spec/containers/1/pull",
        "/status",
    ] {
        assert_eq!(
            changed(pointer, json!({"name": "other"})),
            None,
            "{pointer}"
        );
    }
    let gone = changed("/spec/containers", json!([]));
    assert_eq!(gone, Some(vec!["spec.containers[name=\"app\"]".to_owned()]));
    let text = serde_json::to_string(&reference).unwrap();
    assert_eq!(serde_json::from_str::<Reference>(&text).unwrap(), reference);
}

#[test]
fn a_secret_that_was_not_applied_server_side_is_compared_by_its_owners() {
    let manifest =
        json!({"kind": "Secret", "metadata": {"name": "db"}, "stringData": {"a": "<path:x#y>"}});
    let owned = |manager: &str| {
        json!({"kind": "Secret", "metadata": {"name": "db", "managedFields": [
            {"manager": manager, "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}, "f:theirs": {}}}},
        ]}})
    };
    let mask = Mask::default();
    let reference = Reference::of_content(&owned(US), &manifest, US, &mask, false);
    assert_eq!(reference.drift(&owned(US), &mask), None);
    let drift = reference.drift(&owned("kubectl-edit"), &mask).unwrap();
    assert_eq!(drift.fields, ["data.a"]);
    assert_eq!(drift.managers, ["kubectl-edit"]);
}
