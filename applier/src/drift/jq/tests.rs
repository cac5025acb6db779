use serde_json::json;

use super::*;
use crate::drift::place::Part;

fn object() -> Value {
    json!({
        "metadata": {"name": "web", "annotations": {"example.org/a": "1", "plain": "2"}},
        "spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": "app:1", "env": [{"name": "FOO_A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "proxy", "image": "proxy:1"},
        ]}}},
        "webhooks": [{"clientConfig": {"caBundle": "x"}}, {"clientConfig": {}}],
    })
}

/// The places as JSON pointers.
fn places(text: &str) -> Option<Vec<String>> {
    let places = Expression::read(text).unwrap().places(&object())?;
    let pointer = |place: Place| {
        let parts = place.iter().map(|part| match part {
            Part::Field(name) => format!("/{name}"),
            Part::Item(at) => format!("/{at}"),
        });
        parts.collect::<String>()
    };
    Some(places.into_iter().map(pointer).collect())
}

#[test]
fn fields_items_and_what_is_selected_are_named() {
    let cases: &[(&str, &[&str])] = &[
        (".spec.replicas", &["/spec/replicas"]),
        (
            ".metadata.annotations[\"example.org/a\"]",
            &["/metadata/annotations/example.org/a"],
        ),
        (
            ".webhooks[]?.clientConfig.caBundle",
            &[
                "/webhooks/0/clientConfig/caBundle",
                "/webhooks/1/clientConfig/caBundle",
            ],
        ),
        (
            ".spec.template.spec.containers[] | select(.name == \"proxy\") | .image",
            &["/spec/template/spec/containers/1/image"],
        ),
        (
            ".spec.template.spec.containers[].env[]? | select(.name | test(\"^foo_\"; \"i\"))",
            &["/spec/template/spec/containers/0/env/0"],
        ),
        (
            ".spec.template.spec.containers[] | select(.name | IN(\"proxy\", \"side\"))",
            &["/spec/template/spec/containers/1"],
        ),
        (
            ".spec.template.spec.containers[-1]",
            &["/spec/template/spec/containers/1"],
        ),
        (
            ".. | .caBundle? // empty",
            &["/webhooks/0/clientConfig/caBundle"],
        ),
        (".spec.a, .spec.b", &["/spec/a", "/spec/b"]),
        (
            ".metadata.annotations | .[keys[] | select(startswith(\"example\"))]",
            &["/metadata/annotations/example.org/a"],
        ),
        (
            "if .metadata.name == \"web\" then .spec.x else empty end",
            &["/spec/x"],
        ),
        (
            ".metadata.name as $n | .spec[$n + \"-\\($n)\"]",
            &["/spec/web-web"],
        ),
        ("first(.webhooks[])", &["/webhooks/0"]),
        (".none[]?", &[]),
        (
            ".spec.template.spec.containers[] | select(any(.env[]?; .value == \"2\") and (has(\"x\") | not))",
            &["/spec/template/spec/containers/0"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            places(text).as_deref(),
            Some(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{text}"
        );
    }
}

#[test]
fn what_fails_names_nothing() {
    for text in [
        ".spec[] | .y[]",
        ".metadata.name.x",
        ".metadata.name | length",
        ".none[]",
        "$x",
    ] {
        assert_eq!(places(text), None, "{text}");
    }
}

#[test]
fn what_no_path_needs_is_refused_by_name() {
    for (text, named) in [
        ("def f: f; f", "def"),
        ("reduce .[] as $x (0; . + 1)", "reduce"),
        ("range(1000000000)", "range/1"),
        ("env", "env/0"),
        (".a = 1", "assignment"),
        (".a[1:2]", "slice"),
        ("repeat(.)", "repeat/1"),
    ] {
        let error = Expression::read(text).unwrap_err().to_string();
        assert!(error.contains(named), "{text}: {error}");
    }
    assert_eq!(Expression::read(".a[").unwrap_err(), JqError::Syntax);
    assert!(matches!(
        Expression::read(".a | test(\"(\")"),
        Err(JqError::Regex(_))
    ));
}

#[test]
fn an_expression_that_would_go_on_for_ever_ends_and_names_nothing() {
    let doubled = format!("{} | .spec", vec!["(., .)"; 40].join(" | "));
    let nothing = format!("{} | empty", vec!["(., .)"; 40].join(" | "));
    let lists = format!(
        "{} | select(. == .) | empty",
        vec!["[., .]"; 40].join(" | ")
    );
    let texts = format!(
        ".metadata.name | {} | empty",
        vec!["(. + .)"; 40].join(" | ")
    );
    let deep = vec![".."; 40].join(" | ");
    for text in [doubled, nothing, lists, texts, deep] {
        let started = std::time::Instant::now();
        assert_eq!(places(&text), None, "{text}");
        assert!(
            started.elapsed() < std::time::Duration::from_secs(5),
            "{text}"
        );
    }
}

#[test]
fn the_nesting_of_an_expression_is_bounded() {
    for text in [
        "(".repeat(1000),
        "-".repeat(1000) + "1",
        "[".repeat(500) + &"]".repeat(500),
        "if ".repeat(300),
        "try ".repeat(250),
    ] {
        assert!(Expression::read(&text).is_err(), "{text}");
    }
    assert_eq!(
        Expression::read(&".a".repeat(600)).unwrap_err(),
        JqError::TooLong
    );
}
