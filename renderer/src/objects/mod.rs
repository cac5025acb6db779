//! From texts to the objects of an application: split, parse, order, unpack lists, check, drop repetitions.
//!
//! What marks an object as the application's, and the namespace of one that has none, are the applier's to add: it
//! knows the scopes, and it is the process that prunes by those marks.

mod check;
pub(crate) mod guard;
mod hook;
mod object;
mod order;
mod scalar;
mod split;
pub(crate) mod yaml;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

pub(crate) use check::finish;
pub(crate) use object::Documents;
pub use object::{Object, json};

use crate::engine::wire::{Document, DocumentKind};
use yaml::{Bounds, YamlError};

/// An object and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) object: Object,
    pub(crate) origin: Origin,
}

/// The file (or template) and the line in it (or in its output) at which an object's document starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) rendered: bool,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            file,
            line,
            rendered,
        } = self;
        if *rendered {
            write!(f, "{file} (line {line} of its output)")
        } else {
            write!(f, "{file}:{line}")
        }
    }
}

/// What is bounded in an application's objects.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Number of objects.
    pub objects: usize,
    /// Bytes of all objects, about as JSON has them.
    pub bytes: usize,
}

impl Limits {
    pub const DEFAULT: Self = Self {
        objects: 20_000,
        bytes: 64 << 20,
    };
}

/// Why texts are no objects.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("{origin} is not valid YAML: {cause}")]
    Yaml { origin: String, cause: String },
    #[error("{file} is not valid JSON: {cause}")]
    Json { file: String, cause: String },
    #[error("{origin} is {what}, not a mapping: each document must be one Kubernetes object")]
    NotAnObject { origin: String, what: &'static str },
    #[error("{origin} has no {field}{hint}")]
    Missing {
        origin: String,
        field: &'static str,
        hint: String,
    },
    #[error("over {limit} objects, the limit of one application")]
    TooMany { limit: usize },
    #[error("with {file} the objects are over {limit} bytes, the limit of one application")]
    TooLarge { file: String, limit: usize },
}

/// The bytes of an application's objects, counted while they are parsed: aliases make much of little.
pub(crate) struct Meter {
    limits: Limits,
    bytes: AtomicUsize,
    objects: AtomicUsize,
    documents: Arc<Documents>,
}

impl Meter {
    /// Documents that are known needn't be parsed again; they count all the same.
    pub(crate) fn new(limits: Limits, documents: Arc<Documents>) -> Self {
        Self {
            limits,
            bytes: AtomicUsize::new(0),
            objects: AtomicUsize::new(0),
            documents,
        }
    }

    fn add(&self, file: &str, bytes: usize) -> Result<(), ObjectError> {
        // A sum of what each was bounded before: it can't overflow.
        let used = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used > self.limits.bytes {
            return Err(ObjectError::TooLarge {
                file: file.to_owned(),
                limit: self.limits.bytes,
            });
        }
        // A document is an object at least.
        if self.objects.fetch_add(1, Ordering::Relaxed) >= self.limits.objects {
            return Err(ObjectError::TooMany {
                limit: self.limits.objects,
            });
        }
        Ok(())
    }
}

/// The manifest that Helm prints last, as far as is known.
struct Printed<'a> {
    kind: String,
    source: &'a str,
    piece: split::Piece<'a>,
    /// Among the manifests.
    index: usize,
}

/// The objects of an engine's answer, in Helm's order where a chart made them: CRDs, manifests, hooks.
pub(crate) fn of_engine(
    documents: &[Document],
    skip_tests: bool,
    meter: &Meter,
) -> Result<Vec<Located>, ObjectError> {
    let mut manifests = Vec::new();
    let mut hooks = Vec::new();
    let mut last_printed: Option<Printed<'_>> = None;
    for document in documents {
        let template = document.kind == DocumentKind::Template;
        let pieces = if template {
            split::helm(&document.text)
        } else {
            split::kubernetes(&document.text)
        };
        let last = pieces.len().saturating_sub(1);
        for (index, piece) in pieces.into_iter().enumerate() {
            // Helm prints each manifest, and each file of CRDs, with a line end of its own behind it.
            let ended = match document.kind {
                DocumentKind::Template => Some(split::ended(piece.text)),
                DocumentKind::Crd if index == last => Some(split::ended(piece.text)),
                _ => None,
            };
            let read = split::Piece {
                text: ended.as_deref().unwrap_or(piece.text),
                line: piece.line,
            };
            let Some(object) = parse(&document.source, &read, true, meter)? else {
                continue;
            };
            match hook::fate(object.object.head(), skip_tests) {
                hook::Fate::Hook if template => hooks.push(object),
                hook::Fate::Dropped if template => {}
                // Only Helm's own templates have hooks of Helm.
                _ => {
                    if template {
                        let kind = object.object.head()["kind"].as_str().unwrap_or_default();
                        let is_later = last_printed
                            .as_ref()
                            .is_none_or(|last| order::rank(&last.kind) <= order::rank(kind));
                        if is_later {
                            last_printed = Some(Printed {
                                kind: kind.to_owned(),
                                source: &document.source,
                                piece,
                                index: manifests.len(),
                            });
                        }
                    }
                    manifests.push(object);
                }
            }
        }
    }
    if let Some(last) = last_printed
        && matches!(split::ended(last.piece.text), Cow::Owned(_))
    {
        // Behind the last manifest Helm leaves one line end and no more.
        let text = format!("{}\n", last.piece.text.trim_end());
        let read = split::Piece {
            text: &text,
            line: last.piece.line,
        };
        if let Some(object) = parse(last.source, &read, true, meter)? {
            manifests[last.index] = object;
        }
    }
    manifests.append(&mut hooks);
    Ok(manifests)
}

