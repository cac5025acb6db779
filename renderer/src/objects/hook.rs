//! What Helm does with a template's output by its `helm.sh/hook` annotation.

use serde_json::Value;

/// Where an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Manifest,
    Hook,
    /// A hook of a type that Helm doesn't know, such as Helm 2's `crd-install`, or a test that isn't wanted.
    Dropped,
}

const EVENTS: [&str; 10] = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
    "test-success",
];

pub(super) fn fate(object: &Value, skip_tests: bool) -> Fate {
    let Some(Value::String(hook)) = object.pointer("/metadata/annotations/helm.sh~1hook") else {
        return Fate::Manifest;
    };
    let mut test = false;
    for event in hook.split(',').map(|event| event.trim().to_lowercase()) {
        if !EVENTS.contains(&event.as_str()) {
            return Fate::Dropped;
        }
        test |= event.starts_with("test");
    }
    if test && skip_tests {
        Fate::Dropped
    } else {
        Fate::Hook
    }
}
