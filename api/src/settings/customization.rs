//! `resource.customizations`: what people say about kinds of objects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const WHOLE: &str = "resource.customizations";
/// Sizes beyond this aren't read at all.
const MAX_TEXT: usize = 1024 * 1024;

/// What people say about one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Customization {
    /// A Lua script that assesses health.
    #[serde(
        rename = "health.lua",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub health_lua: Option<String>,
    /// The script may use Lua's standard libraries.
    #[serde(rename = "health.lua.useOpenLibs", default)]
    pub use_open_libs: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<String>,
    /// YAML: `jsonPointers`, `jqPathExpressions`, `managedFieldsManagers`.
    #[serde(
        rename = "ignoreDifferences",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub ignore_differences: Option<String>,
    #[serde(
        rename = "ignoreResourceUpdates",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub ignore_resource_updates: Option<String>,
    /// Fields whose type is one of Kubernetes' own.
    #[serde(
        rename = "knownTypeFields",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub known_type_fields: Option<KnownTypeFields>,
}

/// A list in the one big value, its YAML in a key of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum KnownTypeFields {
    List(Vec<KnownTypeField>),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KnownTypeField {
    /// Names with dots between.
    pub field: String,
    /// As `core/v1/PodSpec`.
    #[serde(rename = "type")]
    pub type_name: String,
}

impl KnownTypeFields {
    /// None if it can't be read.
    pub fn list(&self) -> Option<Vec<KnownTypeField>> {
        match self {
            Self::List(list) => Some(list.clone()),
            Self::Text(text) if text.trim().is_empty() => Some(Vec::new()),
            Self::Text(text) if text.len() > MAX_TEXT => None,
            Self::Text(text) => serde_saphyr::from_str(text).ok(),
        }
    }
}

/// By `<group>/<kind>`, the core group's by `<kind>` alone; `*/*` is for all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Customizations(BTreeMap<String, Customization>);

impl Customizations {
    /// Reads the one big value and the split keys, which win; and what couldn't be read.
    pub(super) fn read(data: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut kinds = BTreeMap::<String, Customization>::new();
        if let Some(text) = data.get(WHOLE).filter(|text| !text.trim().is_empty()) {
            if text.len() > MAX_TEXT {
                problems.push(format!("{WHOLE} is larger than {MAX_TEXT} bytes"));
            } else {
                match serde_saphyr::from_str::<BTreeMap<String, Customization>>(text) {
                    Ok(read) => kinds = read,
                    Err(error) => problems.push(format!("{WHOLE}: {error}")),
                }
            }
        }
        for (key, value) in data {
            let Some(rest) = key
                .strip_prefix(WHOLE)
                .and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            let Some((what, kind)) = rest.split_once('.') else {
                problems.push(format!("{key}: write {WHOLE}.<what>.<group>_<kind>"));
                continue;
            };
            let customization = kinds.entry(kind_key(kind)).or_default();
            let value = Some(value.clone());
            match what {
                "health" => customization.health_lua = value,
                "useOpenLibs" => customization.use_open_libs = value.as_deref() == Some("true"),
                "actions" => customization.actions = value,
                "ignoreDifferences" => customization.ignore_differences = value,
                "ignoreResourceUpdates" => customization.ignore_resource_updates = value,
                "knownTypeFields" => {
                    customization.known_type_fields = value.map(KnownTypeFields::Text);
                }
                other => problems.push(format!("{key}: {other:?} has no meaning here")),
            }
        }
        (Self(kinds), problems)
    }

    /// What is said about exactly this kind.
    pub fn get(&self, group: &str, kind: &str) -> Option<&Customization> {
        if group.is_empty() {
            self.0.get(kind)
        } else {
            self.0.get(&format!("{group}/{kind}"))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Customization)> {
        self.0.iter().map(|(kind, said)| (kind.as_str(), said))
    }
}

/// `cert-manager.io_Certificate` → `cert-manager.io/Certificate`; a group's `*` is written as such.
fn kind_key(kind: &str) -> String {
    match kind.split_once('_') {
        _ if kind == "all" => "*/*".to_owned(),
        Some(("", kind)) => kind.to_owned(),
        Some((group, kind)) => format!("{group}/{kind}"),
        None => kind.to_owned(),
    }
}
