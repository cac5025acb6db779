use api::placeholder::PathForm;
use proptest::prelude::*;
use serde_json::json;

use super::super::placement::Placement;
use super::*;

fn has_references(object: &Value) -> bool {
    Placement::of(object) != Placement::Nowhere
}

fn references(object: &Value, into: &mut BTreeSet<SecretReference>) -> Result<(), BodyError> {
    super::references(object, None, into)
}

fn render(object: &Value, resolved: &Resolved) -> Result<Content, BodyError> {
    super::render(object, None, resolved)
}

fn reference(path: &str, key: &str, optional: bool) -> SecretReference {
    SecretReference {
        path: path.to_owned(),
        key: key.to_owned(),
        version: None,
        optional,
        form: PathForm::Api,
    }
}

fn resolved(pairs: &[(&str, &str, &str)]) -> Resolved {
    pairs
        .iter()
        .map(|(path, key, value)| {
            let reference = reference(path, key, false);
            (reference, Some(SecretText::text(*value)))
        })
        .collect()
}

fn rendered(object: &Value, values: &Resolved) -> Value {
    serde_json::from_slice(&render(object, values).unwrap()).unwrap()
}

#[test]
fn a_placeholder_becomes_its_value_whatever_characters_it_holds() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"url": "u=<path:kv/data/a#p>;"}, "n": [1, null, true]});
    let out = rendered(&object, &resolved(&[("kv/data/a", "p", "q\"\n\\é")]));
    assert_eq!(out["data"]["url"], "u=q\"\n\\é;");
    assert_eq!(out["n"], json!([1, null, true]));
}

#[test]
fn the_base64_of_a_secrets_data_is_looked_into() {
    let object = json!({"apiVersion": "v1", "kind": "Secret", "data": {
        "a": STANDARD.encode("x <path:kv/data/a#p>"),
        "b": "<path:kv/data/a#p | base64encode>",
        "c": STANDARD.encode("plain"),
    }});
    assert!(has_references(&object));
    let mut found = BTreeSet::new();
    references(&object, &mut found).unwrap();
    assert_eq!(found.len(), 1);
    let out = rendered(&object, &resolved(&[("kv/data/a", "p", "hunter2")]));
    assert_eq!(out["data"]["a"], STANDARD.encode("x hunter2"));
    assert_eq!(out["data"]["b"], STANDARD.encode("hunter2"));
    assert_eq!(out["data"]["c"], STANDARD.encode("plain"));
}

#[test]
fn string_data_is_sent_as_the_data_that_the_server_keeps() {
    let object = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": STANDARD.encode("old"), "b": STANDARD.encode("b")},
        "stringData": {"a": "<path:kv/data/a#p>", "c": "plain"}, "type": "Opaque"});
    let out = rendered(&object, &resolved(&[("kv/data/a", "p", "hunter2")]));
    assert_eq!(
        out,
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {
            "a": STANDARD.encode("hunter2"), "b": STANDARD.encode("b"), "c": STANDARD.encode("plain"),
        }})
    );
}

#[test]
fn what_is_not_resolved_is_an_error_and_never_applied_as_text() {
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "<path:kv/data/a#p>"}});
    assert!(matches!(
        render(&object, &Resolved::new()),
        Err(BodyError::Unresolved(_))
    ));
    let broken = json!({"data": {"a": "<path:kv/data/a"}});
    assert!(references(&broken, &mut BTreeSet::new()).is_err());
}

#[test]
fn the_buffer_is_as_large_as_its_content() {
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "<path:kv/data/a#p>"}});
    let body = render(
        &object,
        &resolved(&[("kv/data/a", "p", &"x".repeat(5_000))]),
    )
    .unwrap();
    assert_eq!(body.len(), body.capacity());
}

/// With values as JSON, none for a key that isn't there.
fn of_json(pairs: &[(&str, Option<&str>)]) -> Resolved {
    pairs
        .iter()
        .map(|(key, json)| {
            let value = json.map(|json| SecretText::of_json(json).unwrap());
            (reference("kv/data/a", key, value.is_none()), value)
        })
        .collect()
}

