//! Keys of `argocd-cm` → what they say of health, by kind.

use std::collections::BTreeMap;

use lua::Libraries;
use serde_json::Value;

/// The key that holds all customizations in one text, as Argo CD had it first.
const ALL_IN_ONE: &str = "resource.customizations";
/// What a customization may be about.
const ABOUT: [&str; 6] = [
    "health",
    "useOpenLibs",
    "actions",
    "ignoreDifferences",
    "ignoreResourceUpdates",
    "knownTypeFields",
];

/// What is said of the health of one kind, or of those that a pattern matches.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) script: String,
    pub(super) libraries: Libraries,
}

/// By `<group>/<kind>`, or `<kind>` for the core group; and why a key says nothing.
pub(super) fn read(data: &BTreeMap<String, String>) -> (BTreeMap<String, Said>, Vec<String>) {
    let mut said = BTreeMap::new();
    let mut problems = Vec::new();
    if let Some(text) = data.get(ALL_IN_ONE)
        && let Err(why) = all_in_one(text, &mut said, &mut problems)
    {
        problems.push(format!("{ALL_IN_ONE}: {why}"));
    }
    for (key, text) in data {
        let parts = key
            .strip_prefix(ALL_IN_ONE)
            .and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
        if let Some((about, kind)) = parts
            && let Err(why) = one(about, kind, text, &mut said)
        {
            problems.push(format!("{key}: {why}"));
        }
    }
    said.retain(|_, said| !said.script.is_empty());
    (said, problems)
}

fn all_in_one(
    text: &str,
    said: &mut BTreeMap<String, Said>,
    problems: &mut Vec<String>,
) -> Result<(), String> {
    if text.trim().is_empty() {
        return Ok(());
    }
    let all: BTreeMap<String, Value> =
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    for (kind, customization) in all {
        let entry = said.entry(kind.clone()).or_default();
        match &customization["health.lua"] {
            Value::Null => {}
            Value::String(script) => entry.script.clone_from(script),
            _ => problems.push(format!("{ALL_IN_ONE}: {kind}: health.lua isn't a text")),
        }
        match &customization["health.lua.useOpenLibs"] {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => entry.libraries = Libraries::All,
            _ => problems.push(format!(
                "{ALL_IN_ONE}: {kind}: health.lua.useOpenLibs isn't a boolean"
            )),
        }
    }
    Ok(())
}

fn one(
    about: &str,
    kind: &str,
    text: &str,
    said: &mut BTreeMap<String, Said>,
) -> Result<(), String> {
    let kind = of_kind(kind)?;
    match about {
        "health" => text.clone_into(&mut said.entry(kind).or_default().script),
        "useOpenLibs" => {
            said.entry(kind).or_default().libraries = match text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Libraries::All,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Libraries::Basic,
                _ => return Err(format!("`{text}` isn't a boolean")),
            };
        }
        other if ABOUT.contains(&other) => {}
        other => return Err(format!("there are no customizations of `{other}`")),
    }
    Ok(())
}

/// `<group>_<kind>` or `<kind>` in a key of a ConfigMap, which has no slashes.
fn of_kind(key: &str) -> Result<String, String> {
    match key.split('_').collect::<Vec<_>>()[..] {
        ["all"] => Ok("*/*".to_owned()),
        [kind] | ["", kind] if !kind.is_empty() => Ok(kind.to_owned()),
        [group, kind] => Ok(format!("{group}/{kind}")),
        _ => Err(format!("`{key}` is neither <group>_<kind> nor <kind>")),
    }
}
