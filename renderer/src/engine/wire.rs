//! The wire to a worker, mirrored from `renderer/engine/wire.go`, which says how the frames follow each other.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::message::need::Need;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest frame in either direction, in bytes.
pub(crate) const MAX_FRAME: usize = 64 << 20;

/// One render: a chart, an overlay, both, which is the last mile, or Jsonnet files.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) helm: Option<Helm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kustomize: Option<Kustomize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jsonnet: Option<Jsonnet>,
}

impl Request {
    /// A frame without its length.
    pub(crate) fn frame(&self) -> Result<Vec<u8>, serde_json::Error> {
        let helm = self.helm.iter();
        let files = helm.flat_map(|helm| {
            let dependencies = helm.dependencies.iter().flat_map(|it| &it.files);
            helm.files.iter().chain(dependencies).chain(&helm.values)
        });
        frame(self, files)
    }
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own of the chart's render, named where it is given"
)]
pub(crate) struct Helm {
    pub(crate) release_name: String,
    pub(crate) namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kube_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_versions: Vec<String>,
    /// Where the chart is, for errors.
    pub(crate) folder: String,
    pub(crate) files: Vec<File>,
    /// There are more in the folder, to be asked for.
    pub(crate) files_on_demand: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dependencies: Vec<Subchart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<File>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parameters: Vec<Parameter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) file_parameters: Vec<FileParameter>,
    pub(crate) skip_crds: bool,
    pub(crate) skip_tests: bool,
    pub(crate) skip_schema_validation: bool,
}

/// A dependency that the chart's folder doesn't hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Subchart {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) packed: bool,
    pub(crate) files: Vec<File>,
}

/// What is in it comes behind the frame's JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct File {
    pub(crate) name: String,
    #[serde(rename = "size", serialize_with = "Bytes::size")]
    pub(crate) data: Bytes,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) force_string: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileParameter {
    pub(crate) name: String,
    pub(crate) data: Bytes,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields of Argo CD's Kustomize block"
)]
pub(crate) struct Kustomize {
    pub(crate) root: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name_prefix: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name_suffix: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) replicas: Vec<Replica>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) common_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) common_annotations: BTreeMap<String, String>,
    pub(crate) force_common_labels: bool,
    pub(crate) force_common_annotations: bool,
    pub(crate) label_without_selector: bool,
    pub(crate) label_include_templates: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) patches: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) components: Vec<String>,
    pub(crate) ignore_missing_components: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) build_options: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kube_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_versions: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) count: i64,
}

/// The Jsonnet files of a folder of plain manifests. All paths are from the tree's root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Jsonnet {
    pub(crate) files: Vec<String>,
    pub(crate) folder: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) libs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tlas: Vec<JsonnetVariable>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ext_vars: Vec<JsonnetVariable>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct JsonnetVariable {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) code: bool,
}

/// The first word of a worker, a question, or the end of a render.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reply {
    Ready(Sealed),
    Read {
        path: String,
    },
    /// What a need stands for is to be laid over a path.
    Mount {
        need: Need,
        at: String,
    },
    /// The chart in a folder; with `whole`, even files that its templates can't name.
    Chart {
        path: String,
        whole: bool,
    },
    /// What is in a folder.
    List {
        path: String,
    },
    /// A file of the chart that is rendered, named from its folder.
    ChartFile {
        path: String,
    },
    ChartNames(FilesOf),
    Ok {
        documents: Vec<Document>,
    },
    Error(Failure),
}

/// The files with an ending that are in a folder of the chart that is rendered, or, if deep, below it too.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct FilesOf {
    pub(crate) folder: String,
    pub(crate) deep: bool,
    pub(crate) ending: String,
}

impl Reply {
    /// Reads a frame without its length.
    pub(crate) fn read(frame: &[u8]) -> Result<Self, serde_json::Error> {
        let end = memchr::memchr(0, frame).unwrap_or(frame.len());
        let (text, contents) = frame.split_at(end);
        let mut reply = serde_json::from_slice(text)?;
        if let Self::Ok { documents } = &mut reply {
            let mut contents = contents.get(1..).unwrap_or_default();
            for document in documents {
                let Some((text, rest)) = contents.split_at_checked(document.size) else {
                    return Err(serde::de::Error::custom("a frame ends within a document"));
                };
                document.text = match std::str::from_utf8(text) {
                    Ok(text) => text.to_owned(),
                    Err(_) => String::from_utf8_lossy(text).into_owned(),
                };
                contents = rest;
            }
        }
        Ok(reply)
    }
}

