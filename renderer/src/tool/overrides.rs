//! Parameter files in the repository: `.argocd-source.yaml` and `.argocd-source-<application>.yaml` at a source's path.

use api::application::source::ApplicationSource;
use serde_json::Value;

use super::ToolError;
use crate::objects::yaml::{self, Bounds};
use crate::tree::{Tree, join};

/// The source with what the files at its path say laid over it; where it comes from can't be changed by them.
pub(crate) fn merged(
    source: &ApplicationSource,
    tree: &Tree,
    folder: &str,
    app: &str,
) -> Result<ApplicationSource, ToolError> {
    let mut merged = source.clone();
    for name in [
        ".argocd-source.yaml".to_owned(),
        format!(".argocd-source-{app}.yaml"),
    ] {
        let file = join(folder, &name);
        let Some(data) = tree.file(&file)? else {
            continue;
        };
        let invalid = |cause: String| ToolError::Overrides {
            file: file.clone(),
            cause,
        };
        let patch = yaml::document(&String::from_utf8_lossy(&data), Bounds::DEFAULT)
            .map_err(|error| invalid(error.to_string()))?;
        let Some(patch) = patch else { continue };
        if !patch.is_object() {
            return Err(invalid("it is no mapping".to_owned()));
        }
        let mut value =
            serde_json::to_value(&merged).map_err(|error| invalid(error.to_string()))?;
        lay_over(&mut value, patch);
        merged = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
    }
    merged.repo_url.clone_from(&source.repo_url);
    merged.path.clone_from(&source.path);
    merged.chart.clone_from(&source.chart);
    merged.target_revision.clone_from(&source.target_revision);
    Ok(merged)
}

/// JSON merge patch, RFC 7396.
fn lay_over(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(fields) = target {
        for (key, value) in patch {
            if value.is_null() {
                fields.remove(&key);
            } else {
                lay_over(fields.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tree::tests::mk_tree;

    fn overridden(files: &[(&str, &str)]) -> Result<Value, ToolError> {
        let source = json!({"repoURL": "r", "path": "app", "helm": {"releaseName": "a", "valueFiles": ["x.yaml"]}});
        let source = serde_json::from_value(source).unwrap();
        merged(&source, &mk_tree(files), "app", "dome")
            .map(|source| serde_json::to_value(source).unwrap())
    }

    #[test]
    fn the_applications_own_file_wins_and_the_origin_stays() {
        let files = [
            (
                "app/.argocd-source.yaml",
                "repoURL: evil\npath: ../x\nhelm: {releaseName: b, valueFiles: [y.yaml]}\n",
            ),
            (
                "app/.argocd-source-dome.yaml",
                "helm: {releaseName: c, valueFiles: null}\n",
            ),
            ("app/.argocd-source-other.yaml", "helm: {releaseName: d}\n"),
        ];
        let expected = json!({"repoURL": "r", "path": "app", "helm": {"releaseName": "c"}});
        assert_eq!(overridden(&files).unwrap(), expected);
    }

    #[test]
    fn a_broken_parameter_file_is_named() {
        let error = overridden(&[("app/.argocd-source.yaml", "helm: [")])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the parameter file app/.argocd-source.yaml is not valid"),
            "{error}"
        );
        assert!(overridden(&[("app/.argocd-source.yaml", "helm: {valueFiles: 3}")]).is_err());
        assert!(overridden(&[("app/.argocd-source.yaml", "- a")]).is_err());
    }
}
