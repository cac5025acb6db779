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
        merged =
            overridden(&merged, &data).map_err(|cause| ToolError::Overrides { file, cause })?;
    }
    Ok(merged)
}

/// The source with what one file says laid over it, or what is wrong with the file.
pub(crate) fn overridden(
    source: &ApplicationSource,
    data: &[u8],
) -> Result<ApplicationSource, String> {
    let patch = yaml::document(&String::from_utf8_lossy(data), Bounds::DEFAULT)
        .map_err(|error| error.to_string())?;
    let Some(patch) = patch else {
        return Ok(source.clone());
    };
    if !patch.is_object() {
        return Err("it is no mapping".to_owned());
    }
    let mut value = serde_json::to_value(source).map_err(|error| error.to_string())?;
    lay_over(&mut value, patch);
    let mut merged: ApplicationSource =
        serde_json::from_value(value).map_err(|error| unquoted(&error.to_string()))?;
    merged.repo_url.clone_from(&source.repo_url);
    merged.path.clone_from(&source.path);
    merged.chart.clone_from(&source.chart);
    merged.target_revision.clone_from(&source.target_revision);
    Ok(merged)
}

/// What serde says of a value without the value, which may be a secret: `invalid type: string "…", expected a sequence`.
fn unquoted(message: &str) -> String {
    let quote = message.find(['"', '`']);
    match (quote, message.rfind(", expected ")) {
        (Some(quote), Some(expected)) if quote < expected => {
            format!("{}{}", message[..quote].trim_end(), &message[expected..])
        }
        (Some(quote), None) => message[..quote].trim_end().to_owned(),
        _ => message.to_owned(),
    }
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
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::tree::tests::mk_tree;

    fn merged_with(files: &[(&str, &str)]) -> Result<Value, ToolError> {
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
        assert_eq!(merged_with(&files).unwrap(), expected);
    }

    #[test]
    fn a_broken_parameter_file_is_named() {
        let error = merged_with(&[("app/.argocd-source.yaml", "helm: [")])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the parameter file app/.argocd-source.yaml is not valid"),
            "{error}"
        );
        assert!(merged_with(&[("app/.argocd-source.yaml", "- a")]).is_err());
    }

    #[test]
    fn what_is_wrong_is_told_without_the_value() {
        for (text, says) in [
            (
                "helm: {valueFiles: hunter2}",
                "invalid type: string, expected a sequence",
            ),
            (
                "helm: {valueFiles: 271828}",
                "invalid type: integer, expected a sequence",
            ),
            (
                "helm: {valueFiles: [{a: hunter2}]}",
                "invalid type: map, expected a string",
            ),
            (
                "directory: {recurse: 'hunter2, expected `x`'}",
                "invalid type: string, expected a boolean",
            ),
        ] {
            let error = merged_with(&[("app/.argocd-source.yaml", text)])
                .unwrap_err()
                .to_string();
            let place = "the parameter file app/.argocd-source.yaml is not valid: ";
            assert_eq!(error, format!("{place}{says}"));
        }
    }

    const CANARY: &str = "hunter2-canary";

    /// YAML that is nearly a parameter file, its values all secrets.
    fn nearly_parameters() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "helm: ",
            "kustomize: ",
            "directory: ",
            "plugin: ",
            "parameters: ",
            "values: ",
            "valuesObject: ",
            "valueFiles: ",
            "name: ",
            "value: ",
            "forceString: ",
            "images: ",
            "replicas: ",
            "count: ",
            "patches: ",
            "jsonnet: ",
            "tlas: ",
            "recurse: ",
            "repoURL: ",
            "path: ",
            "targetRevision: ",
            "chart: ",
            "ref: ",
            "- ",
            "? ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "\n",
            "\n  ",
            "\n    ",
            "|\n      ",
            "&a ",
            "*a ",
            "!!int ",
            "!!binary ",
            "<<: ",
            "null",
            "true",
            "271828182",
            CANARY,
            "\"hunter2-canary",
            "'hunter2-canary'",
            "# ",
            "---\n",
            "%",
            "\t",
            "\u{0}",
        ]);
        proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn any_file_is_laid_over_or_refused_without_being_quoted(text in nearly_parameters(), bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let source = json!({"repoURL": "r", "path": "app", "targetRevision": "main", "helm": {"releaseName": "a"}});
            let source: ApplicationSource = serde_json::from_value(source).unwrap();
            let _ = overridden(&source, &bytes);
            match overridden(&source, text.as_bytes()) {
                Ok(merged) => {
                    prop_assert_eq!(merged.repo_url, "r");
                    prop_assert_eq!(merged.path.as_deref(), Some("app"));
                    prop_assert_eq!(merged.target_revision.as_deref(), Some("main"));
                    prop_assert_eq!(merged.chart, None);
                }
                Err(error) => {
                    prop_assert!(!error.contains("hunter2"), "{}", error);
                    prop_assert!(!error.contains("2718281"), "{}", error);
                }
            }
        }
    }
}
