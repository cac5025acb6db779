//! Which fields a manager owns, read from `metadata.managedFields` side by side with the object that they are about.
//!
//! `FieldsV1` is a tree: `f:<name>` is a field, `k:<json>` the list item with these keys, `v:<json>` a set's member, `i:<n>` an
//! index, `.` the node itself, and a node without children a leaf.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Which values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Values {
    #[default]
    All,
    Metadata,
}

/// What is known of an owned field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// That it is there.
    Present,
    /// That it is a map or list without anything in it.
    Empty,
    /// That it is a map or list of which others own parts.
    Shared,
    /// What its value was.
    Value([u8; 8]),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) mark: Mark,
}

impl Mark {
    /// Whether what was `self` may have become `now` without anything of ours being lost.
    pub(super) fn agrees(self, now: Self) -> bool {
        match (self, now) {
            (Self::Value(then), Self::Value(now)) => then == now,
            (Self::Value(_), Self::Empty) => false,
            (Self::Value(_), Self::Present | Self::Shared)
            | (Self::Present | Self::Empty | Self::Shared, _) => true,
        }
    }

    /// Whether it says no more than that a map or list is there. The API server takes such a field from its owner when another
    /// puts something in, and leaves the owner nothing that could be healed.
    pub(super) fn is_container(self) -> bool {
        matches!(self, Self::Empty | Self::Shared)
    }
}

/// The fields that `manager` applied and still owns, sorted by path.
pub(super) fn fields(object: &Value, manager: &str, values: Values) -> Vec<Field> {
    let (ours, others): (Vec<&Value>, Vec<&Value>) = entries(object)
        .iter()
        .partition(|entry| is_apply_of(entry, manager));
    collect(object, &trees(&ours), &trees(&others), values)
}

/// The fields that any manager owns, sorted by path.
pub(super) fn anyones(object: &Value, values: Values) -> Vec<Field> {
    collect(
        object,
        &trees(&entries(object).iter().collect::<Vec<_>>()),
        &[],
        values,
    )
}

fn collect(object: &Value, sets: &[&Value], others: &[&Value], values: Values) -> Vec<Field> {
    let mut walk = Walk {
        values,
        found: Vec::new(),
    };
    for set in sets {
        walk.node(&mut String::new(), set, Some(object), others);
    }
    walk.found.sort_by(|one, two| one.path.cmp(&two.path));
    walk.found.dedup_by(|one, two| one.path == two.path);
    walk.found
}

/// The managers, other than `manager`'s applies, that own one of `paths` or something beneath it.
pub(super) fn other_owners(object: &Value, manager: &str, paths: &[String]) -> Vec<String> {
    let mut owners: Vec<String> = entries(object)
        .iter()
        .filter(|entry| !is_apply_of(entry, manager))
        .filter(|entry| {
            names(entry).iter().any(|field| {
                paths
                    .iter()
                    .any(|path| field == path || is_beneath(field, path))
            })
        })
        .filter_map(|entry| entry.get("manager").and_then(Value::as_str))
        .map(str::to_owned)
        .collect();
    owners.sort();
    owners.dedup();
    owners
}

/// The paths of all fields that one of `managers` owns, in whatever way.
pub(super) fn paths(object: &Value, managers: &[&str]) -> Vec<String> {
    let is_theirs = |entry: &&Value| {
        let manager = entry.get("manager").and_then(Value::as_str);
        manager.is_some_and(|manager| managers.contains(&manager))
    };
    let theirs = entries(object).iter().filter(is_theirs);
    theirs.flat_map(names).collect()
}

/// The paths of the fields of an entry, without their values.
fn names(entry: &Value) -> Vec<String> {
    let mut walk = Walk {
        values: Values::Metadata,
        found: Vec::new(),
    };
    if let Some(set) = tree(entry) {
        walk.node(&mut String::new(), set, None, &[]);
    }
    walk.found.into_iter().map(|field| field.path).collect()
}

/// A digest of who owns the field, and in which way: what changes with its value where that isn't seen.
pub(super) fn owners_digest(object: &Value, path: &str) -> [u8; 8] {
    let text = |entry: &Value, key: &str| {
        let text = entry.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let mut owners: Vec<Value> = entries(object)
        .iter()
        .filter(|entry| names(entry).iter().any(|field| field == path))
        .map(|entry| Value::from(vec![text(entry, "manager"), text(entry, "operation")]))
        .collect();
    owners.sort_by_key(Value::to_string);
    digest(path, &Value::Array(owners))
}

/// The path of a field of what is at `path`.
pub(super) fn beneath(path: &str, name: &str) -> String {
    let mut path = path.to_owned();
    Step::Field(name).onto(&mut path);
    path
}

/// Whether `path` is a part of what `above` names.
pub(super) fn is_beneath(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn entries(object: &Value) -> &[Value] {
    object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn tree(entry: &Value) -> Option<&Value> {
    entry.get("fieldsV1")
}

fn trees<'a>(entries: &[&'a Value]) -> Vec<&'a Value> {
    entries.iter().filter_map(|entry| tree(entry)).collect()
}

fn is_apply_of(entry: &Value, manager: &str) -> bool {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    text("manager") == manager && text("operation") == "Apply" && text("subresource").is_empty()
}

