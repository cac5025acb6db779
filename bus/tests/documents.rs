//! The checked-in documents say what the code does.
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

const UPDATE: &str = "UPDATE_SCHEMAS";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document's text, by its path.
fn generated() -> BTreeMap<PathBuf, String> {
    let text = |value: &Value| format!("{value:#}\n");
    let schemas = bus::document::schemas().into_iter().map(|(name, schema)| {
        (
            root().join("schema").join(name).with_extension("json"),
            text(&schema),
        )
    });
    let asyncapi = (
        root().join("asyncapi.json"),
        text(&bus::document::asyncapi()),
    );
    schemas.chain([asyncapi]).collect()
}

fn checked_in() -> BTreeMap<PathBuf, String> {
    let mut paths = vec![root().join("asyncapi.json")];
    if let Ok(files) = std::fs::read_dir(root().join("schema")) {
        paths.extend(files.map(|file| file.unwrap().path()));
    }
    let read = |path: PathBuf| Some((path.clone(), std::fs::read_to_string(path).ok()?));
    paths.into_iter().filter_map(read).collect()
}

#[test]
fn the_checked_in_documents_are_those_of_the_code() {
    let (generated, checked_in) = (generated(), checked_in());
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(root().join("schema")).unwrap();
        for path in checked_in.keys() {
            std::fs::remove_file(path).unwrap();
        }
        for (path, text) in &generated {
            std::fs::write(path, text).unwrap();
        }
        return;
    }
    let paths: BTreeSet<&PathBuf> = generated.keys().chain(checked_in.keys()).collect();
    let differing: Vec<_> = paths
        .into_iter()
        .filter(|path| generated.get(*path) != checked_in.get(*path))
        .collect();
    assert!(
        differing.is_empty(),
        "run `{UPDATE}=1 cargo test -p bus`; these differ from the code: {differing:?}"
    );
}

#[test]
fn every_reference_in_the_asyncapi_document_leads_somewhere() {
    let document = bus::document::asyncapi();
    let schemas = bus::document::schemas();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let found = match reference.strip_prefix('#') {
            Some(pointer) => document.pointer(pointer).is_some(),
            None => reference
                .strip_prefix("schema/")
                .and_then(|file| file.strip_suffix(".json"))
                .is_some_and(|name| schemas.contains_key(name)),
        };
        assert!(found, "{reference}");
    }
}

#[test]
fn every_channel_has_its_subject_and_somebody_at_each_end() {
    let document = bus::document::asyncapi();
    let channels = document["channels"].as_object().unwrap();
    let operations = document["operations"].as_object().unwrap();
    for (name, channel) in channels {
        let address = channel["address"].as_str().unwrap();
        assert!(
            address.starts_with("towline.v1.") || address.starts_with("$KV."),
            "{name}: {address}"
        );
        for action in ["send", "receive"] {
            let target = format!("#/channels/{name}");
            assert!(
                operations.values().any(|operation| {
                    operation["action"] == action && operation["channel"]["$ref"] == target
                }),
                "nobody to {action} {name}"
            );
        }
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(target) if key == "$ref" => references.push(target.clone()),
                    other => collect(other, references),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
