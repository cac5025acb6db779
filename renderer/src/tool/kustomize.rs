//! A Kustomize overlay of the repository.

use api::application::source::{ApplicationSource, Kustomize};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ToolError;
use super::build_env::BuildEnv;
use crate::engine::wire;

/// The edits that Argo CD makes to the overlay before it builds.
pub(crate) fn request(
    source: &ApplicationSource,
    folder: &str,
    env: &BuildEnv,
) -> Result<wire::Kustomize, ToolError> {
    let none = Kustomize::default();
    let given = source.kustomize.as_ref().unwrap_or(&none);
    if given
        .version
        .as_deref()
        .is_some_and(|version| !version.is_empty())
    {
        return Err(ToolError::Unsupported {
            what: "source.kustomize.version".to_owned(),
            instead: "leave it out: one version of Kustomize is built in",
        });
    }
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let flag = |field: Option<bool>| field.unwrap_or(false);
    let annotations = given.common_annotations.clone().unwrap_or_default();
    let invalid = |field: &str, cause: String| ToolError::Field {
        field: format!("source.kustomize.{field}"),
        cause,
    };
    Ok(wire::Kustomize {
        root: folder.to_owned(),
        name_prefix: text(&given.name_prefix),
        name_suffix: text(&given.name_suffix),
        namespace: text(&given.namespace),
        images: given
            .images
            .iter()
            .flatten()
            .map(|image| env.expand(image))
            .collect(),
        replicas: given
            .replicas
            .iter()
            .flatten()
            .map(|replica| {
                let count = match &replica.count.0 {
                    IntOrString::Int(count) => Ok(i64::from(*count)),
                    IntOrString::String(text) => text.parse(),
                };
                let count = count.map_err(|_| {
                    invalid(
                        "replicas",
                        format!("`{}` has no whole number", replica.name),
                    )
                })?;
                Ok(wire::Replica {
                    name: replica.name.clone(),
                    count,
                })
            })
            .collect::<Result<_, ToolError>>()?,
        common_labels: given
            .common_labels
            .iter()
            .flatten()
            .map(|(name, value)| (name.clone(), env.expand(value)))
            .collect(),
        common_annotations: if flag(given.common_annotations_envsubst) {
            annotations
                .into_iter()
                .map(|(name, value)| (name, env.expand(&value)))
                .collect()
        } else {
            annotations
        },
        force_common_labels: flag(given.force_common_labels),
        force_common_annotations: flag(given.force_common_annotations),
        label_without_selector: flag(given.label_without_selector),
        label_include_templates: flag(given.label_include_templates),
        patches: given
            .patches
            .iter()
            .flatten()
            .map(|patch| {
                serde_json::to_value(patch).map_err(|error| invalid("patches", error.to_string()))
            })
            .collect::<Result<_, ToolError>>()?,
        components: given.components.clone().unwrap_or_default(),
        ignore_missing_components: flag(given.ignore_missing_components),
        build_options: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tool::build_env::tests::mk_env;

    fn asked(kustomize: &serde_json::Value) -> Result<serde_json::Value, ToolError> {
        let source =
            serde_json::from_value(json!({"repoURL": "r", "kustomize": kustomize})).unwrap();
        request(&source, "overlay", &mk_env()).map(|request| serde_json::to_value(request).unwrap())
    }

    #[test]
    fn edits_take_the_build_environment_where_argo_cd_does() {
        let asked = asked(&json!({
            "images": ["dome:$ARGOCD_APP_REVISION_SHORT"],
            "commonLabels": {"app": "$ARGOCD_APP_NAME"},
            "commonAnnotations": {"app": "$ARGOCD_APP_NAME"},
            "replicas": [{"name": "dome", "count": "3"}, {"name": "mount", "count": 2}],
            "patches": [{"patch": "[]", "target": {"kind": "Deployment"}}],
        }))
        .unwrap();
        assert_eq!(asked["images"], json!(["dome:0123456"]));
        assert_eq!(asked["commonLabels"], json!({"app": "guider-north"}));
        assert_eq!(
            asked["commonAnnotations"],
            json!({"app": "$ARGOCD_APP_NAME"})
        );
        assert_eq!(asked["replicas"][0], json!({"name": "dome", "count": 3}));
        assert_eq!(asked["patches"][0]["target"]["kind"], "Deployment");
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        assert!(asked(&json!({"replicas": [{"name": "dome", "count": "many"}]})).is_err());
        assert!(asked(&json!({"version": "v4"})).is_err());
    }
}