struct Walk {
    values: Values,
    found: Vec<Field>,
}

impl Walk {
    /// Collects what `set` holds beneath `path`. `value` is what the object has there, `others` what other managers own there.
    fn node(&mut self, path: &mut String, set: &Value, value: Option<&Value>, others: &[&Value]) {
        let Some(set) = set.as_object() else { return };
        for (key, below) in set {
            if key == "." {
                self.emit(path, Mark::Present);
                continue;
            }
            let Some((step, next)) = step(key, value) else {
                continue;
            };
            let length = path.len();
            step.onto(path);
            let others: Vec<&Value> = others.iter().filter_map(|other| other.get(key)).collect();
            if below.as_object().is_some_and(|below| !below.is_empty()) {
                self.node(path, below, next, &others);
            } else if let Some(mark) = self.mark(path, &step, next, &others) {
                self.emit(path, mark);
            }
            path.truncate(length);
        }
    }

    /// None for what is owned and isn't there: the API server leaves out some empty maps, and an owner of nothing loses nothing.
    fn mark(
        &self,
        path: &str,
        step: &Step<'_>,
        value: Option<&Value>,
        others: &[&Value],
    ) -> Option<Mark> {
        let compared = match self.values {
            Values::All => true,
            Values::Metadata => is_beneath(path, "metadata"),
        };
        // A list item or set member is its own identity: its parts are fields of their own.
        if !compared || !matches!(step, Step::Field(_)) {
            return Some(Mark::Present);
        }
        let container = |is_empty: bool| match (is_shared(others), is_empty) {
            (true, _) => Some(Mark::Shared),
            (false, true) => Some(Mark::Empty),
            (false, false) => None,
        };
        let value = value.filter(|value| !value.is_null())?;
        let is_container = match value {
            Value::Object(map) => container(map.is_empty()),
            Value::Array(list) => container(list.is_empty()),
            _ => None,
        };
        Some(is_container.unwrap_or_else(|| Mark::Value(digest(path, value))))
    }

    fn emit(&mut self, path: &str, mark: Mark) {
        if !path.is_empty() {
            self.found.push(Field {
                path: path.to_owned(),
                mark,
            });
        }
    }
}

/// Whether another manager owns something beneath this node, so that it can't be one indivisible value.
fn is_shared(others: &[&Value]) -> bool {
    others.iter().any(|other| {
        other
            .as_object()
            .is_some_and(|below| below.keys().any(|key| key != "."))
    })
}

enum Step<'a> {
    Field(&'a str),
    Item(Map<String, Value>),
    Member(Value),
    Index(usize),
}

/// One step down: what the key means, and what the object has there.
fn step<'a, 'b>(key: &'a str, value: Option<&'b Value>) -> Option<(Step<'a>, Option<&'b Value>)> {
    let (kind, text) = key.split_once(':')?;
    let items = || value.and_then(Value::as_array);
    match kind {
        "f" => Some((Step::Field(text), value.and_then(|value| value.get(text)))),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(text).ok()?;
            let found = items().and_then(|items| {
                items
                    .iter()
                    .find(|item| keys.iter().all(|(key, is)| item.get(key) == Some(is)))
            });
            Some((Step::Item(keys), found))
        }
        "v" => {
            let member: Value = serde_json::from_str(text).ok()?;
            let found = items().and_then(|items| items.iter().find(|item| **item == member));
            Some((Step::Member(member), found))
        }
        "i" => {
            let index = text.parse().ok()?;
            Some((
                Step::Index(index),
                items().and_then(|items| items.get(index)),
            ))
        }
        _ => None,
    }
}

impl Step<'_> {
    fn onto(&self, path: &mut String) {
        // Writing into a String cannot fail.
        let _ = match self {
            Self::Field(name) if is_plain(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                Ok(())
            }
            Self::Field(name) => write!(path, "[{name:?}]"),
            Self::Item(keys) => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                write!(path, "[{}]", keys.join(","))
            }
            Self::Member(member) => write!(path, "[={member}]"),
            Self::Index(index) => write!(path, "[{index}]"),
        };
    }
}

/// Whether a name needs no quotes between dots.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// A digest of a value at its place, the same whatever the order of keys. Stable: it may be kept for longer than a process.
pub(super) fn digest(path: &str, value: &Value) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(path);
    feed(&mut hash, value);
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finalize()[..8]);
    short
}

fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            hash.update(b"{");
            for key in keys {
                feed_text(hash, key);
                feed(hash, &map[key]);
            }
            hash.update(b"}");
        }
        Value::Array(list) => {
            hash.update(b"[");
            for item in list {
                feed(hash, item);
            }
            hash.update(b"]");
        }
        Value::String(text) => feed_text(hash, text),
        Value::Number(number) => {
            hash.update(b"#");
            feed_text(hash, &number.to_string());
        }
        Value::Bool(true) => hash.update(b"t"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Null => hash.update(b"n"),
    }
}

/// Texts carry their length, so that no two different values feed the same bytes.
fn feed_text(hash: &mut Sha256, text: &str) {
    hash.update(b"\"");
    hash.update(text.len().to_le_bytes());
    hash.update(text);
}