/// The objects of a plain file, by Argo CD's rules: a JSON file is one object, a YAML file that doesn't even look like
/// Kubernetes' is someone else's and skipped.
pub(crate) fn of_file(path: &str, data: &[u8], meter: &Meter) -> Result<Vec<Located>, ObjectError> {
    let text = String::from_utf8_lossy(data);
    if path
        .rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "json")
    {
        return of_json(path, &text, meter);
    }
    let mut objects = Vec::new();
    for piece in split::kubernetes(&text) {
        match parse(path, &piece, false, meter).and_then(|found| found.map(with_kind).transpose()) {
            Ok(found) => objects.extend(found),
            Err(error @ (ObjectError::TooLarge { .. } | ObjectError::TooMany { .. })) => {
                return Err(error);
            }
            Err(_) if objects.is_empty() && !looks_like_kubernetes(&text) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
    Ok(objects)
}

fn of_json(path: &str, text: &str, meter: &Meter) -> Result<Vec<Located>, ObjectError> {
    let fail = |cause: &dyn std::fmt::Display| ObjectError::Json {
        file: path.to_owned(),
        cause: cause.to_string(),
    };
    let value: Value =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| fail(&error))?;
    meter.add(path, text.len())?;
    let origin = Origin {
        file: path.to_owned(),
        line: 1,
        rendered: false,
    };
    Ok(vec![with_kind(mapping(Object::new(value), origin)?)?])
}

/// The objects of an evaluated Jsonnet file: one, or an array of them, with empty places left out.
pub(crate) fn of_jsonnet(
    path: &str,
    text: &str,
    meter: &Meter,
) -> Result<Vec<Located>, ObjectError> {
    meter.add(path, text.len())?;
    let value: Value = serde_json::from_str(text).map_err(|error| ObjectError::Json {
        file: format!("the output of {path}"),
        cause: error.to_string(),
    })?;
    let values = match value {
        Value::Array(values) => values,
        value => vec![value],
    };
    values
        .into_iter()
        .filter(|value| !value.is_null())
        .map(|value| {
            let origin = Origin {
                file: path.to_owned(),
                line: 1,
                rendered: true,
            };
            with_kind(mapping(Object::new(value), origin)?)
        })
        .collect()
}

/// The one line of Argo CD by which a file counts as a manifest with a mistake, not as another kind of file.
fn looks_like_kubernetes(text: &str) -> bool {
    ["apiVersion:", "kind:", "metadata:"]
        .iter()
        .all(|word| text.contains(word))
}

fn with_kind(object: Located) -> Result<Located, ObjectError> {
    match object.object.head().get("kind") {
        Some(Value::String(kind)) if !kind.is_empty() => Ok(object),
        _ => Err(check::missing(&object, "kind")),
    }
}

fn parse(
    file: &str,
    piece: &split::Piece<'_>,
    rendered: bool,
    meter: &Meter,
) -> Result<Option<Located>, ObjectError> {
    let origin = |line| Origin {
        file: file.to_owned(),
        line,
        rendered,
    };
    let parsed = || yaml::weighed(piece.text, Bounds::DEFAULT);
    match meter.documents.object(piece.text, parsed) {
        Ok(None) => Ok(None),
        Ok(Some((object, bytes))) => {
            meter.add(file, bytes)?;
            mapping(object, origin(piece.line)).map(Some)
        }
        Err(YamlError { line, cause }) => Err(ObjectError::Yaml {
            origin: origin(piece.line + line.max(1) - 1).to_string(),
            cause: cause.to_string(),
        }),
    }
}