fn with_path(kind: &str, more: &[(&str, &str)], rest: &Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"annotations": {"avp.kubernetes.io/path": "kv/data/a"}}});
    for (key, value) in more {
        object["metadata"]["annotations"][*key] = json!(value);
    }
    object
        .as_object_mut()
        .unwrap()
        .extend(rest.as_object().unwrap().clone());
    object
}

#[test]
fn keys_of_the_annotated_path_are_replaced_and_keep_their_type() {
    let object = with_path(
        "Deployment",
        &[],
        &json!({"spec": {"replicas": "<count>", "paused": "<on>", "args": ["--n=<count>", "<list>"], "name": "a < b"}, "<on>": 1}),
    );
    assert!(has_references(&object));
    let values = of_json(&[
        ("count", Some("3")),
        ("on", Some("true")),
        ("list", Some(r#"[1, {"a": null}]"#)),
    ]);
    let out = rendered(&object, &values);
    assert_eq!(
        out["spec"],
        json!({"replicas": 3, "paused": true, "args": ["--n=3", [1, {"a": null}]], "name": "a < b"})
    );
    assert_eq!(out["<on>"], 1, "a field's name is no placeholder");
    let around = with_path("Deployment", &[], &json!({"spec": {"a": "x<list>"}}));
    assert_eq!(
        render(&around, &values).err(),
        Some(BodyError::Composed(reference("kv/data/a", "list", false)))
    );
}

#[test]
fn data_of_secrets_and_config_maps_stays_text() {
    let values = of_json(&[("count", Some("3")), ("map", Some(r#"{"a":1}"#))]);
    let map = with_path(
        "ConfigMap",
        &[],
        &json!({"data": {"n": "<count>", "m": "<map>"}}),
    );
    assert_eq!(
        rendered(&map, &values)["data"],
        json!({"n": "3", "m": r#"{"a":1}"#})
    );
    let secret = with_path(
        "Secret",
        &[],
        &json!({"data": {"n": STANDARD.encode("n=<count>")}, "stringData": {"s": "<count>"}}),
    );
    assert_eq!(
        rendered(&secret, &values)["data"],
        json!({"n": STANDARD.encode("n=3"), "s": STANDARD.encode("3")})
    );
}

#[test]
fn a_field_whose_key_is_missing_is_left_out_where_the_annotation_says_so() {
    let values = of_json(&[("user", Some(r#""ada""#)), ("pass", None)]);
    let values: Resolved = values
        .into_iter()
        .map(|(mut name, value)| {
            name.optional = true;
            (name, value)
        })
        .collect();
    let remove = [("avp.kubernetes.io/remove-missing", "true")];
    let object = with_path(
        "Secret",
        &remove,
        &json!({"stringData": {"user": "<user>", "pass": "p=<pass>"}, "data": {"x": STANDARD.encode("<pass>"), "y": "<pass>"}}),
    );
    assert_eq!(
        rendered(&object, &values)["data"],
        json!({"user": STANDARD.encode("ada")})
    );
    let list = with_path(
        "ConfigMap",
        &remove,
        &json!({"data": {"a": "<pass>"}, "list": ["<pass>"]}),
    );
    assert_eq!(
        render(&list, &values).err(),
        Some(BodyError::NotRemovable(reference(
            "kv/data/a",
            "pass",
            true
        )))
    );
    let other = with_path("Deployment", &remove, &json!({"spec": {"a": "<pass>"}}));
    assert!(matches!(render(&other, &values), Err(BodyError::Scope(_))));
    assert!(references(&other, &mut BTreeSet::new()).is_err());
}

#[test]
fn an_ignored_object_is_sent_as_it_is() {
    let object = with_path(
        "Secret",
        &[("avp.kubernetes.io/ignore", "true")],
        &json!({"stringData": {"a": "<path:kv/data/a#b>", "c": "<d>"}}),
    );
    assert!(!has_references(&object));
    assert_eq!(
        rendered(&object, &Resolved::new())["data"]["a"],
        STANDARD.encode("<path:kv/data/a#b>")
    );
}

/// What parsers of YAML, JSON and base64 have had trouble with, over and over.
const TROUBLE: &[&str] = &[
    "[",
    "{",
    "]",
    "- ",
    "-\n",
    "? ",
    ": ",
    "a: ",
    "a:\n ",
    "{a: ",
    "[[],",
    "\n",
    " ",
    "\t",
    "&a ",
    "*a ",
    "&a [*a, ",
    "!",
    "!!str ",
    "|\n",
    ">\n",
    "'",
    "\"",
    "\"\\u0000",
    "#",
    "%",
    "---\n",
    "...\n",
    "<<: *a\n",
    "{\"a\":",
    "[0,",
    "1",
    "1e",
    "-",
    "=",
    "A",
    "\u{feff}",
    "\u{2028}",
    "𝕩",
    "<path:a#b>",
    "\r",
    "\0",
];

#[test]
fn a_value_made_to_trouble_a_parser_is_an_error_or_a_value_and_soon() {
    // Were anything quadratic in it, or recursive without a bound, the test would take hours or the process would end.
    const SIZE: usize = 64 * 1024;
    let modifiers = [
        "base64encode",
        "base64decode",
        "jsonParse",
        "yamlParse",
        "indent 4",
        "indent 255",
        "sha256sum",
        "jsonPath {..a}",
        "jsonPath {.a[*].b}",
        "jsonPath {range .a[*]}{.b}{end}",
        "base64encode | base64decode | yamlParse",
    ];
    for trouble in TROUBLE {
        let value = trouble.repeat(SIZE / trouble.len());
        let values = resolved(&[("a", "b", &value)]);
        for modifier in modifiers {
            let placeholder = format!("<path:a#b | {modifier}>");
            let object = json!({"kind": "Secret", "apiVersion": "v1", "stringData": {"x": placeholder, "y": format!("u:{placeholder}")}});
            if let Err(error) = render(&object, &values) {
                let said = error.to_string();
                assert!(said.len() < 400, "{trouble:?} {modifier}: {said}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_chain_of_modifiers_panics_or_quotes_its_value(
        words in proptest::collection::vec(prop::sample::select(TROUBLE), 0..12),
        chain in proptest::collection::vec(prop::sample::select(vec!["base64encode", "base64decode", "jsonParse", "yamlParse", "indent 3", "sha256sum", "jsonPath {.a}", "jsonPath {[0]}"]), 0..5),
    ) {
        let value = format!("canary{}", words.concat());
        let placeholder = [vec!["path:a#b"], chain].concat().join(" | ");
        let object = json!({"kind": "Widget", "spec": [{"x": format!("<{placeholder}>")}]});
        match render(&object, &resolved(&[("a", "b", &value)])) {
            Ok(body) => prop_assert!(serde_json::from_slice::<Value>(&body).is_ok()),
            Err(error) => prop_assert!(!error.to_string().contains("canary")),
        }
    }

    #[test]
    fn an_object_without_placeholders_is_sent_as_it_is(object in any_json()) {
        prop_assert_eq!(rendered(&object, &Resolved::new()), object);
    }

    #[test]
    fn a_secret_without_placeholders_is_sent_as_it_is(
        data in prop::collection::hash_map("[a-z.]{1,6}", "[a-zA-Z0-9+/=<>|#é ]{0,24}", 0..6),
        rest in any_json(),
    ) {
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "annotations": {"says": "a < b"}},
            "data": data, "immutable": rest});
        prop_assert_eq!(rendered(&object, &Resolved::new()), object);
    }

    #[test]
    fn any_value_comes_out_as_it_went_in(value in ".{0,80}") {
        let object = json!({"kind": "Widget", "a": ["<path:kv/data/a#p>", {"b": "x<path:kv/data/a#p>y"}]});
        let out = rendered(&object, &resolved(&[("kv/data/a", "p", &value)]));
        prop_assert_eq!(&out["a"][0], &json!(value));
        prop_assert_eq!(&out["a"][1]["b"], &json!(format!("x{value}y")));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        "[a-z<>|# é\"\n\\\\]{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::hash_map("[a-zA-Z<>]{1,6}", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
