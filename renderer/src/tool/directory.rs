//! A folder of plain manifests, Jsonnet among them.

use api::application::directory::{Directory, Jsonnet, JsonnetVar};
use api::glob;

use super::ToolError;
use super::build_env::BuildEnv;
use crate::engine::WorkerError;
use crate::engine::wire::{self, Document};
use crate::objects::{Located, Meter, of_file, of_jsonnet};
use crate::tree::{Tree, TreeError, Walk, clean, join};

/// How the names of manifests end.
const MANIFESTS: [&str; 4] = [".yaml", ".yml", ".json", ".jsonnet"];
/// What a file says to be left out.
const SKIP: &[u8] = b"+argocd:skip-file-rendering";

/// A folder's manifests, in the order of their paths, as far as they are known without the engine.
pub(crate) struct Manifests {
    parts: Vec<Part>,
    request: wire::Jsonnet,
    /// Whether there is Jsonnet at all, evaluated or not.
    pub(crate) jsonnet: bool,
}

enum Part {
    Objects(Vec<Located>),
    /// One file that the engine evaluates.
    Jsonnet(String),
}

/// Reads a folder's files. Jsonnet that is switched off is passed over.
pub(crate) fn read(
    tree: &Tree,
    folder: &str,
    options: Option<&Directory>,
    env: &BuildEnv,
    jsonnet_off: bool,
    meter: &Meter,
) -> Result<Manifests, ToolError> {
    let recurse = options.and_then(|options| options.recurse).unwrap_or(false);
    let any_extension = options
        .and_then(|options| options.disable_extension_filter)
        .unwrap_or(false);
    let filter = Filter::new(options)?;
    let walk = if recurse { Walk::Recursive } else { Walk::Flat };
    let endings = if any_extension {
        &[""][..]
    } else {
        &MANIFESTS[..]
    };
    let leaves = tree
        .find(folder, walk, endings)?
        .ok_or_else(|| ToolError::NoPath {
            path: folder.to_owned(),
        })?;
    let jsonnet = options.and_then(|options| options.jsonnet.as_ref());
    let mut found = Manifests {
        parts: Vec::new(),
        request: request(folder, jsonnet, env)?,
        jsonnet: false,
    };
    for leaf in &leaves {
        if !filter.takes(&leaf.name)? {
            continue;
        }
        let path = join(folder, &leaf.name);
        let data = tree.found(folder, leaf)?;
        if data.windows(SKIP.len()).any(|window| window == SKIP) {
            continue;
        }
        if leaf.name.ends_with(".jsonnet") {
            found.jsonnet = true;
            if !jsonnet_off {
                found.request.files.push(path.clone());
                found.parts.push(Part::Jsonnet(path));
            }
        } else {
            found
                .parts
                .push(Part::Objects(of_file(&path, &data, meter)?));
        }
    }
    Ok(found)
}

/// How Jsonnet files are evaluated. Library folders are from the repository's root.
fn request(
    folder: &str,
    options: Option<&Jsonnet>,
    env: &BuildEnv,
) -> Result<wire::Jsonnet, ToolError> {
    let variables = |given: Option<&Vec<JsonnetVar>>| {
        given
            .into_iter()
            .flatten()
            .map(|variable| wire::JsonnetVariable {
                name: variable.name.clone(),
                value: env.expand(&variable.value),
                code: variable.code.unwrap_or(false),
            })
            .collect()
    };
    let libs = options.and_then(|options| options.libs.as_ref());
    Ok(wire::Jsonnet {
        files: Vec::new(),
        folder: folder.to_owned(),
        libs: libs
            .into_iter()
            .flatten()
            .map(|lib| clean(lib).ok_or_else(|| TreeError::Leaves { path: lib.clone() }))
            .collect::<Result<_, _>>()?,
        tlas: variables(options.and_then(|options| options.tlas.as_ref())),
        ext_vars: variables(options.and_then(|options| options.ext_vars.as_ref())),
    })
}

impl Manifests {
    /// What the engine is asked; nothing where there is no Jsonnet.
    pub(crate) fn request(&self) -> Option<wire::Request> {
        (!self.request.files.is_empty()).then(|| wire::Request {
            jsonnet: Some(self.request.clone()),
            ..wire::Request::default()
        })
    }

    /// The objects, with what the engine made of each Jsonnet file in its place.
    pub(crate) fn finish(
        self,
        documents: &[Document],
        meter: &Meter,
    ) -> Result<Vec<Located>, ToolError> {
        let mut documents = documents.iter();
        let mut objects = Vec::new();
        for part in self.parts {
            match part {
                Part::Objects(found) => objects.extend(found),
                Part::Jsonnet(path) => {
                    let document = documents
                        .next()
                        .filter(|document| {
                            document.kind == wire::DocumentKind::Jsonnet && document.source == path
                        })
                        .ok_or(WorkerError::Babbled {
                            what: "its documents are not those that it was asked for",
                        })?;
                    objects.extend(of_jsonnet(&path, &document.text, meter)?);
                }
            }
        }
        Ok(objects)
    }
}

struct Filter<'a> {
    include: Option<&'a str>,
    exclude: Option<&'a str>,
}

impl<'a> Filter<'a> {
    fn new(options: Option<&'a Directory>) -> Result<Self, ToolError> {
        let pattern =
            |text: Option<&'a String>| text.map(String::as_str).filter(|text| !text.is_empty());
        let filter = Self {
            include: pattern(options.and_then(|options| options.include.as_ref())),
            exclude: pattern(options.and_then(|options| options.exclude.as_ref())),
        };
        filter.takes("a")?;
        Ok(filter)
    }