fn mapping(object: Object, origin: Origin) -> Result<Located, ObjectError> {
    let what = match object.head() {
        Value::Object(_) => return Ok(Located { object, origin }),
        Value::Array(_) => "a sequence",
        Value::String(_) => "a text",
        Value::Number(_) => "a number",
        Value::Bool(_) => "a boolean",
        Value::Null => "null",
    };
    Err(ObjectError::NotAnObject {
        origin: origin.to_string(),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_meter() -> Meter {
        Meter::new(Limits::DEFAULT, Arc::default())
    }

    fn of_file(path: &str, data: &[u8]) -> Result<Vec<Located>, ObjectError> {
        super::of_file(path, data, &mk_meter())
    }

    #[test]
    fn all_files_of_an_application_count_together() {
        let limits = Limits {
            objects: 10,
            bytes: 150,
        };
        let meter = Meter::new(limits, Arc::default());
        let object = b"kind: A\nmetadata: {name: a}\ndata: &x abcdefghij\nmore: [*x, *x]\n";
        assert!(super::of_file("a.yaml", object, &meter).is_ok());
        assert_eq!(
            super::of_file("b.yaml", object, &meter)
                .unwrap_err()
                .to_string(),
            "with b.yaml the objects are over 150 bytes, the limit of one application"
        );
    }

    fn template(text: &str) -> Document {
        Document::new(DocumentKind::Template, "dome/templates/a.yaml", text)
    }

    fn names(objects: &[Located]) -> Vec<&str> {
        objects
            .iter()
            .map(|object| object.object.head()["metadata"]["name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn a_block_that_keeps_its_line_ends_has_the_one_that_helm_prints_behind_it() {
        let text = "kind: A\nmetadata: {name: a}\ndata: |+\n  b\n\n---\nkind: B\nmetadata: {name: b}\ndata: |\n  b";
        let data = |documents: &[Document]| {
            let objects = of_engine(documents, false, &mk_meter()).unwrap();
            let data = objects.iter().map(|it| it.object.head()["data"].clone());
            data.collect::<Vec<_>>()
        };
        assert_eq!(data(&[template(text)]), ["b\n\n\n", "b\n"]);
        // What is printed last, by Helm's order of kinds, has one line end.
        let keeping =
            |kind: &str| format!("kind: {kind}\nmetadata: {{name: a}}\ndata: |+\n  b\n\n");
        let both = format!("{}---\n{}", keeping("Service"), keeping("Secret"));
        assert_eq!(data(&[template(&both)]), ["b\n", "b\n\n\n"]);
        let crds = Document::new(DocumentKind::Crd, "dome/crds/a.yaml", text);
        assert_eq!(data(&[crds]), ["b\n\n", "b\n"]);
    }

    #[test]
    fn hooks_come_after_manifests_and_unknown_hooks_are_dropped() {
        let hook = |name: &str, kind: &str| {
            format!(
                "kind: Job\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: \"{kind}\"}}}}\n"
            )
        };
        let text = [
            hook("before", "pre-install, Post-Upgrade"),
            hook("old", "crd-install"),
            hook("probe", "test"),
            "kind: ConfigMap\nmetadata: {name: config}\n".to_owned(),
        ]
        .join("---\n");
        let documents = [template(&text)];
        assert_eq!(
            names(&of_engine(&documents, false, &mk_meter()).unwrap()),
            ["config", "before", "probe"]
        );
        assert_eq!(
            names(&of_engine(&documents, true, &mk_meter()).unwrap()),
            ["config", "before"]
        );
    }

    #[test]
    fn broken_output_names_template_and_line() {
        let error = of_engine(&[template("a: 1\n---\nb: [\n")], false, &mk_meter())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("dome/templates/a.yaml (line 3 of its output) is not valid YAML"),
            "{error}"
        );
    }

    #[test]
    fn a_file_of_another_kind_is_skipped_and_a_broken_manifest_is_not() {
        assert!(of_file("values.yaml", b"a: {{ b }}\n").unwrap().is_empty());
        assert!(of_file("values.yaml", b"replicas: 3\n").unwrap().is_empty());
        let broken = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [\n";
        assert!(
            of_file("a.yaml", broken)
                .unwrap_err()
                .to_string()
                .starts_with("a.yaml:4 is not valid YAML")
        );
        let half = b"apiVersion: v1\nkind: A\n---\nfoo: bar\n";
        assert!(
            of_file("a.yaml", half)
                .unwrap_err()
                .to_string()
                .contains("a.yaml:4 has no kind")
        );
    }

    #[test]
    fn a_json_file_is_one_object() {
        assert_eq!(
            of_file("a.json", br#"{"kind":"A","metadata":{"name":"a"}}"#)
                .unwrap()
                .len(),
            1
        );
        assert!(of_file("a.json", br#"{"kind":"A"} {"kind":"B"}"#).is_err());
        assert!(of_file("a.json", b"[]").is_err());
    }
}