/// What a worker gave up by itself before it reads.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sealed {
    /// Version of Landlock's interface; 0 is without.
    pub(crate) landlock: u32,
    pub(crate) seccomp: bool,
    pub(crate) empty_root: bool,
    pub(crate) no_capabilities: bool,
}

/// What is at a path; `path` is where it really is, symbolic links resolved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum Answer {
    File {
        path: String,
        data: Bytes,
    },
    /// `holds` are answers for names in it that are asked for next, in the place of those questions.
    Directory {
        path: String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        holds: BTreeMap<String, Answer>,
    },
    Chart {
        files: Vec<File>,
    },
    Names {
        names: Vec<String>,
    },
    Absent,
    Refused {
        message: String,
    },
}

impl Answer {
    /// A frame without its length.
    pub(crate) fn frame(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Chart { files } => frame(self, files),
            _ => frame(self, []),
        }
    }
}

/// Text, and behind it what is in the files that it names.
fn frame<'f>(
    text: &impl Serialize,
    files: impl IntoIterator<Item = &'f File>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut frame = serde_json::to_vec(text)?;
    frame.push(0);
    for file in files {
        frame.extend_from_slice(&file.data.0);
    }
    Ok(frame)
}

/// What one template, CRD file or overlay came to: maybe several YAML documents. They come behind the frame's JSON.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Document {
    pub(crate) kind: DocumentKind,
    pub(crate) source: String,
    size: usize,
    #[serde(skip)]
    pub(crate) text: String,
}

#[cfg(test)]
impl Document {
    pub(crate) fn new(kind: DocumentKind, source: &str, text: &str) -> Self {
        Self {
            kind,
            source: source.to_owned(),
            size: text.len(),
            text: text.to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DocumentKind {
    Template,
    Crd,
    Kustomize,
    Jsonnet,
}

/// A render that failed by its input.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    #[serde(default)]
    pub file: String,
    #[serde(default)]
    pub line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    Chart,
    Dependency,
    Values,
    Schema,
    Template,
    /// All files of the chart must be given.
    Files,
    Kustomize,
    Jsonnet,
    Refused,
    Remote,
    /// What it needs has yet to be fetched, and was asked for.
    Waits,
    Unsupported,
    Limit,
    Request,
    Internal,
}

/// Bytes as Go's JSON has them: base64.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl Bytes {
    fn size<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.len().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        STANDARD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use std::sync::Arc;

    use crate::objects::{Limits, Meter};

    #[test]
    fn a_reply_is_named_by_its_only_key() {
        let read: Reply = serde_json::from_str(r#"{"read":{"path":"a/b"}}"#).unwrap();
        assert!(matches!(read, Reply::Read { path } if path == "a/b"));
        let error: Reply = serde_json::from_str(
            r#"{"error":{"kind":"template","message":"boom","file":"a","line":3}}"#,
        )
        .unwrap();
        assert!(matches!(
            error,
            Reply::Error(Failure {
                kind: FailureKind::Template,
                line: 3,
                ..
            })
        ));
    }

    #[test]
    fn documents_come_behind_the_text() {
        let text = r#"{"ok":{"documents":[{"kind":"crd","source":"a","size":3},{"kind":"template","source":"b","size":2}]}}"#;
        let frame = |contents: &[u8]| [text.as_bytes(), b"\0", contents].concat();
        let Reply::Ok { documents } = Reply::read(&frame(b"one\xfft")).unwrap() else {
            panic!("no documents")
        };
        let texts: Vec<_> = documents.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["one", "\u{fffd}t"]);
        assert!(Reply::read(&frame(b"one")).is_err());
        assert!(Reply::read(text.as_bytes()).is_err());
    }

    #[test]
    fn an_answer_carries_bytes_as_base64_and_a_charts_files_behind_its_text() {
        let answer = Answer::File {
            path: "a".to_owned(),
            data: Bytes(b"hi".to_vec()),
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"kind":"file","path":"a","data":"aGk="}"#
        );
        let file = |name: &str, data: &str| File {
            name: name.to_owned(),
            data: Bytes(data.into()),
        };
        let files = vec![file("a", "one"), file("b", ""), file("c", "two")];
        assert_eq!(
            String::from_utf8(Answer::Chart { files }.frame().unwrap()).unwrap(),
            "{\"kind\":\"chart\",\"files\":[{\"name\":\"a\",\"size\":3},{\"name\":\"b\",\"size\":0},{\"name\":\"c\",\"size\":3}]}\0onetwo"
        );
        assert_eq!(
            serde_json::to_string(&Answer::Absent).unwrap(),
            r#"{"kind":"absent"}"#
        );
    }

