//! A folder of plain manifests.

use api::application::source::Directory;
use api::glob;

use super::ToolError;
use crate::objects::{Located, of_file};
use crate::tree::{Leaf, Tree, Walk, join};

/// What a file says to be left out.
const SKIP: &[u8] = b"+argocd:skip-file-rendering";

/// The objects of a folder's files, in the order of their paths.
pub(crate) fn render(
    tree: &Tree,
    folder: &str,
    options: Option<&Directory>,
) -> Result<Vec<Located>, ToolError> {
    let recurse = options.and_then(|options| options.recurse).unwrap_or(false);
    let any_extension = options
        .and_then(|options| options.disable_extension_filter)
        .unwrap_or(false);
    let filter = Filter::new(options)?;
    let walk = if recurse { Walk::Recursive } else { Walk::Flat };
    let leaves = tree
        .folder(folder, walk)?
        .ok_or_else(|| ToolError::NoPath {
            path: folder.to_owned(),
        })?;
    let mut objects = Vec::new();
    for leaf in leaves
        .iter()
        .filter(|leaf| any_extension || is_manifest(leaf))
    {
        if !filter.takes(&leaf.name)? {
            continue;
        }
        let path = join(folder, &leaf.name);
        let data = tree.leaf(folder, leaf)?;
        if data.windows(SKIP.len()).any(|window| window == SKIP) {
            continue;
        }
        if leaf.name.ends_with(".jsonnet") {
            return Err(ToolError::Unsupported {
                what: format!("Jsonnet ({path})"),
                instead: "it comes with a later version; exclude the file with source.directory.exclude",
            });
        }
        objects.extend(of_file(&path, &data)?);
    }
    Ok(objects)
}

fn is_manifest(leaf: &Leaf) -> bool {
    let extension = leaf.name.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yaml" | "yml" | "json" | "jsonnet"))
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
    use crate::tree::tests::mk_tree;

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
        let objects = render(&tree, "app", Some(&options)).unwrap();
        objects
            .iter()
            .map(|object| {
                object.value["metadata"]["name"]
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

    #[test]
    fn jsonnet_and_malformed_patterns_are_told() {
        let tree = mk_tree(&[("app/main.jsonnet", "{}")]);
        assert!(
            render(&tree, "app", None)
                .unwrap_err()
                .to_string()
                .contains("app/main.jsonnet")
        );
        let options = serde_json::from_value(json!({"include": "{a"})).unwrap();
        assert!(matches!(
            render(&tree, "app", Some(&options)),
            Err(ToolError::Pattern { .. })
        ));
    }
}