    /// `*` crosses folders here, as in Argo CD.
    fn takes(&self, name: &str) -> Result<bool, ToolError> {
        let matches = |field, pattern: Option<&str>, absent| match pattern {
            None => Ok(absent),
            Some(pattern) => glob::matches(pattern, name, None).ok_or_else(|| ToolError::Pattern {
                field,
                pattern: pattern.chars().take(80).collect(),
            }),
        };
        Ok(!matches("source.directory.exclude", self.exclude, false)?
            && matches("source.directory.include", self.include, true)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::Limits;
    use crate::tool::build_env::tests::mk_env;
    use crate::tree::tests::mk_tree;

    fn mk_meter() -> Meter {
        Meter::new(Limits::DEFAULT, std::sync::Arc::default())
    }

    fn mk_object(name: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
    }

    fn names(options: serde_json::Value) -> Vec<String> {
        let objects = ["a", "b", "c", "d", "s"].map(mk_object);
        let skipped = format!("# +argocd:skip-file-rendering\n{}", objects[4]);
        let tree = mk_tree(&[
            ("app/b.yml", &objects[1]),
            ("app/a.yaml", &objects[0]),
            ("app/README.md", "# not a manifest"),
            ("app/skipped.yaml", &skipped),
            ("app/values.yaml", "replicas: 2"),
            ("app/deep/c.yaml", &objects[2]),
            (
                "app/deep/d.json",
                r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}}"#,
            ),
        ]);
        let options = serde_json::from_value(options).unwrap();
        let found = read(&tree, "app", Some(&options), &mk_env(), false, &mk_meter()).unwrap();
        assert!(found.request().is_none());
        let objects = found.finish(&[], &mk_meter()).unwrap();
        objects
            .iter()
            .map(|object| {
                object.object.head()["metadata"]["name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn only_the_folder_itself_unless_recurse_is_set() {
        assert_eq!(names(json!({})), ["a", "b"]);
        assert_eq!(names(json!({"recurse": true})), ["a", "b", "c", "d"]);
    }

    #[test]
    fn include_and_exclude_choose_by_path() {
        assert_eq!(
            names(json!({"recurse": true, "include": "*.yaml"})),
            ["a", "c"]
        );
        assert_eq!(
            names(json!({"recurse": true, "exclude": "{deep/*,b.yml}"})),
            ["a"]
        );
    }

    const LAMP: (&str, &str) = ("app/lamp.jsonnet", "{}");

    fn with_options(options: &serde_json::Value) -> Result<Manifests, ToolError> {
        let object = mk_object("a");
        let tree = mk_tree(&[
            ("app/a.yaml", &object),
            LAMP,
            ("app/lib.libsonnet", "{}"),
            ("app/z.yaml", &object),
        ]);
        let options = serde_json::from_value(options.clone()).unwrap();
        read(&tree, "app", Some(&options), &mk_env(), false, &mk_meter())
    }

    #[test]
    fn jsonnet_is_asked_of_the_engine_with_expanded_variables() {
        let found = with_options(&json!({"jsonnet": {
            "tlas": [{"name": "app", "value": "$ARGOCD_APP_NAME"}],
            "extVars": [{"name": "count", "value": "1 + 1", "code": true}],
            "libs": ["vendor", "/lib/"],
        }}))
        .unwrap();
        let asked = serde_json::to_value(found.request()).unwrap();
        assert_eq!(
            asked,
            json!({"jsonnet": {
                "files": ["app/lamp.jsonnet"],
                "folder": "app",
                "libs": ["vendor", "lib"],
                "tlas": [{"name": "app", "value": "guider-north", "code": false}],
                "extVars": [{"name": "count", "value": "1 + 1", "code": true}],
            }})
        );
        let mk_document = |source: &str| {
            let text = r#"[{"kind": "A"}, null]"#;
            Document::new(wire::DocumentKind::Jsonnet, source, text)
        };
        let objects = found
            .finish(&[mk_document("app/lamp.jsonnet")], &mk_meter())
            .unwrap();
        let origins: Vec<_> = objects
            .iter()
            .map(|object| object.origin.file.as_str())
            .collect();
        assert_eq!(origins, ["app/a.yaml", "app/lamp.jsonnet", "app/z.yaml"]);
        let found = with_options(&json!({})).unwrap();
        assert!(
            found
                .finish(&[mk_document("app/other.jsonnet")], &mk_meter())
                .is_err()
        );
        assert!(
            with_options(&json!({}))
                .unwrap()
                .finish(&[], &mk_meter())
                .is_err()
        );
    }

    #[test]
    fn jsonnet_that_is_switched_off_is_passed_over() {
        let found = read(&mk_tree(&[LAMP]), "app", None, &mk_env(), true, &mk_meter()).unwrap();
        assert!(found.jsonnet);
        assert!(found.request().is_none());
    }

    #[test]
    fn malformed_patterns_and_libraries_outside_are_told() {
        assert!(matches!(
            with_options(&json!({"include": "{a"})),
            Err(ToolError::Pattern { .. })
        ));
        assert!(matches!(
            with_options(&json!({"jsonnet": {"libs": ["../lib"]}})),
            Err(ToolError::Tree(TreeError::Leaves { .. }))
        ));
    }
}
