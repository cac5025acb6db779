//! What a chart says it depends on, and whether its lock file still fits: `Chart.yaml`, or `requirements.yaml` of old.

use bus::Digest;
use serde::Serialize;
use serde_json::{Map, Value};

use super::chart::Chart;
use crate::objects::yaml::{self, Bounds};

/// One dependency, with the fields of Helm's type in its order: its JSON is what a lock's digest is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Requirement {
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) version: String,
    pub(super) repository: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    condition: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    enabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    import_values: Vec<Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    alias: String,
}

/// The dependencies of a chart.
#[derive(Debug)]
pub(super) struct Requirements {
    pub(super) list: Vec<Requirement>,
    /// Of Helm 2's format.
    old: bool,
    locked: Option<(&'static str, String, Vec<Requirement>)>,
}

/// What a lock file is worth.
#[derive(Debug, PartialEq)]
pub(super) enum Lock<'a> {
    None,
    InSync(&'a Vec<Requirement>),
    OutOfSync {
        lock: &'static str,
        of: &'static str,
    },
}

impl Requirements {
    /// None if the files can't be understood.
    pub(super) fn read(chart: &Chart) -> Option<Self> {
        let read = |name: &str| {
            let Some(data) = chart.file(name) else {
                return Some(Map::new());
            };
            mapping(data)
        };
        let metadata = read("Chart.yaml")?;
        let old = matches!(text(metadata.get("apiVersion")).as_str(), "" | "v1");
        let beside = read("requirements.yaml")?;
        let list = beside
            .get("dependencies")
            .or_else(|| metadata.get("dependencies"));
        let mut locked = None;
        // Helm lets the last one count.
        for name in ["Chart.lock", "requirements.lock"] {
            if chart.file(name).is_some() {
                let lock = read(name)?;
                let list = requirements(lock.get("dependencies"))?;
                locked = Some((name, text(lock.get("digest")), list));
            }
        }
        Some(Self {
            list: requirements(list)?,
            old,
            locked,
        })
    }

    /// The lock, checked as Helm checks it.
    pub(super) fn lock(&self) -> Lock<'_> {
        let Some((lock, digest, locked)) = &self.locked else {
            return Lock::None;
        };
        // Of a configured repository's name Helm makes its URL first; only the watcher knows it.
        let named = |wanted: &Requirement| {
            wanted.repository.starts_with('@') || wanted.repository.starts_with("alias:")
        };
        let fits = self.list.iter().any(named)
            || sum(&(&self.list, locked)).as_ref() == Some(digest)
            || self.old
                && sum(&Helm2 {
                    dependencies: &self.list,
                })
                .as_ref()
                    == Some(digest);
        if fits {
            return Lock::InSync(locked);
        }
        let of = if self.old {
            "requirements.yaml"
        } else {
            "Chart.yaml"
        };
        Lock::OutOfSync { lock, of }
    }
}

#[derive(Serialize)]
struct Helm2<'a> {
    dependencies: &'a Vec<Requirement>,
}

impl Requirement {
    /// Whether it is satisfied by this version and no other.
    pub(super) fn is_exactly(&self, version: &str) -> bool {
        let plain = |version: &str| {
            version
                .trim()
                .trim_start_matches(['=', 'v'])
                .trim()
                .to_owned()
        };
        let core = plain(&self.version);
        let numbers = core.split(['-', '+']).next().unwrap_or_default();
        // Fewer numbers are a range.
        numbers.split('.').count() == 3
            && numbers
                .bytes()
                .all(|byte| byte == b'.' || byte.is_ascii_digit())
            && core == plain(version)
    }
}

/// The digest that Helm writes into a lock.
fn sum(value: &impl Serialize) -> Option<String> {
    let json = serde_json::to_string(value).ok()?;
    // As Go's JSON has them.
    let json = json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    Some(format!("sha256:{}", Digest::of(json.as_bytes())))
}

/// Name and version of a chart by its `Chart.yaml`.
pub(super) fn identity(data: &[u8]) -> Option<(String, String)> {
    let metadata = mapping(data)?;
    Some((text(metadata.get("name")), text(metadata.get("version"))))
}

fn mapping(data: &[u8]) -> Option<Map<String, Value>> {
    match yaml::document(&String::from_utf8_lossy(data), Bounds::DEFAULT).ok()? {
        Some(Value::Object(fields)) => Some(fields),
        None => Some(Map::new()),
        Some(_) => None,
    }
}

fn requirements(list: Option<&Value>) -> Option<Vec<Requirement>> {
    match list {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(requirement).collect(),
        Some(_) => None,
    }
}

fn requirement(value: &Value) -> Option<Requirement> {
    let fields = value.as_object()?;
    let list = |name: &str| match fields.get(name) {
        Some(Value::Array(list)) => list.clone(),
        _ => Vec::new(),
    };
    Some(Requirement {
        name: text(fields.get("name")),
        version: text(fields.get("version")),
        repository: text(fields.get("repository")),
        condition: text(fields.get("condition")),
        tags: list("tags").iter().map(|tag| text(Some(tag))).collect(),
        enabled: fields.get("enabled") == Some(&Value::Bool(true)),
        import_values: list("import-values"),
        alias: text(fields.get("alias")),
    })
}

/// A scalar as the text that Helm's type takes it for.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}
