//! A reference for what wasn't applied server-side, whose fields nobody wrote down as ours: the fields that the manifest has, and
//! their values as the server answered them.

use std::collections::HashSet;

use serde_json::Value;

use super::owned::{self, Field, Mark, Values};
use super::place;

/// The fields of `manifest`, as they are in `applied`, sorted by path. Which of them the server dropped isn't asked.
pub(super) fn fields(manifest: &Value, applied: &Value, values: Values) -> Vec<Field> {
    let mut paths = Vec::new();
    let kind = applied.get("kind").and_then(Value::as_str);
    for (name, value) in manifest.as_object().into_iter().flatten() {
        let name = match name.as_str() {
            "apiVersion" | "kind" | "status" => continue,
            // The server keeps it as data.
            "stringData" if kind == Some("Secret") => "data",
            name => name,
        };
        walk(
            &owned::beneath("", name),
            value,
            applied.get(name),
            &mut paths,
        );
    }
    paths.retain(|path| path != "metadata.name" && path != "metadata.namespace");
    paths.sort();
    paths.dedup();
    let marked = paths.into_iter().filter_map(|path| {
        let mark = mark(applied, &path, values)?;
        Some(Field { path, mark })
    });
    marked.collect()
}

/// The same fields as they are now; those that are gone are left out.
pub(super) fn now(live: &Value, then: impl Iterator<Item = Field>, values: Values) -> Vec<Field> {
    then.filter_map(|field| {
        let mark = mark(live, &field.path, values)?;
        Some(Field { mark, ..field })
    })
    .collect()
}

fn walk(path: &str, wanted: &Value, applied: Option<&Value>, paths: &mut Vec<String>) {
    match wanted {
        Value::Null => {}
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                let applied = applied.and_then(|applied| applied.get(name));
                walk(&owned::beneath(path, name), field, applied, paths);
            }
        }
        Value::Array(items) => match applied.and_then(Value::as_array) {
            // Others may put items between ours.
            Some(applied) if are_named(items) && are_named(applied) => {
                for item in items {
                    let name = &item["name"];
                    let path = format!("{path}[name={name}]");
                    let applied = applied.iter().find(|applied| applied["name"] == *name);
                    paths.push(path.clone());
                    walk(&path, item, applied, paths);
                }
            }
            _ => paths.push(path.to_owned()),
        },
        _ => paths.push(path.to_owned()),
    }
}

/// Whether all items have a name of their own.
fn are_named(items: &[Value]) -> bool {
    let names: Option<HashSet<&str>> = items
        .iter()
        .map(|item| item.get("name").and_then(Value::as_str))
        .collect();
    names.is_some_and(|names| !items.is_empty() && names.len() == items.len())
}

fn mark(object: &Value, path: &str, values: Values) -> Option<Mark> {
    if values == Values::Metadata && !owned::is_beneath(path, "metadata") {
        // The value isn't seen: whose it is tells of a change.
        return Some(Mark::Value(owned::owners_digest(object, path)));
    }
    let value = place::get(object, &place::found(object, path)?)?;
    match value {
        Value::Null => None,
        Value::Object(_) => Some(Mark::Present),
        value => Some(Mark::Value(owned::digest(path, value))),
    }
}