    /// JSON that is nearly a reply: its words at any place, and anything between them.
    fn nearly_a_reply() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            3 => prop::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"", "null", "true", "0", "-1", "1e999", "18446744073709551616", "\\u0000", "\\ud800",
            ]).prop_map(str::to_owned),
            4 => prop::sample::select(vec![
                "ready", "read", "mount", "chart", "list", "chartFile", "chartNames", "folder", "deep", "ending", "ok", "error", "path", "need", "at", "whole", "documents", "kind", "source", "size",
                "message", "file", "line", "template", "crd", "kustomize", "jsonnet", "git", "url", "reference", "landlock", "seccomp", "emptyRoot",
                "noCapabilities", "internal",
            ]).prop_map(|word| format!("\"{word}\"")),
            1 => ".{0,6}",
        ];
        proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
    }

    /// A reply of the right shape, with any texts in it.
    fn reply() -> impl Strategy<Value = (serde_json::Value, String)> {
        let text = || any::<String>();
        let kind = prop::sample::select(vec!["template", "crd", "kustomize", "jsonnet", "x"]);
        let document = (kind, text(), text(), 0..3_usize);
        let documents = proptest::collection::vec(document, 0..4).prop_map(|documents| {
            let text: String = documents
                .iter()
                .map(|(.., text, _)| text.as_str())
                .collect();
            let documents: Vec<_> = documents
                .iter()
                .map(|(kind, source, text, more)| {
                    json!({"kind": kind, "source": source, "size": text.len() + more})
                })
                .collect();
            (json!({"ok": {"documents": documents}}), text)
        });
        let question = |value: serde_json::Value| (value, String::new());
        prop_oneof![
            text().prop_map(move |path| question(json!({"read": {"path": path}}))),
            (text(), any::<bool>())
                .prop_map(move |(path, whole)| question(json!({"chart": {"path": path, "whole": whole}}))),
            (text(), text(), text()).prop_map(move |(url, reference, at)| {
                question(json!({"mount": {"need": {"git": {"url": url, "reference": reference}}, "at": at}}))
            }),
            documents,
            (text(), text(), any::<i64>()).prop_map(move |(message, file, line)| {
                question(json!({"error": {"kind": "template", "message": message, "file": file, "line": line}}))
            }),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_reply_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in nearly_a_reply()) {
            let _ = Reply::read(&bytes);
            let _ = Reply::read(text.as_bytes());
        }

        #[test]
        fn whatever_a_reply_says_is_objects_or_an_error((reply, contents) in reply(), cut in any::<prop::sample::Index>()) {
            let mut bytes = serde_json::to_vec(&reply).unwrap();
            let text = bytes.len();
            bytes.push(0);
            bytes.extend_from_slice(contents.as_bytes());
            if let Ok(Reply::Ok { documents }) = Reply::read(&bytes) {
                let meter = Meter::new(Limits::DEFAULT, Arc::default());
                let _ = crate::objects::of_engine(&documents, true, &meter)
                    .and_then(|objects| crate::objects::finish(objects, Limits::DEFAULT));
                for document in documents {
                    let _ = crate::objects::of_jsonnet("a", &document.text, &meter);
                }
            }
            bytes.truncate(cut.index(text));
            prop_assert!(Reply::read(&bytes).is_err());
        }
    }
}
