//! A Kustomize overlay of the repository.

use api::application::source::{ApplicationSource, Kustomize};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ToolError;
use super::build_env::BuildEnv;
use crate::engine::wire;
use crate::job::Job;

/// The release whose rules are built in (`kustomizeVersion` in the engine).
const VERSION: &str = "v5.8.1";

/// An overlay as it stands, with what `argocd-cm` and the cluster add to its build.
pub(crate) fn plain(job: &Job, folder: String, given: &Kustomize) -> wire::Kustomize {
    let build_options = job.rendering.kustomize_build_options.clone();
    let mut request = wire::Kustomize {
        root: folder,
        ..wire::Kustomize::default()
    };
    if inflates_charts(&build_options) {
        let known = job.capabilities.as_ref();
        request.kube_version = given
            .kube_version
            .clone()
            .filter(|version| !version.is_empty())
            .or_else(|| known.map(|known| known.kube_version.clone()))
            .unwrap_or_default();
        request.api_versions = given
            .api_versions
            .clone()
            .filter(|versions| !versions.is_empty())
            .or_else(|| known.map(|known| known.api_versions.clone()))
            .unwrap_or_default();
    }
    request.build_options = build_options;
    request
}

/// As Argo CD looks for it.
fn inflates_charts(build_options: &str) -> bool {
    build_options.contains("--enable-helm")
}

/// Whether the cluster can have a say in the charts of the overlay: not if the source gives both of what they may ask for.
pub(crate) fn asks_cluster(source: &ApplicationSource) -> bool {
    source.kustomize.as_ref().is_none_or(|given| {
        given.kube_version.as_deref().is_none_or(str::is_empty)
            || given.api_versions.as_ref().is_none_or(Vec::is_empty)
    })
}

/// The edits that Argo CD makes to the overlay before it builds.
pub(crate) fn request(
    job: &Job,
    source: &ApplicationSource,
    folder: &str,
    env: &BuildEnv,
) -> Result<wire::Kustomize, ToolError> {
    let none = Kustomize::default();
    let given = source.kustomize.as_ref().unwrap_or(&none);
    if given
        .version
        .as_deref()
        .is_some_and(|version| !version.is_empty() && !is_ours(version))
    {
        return Err(ToolError::Unsupported {
            what: format!(
                "source.kustomize.version {}",
                given.version.as_deref().unwrap_or_default()
            ),
            instead: "leave it out: the rules of Kustomize 5.8.1 are built in",
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
        ..plain(job, folder.to_owned(), given)
    })
}

/// Whether a version is of the same major release, whatever `argocd-cm` calls it.
fn is_ours(version: &str) -> bool {
    let major = |version: &str| {
        let plain = version.trim_start_matches(['v', 'V']);
        plain.split('.').next().unwrap_or_default().to_owned()
    };
    major(version) == major(VERSION)
}

#[cfg(test)]
mod tests {
    use bus::message::cluster::Capabilities;
    use serde_json::json;

    use super::*;
    use crate::job::tests::mk_job;
    use crate::tool::build_env::tests::mk_env;

    fn asked(kustomize: &serde_json::Value) -> Result<serde_json::Value, ToolError> {
        asked_of(&mk_kustomize_job(kustomize, ""))
    }

    fn asked_of(job: &Job) -> Result<serde_json::Value, ToolError> {
        request(job, &job.sources[0].spec, "overlay", &mk_env())
            .map(|request| serde_json::to_value(request).unwrap())
    }

    fn mk_kustomize_job(kustomize: &serde_json::Value, options: &str) -> Job {
        let mut job = mk_job(json!([{"repoURL": "r", "kustomize": kustomize}]), &[]);
        job.rendering.kustomize_build_options = options.to_owned();
        job.capabilities = Some(Capabilities {
            kube_version: "v1.33.4-vendor.7".to_owned(),
            api_versions: vec!["sky/v1".to_owned()],
        });
        job
    }

    #[test]
    fn the_cluster_only_counts_for_charts_and_where_the_source_does_not_say() {
        let plain = asked_of(&mk_kustomize_job(&json!({}), "--reorder none")).unwrap();
        assert_eq!(plain["buildOptions"], "--reorder none");
        assert!(plain.get("kubeVersion").is_none());
        let charts = asked_of(&mk_kustomize_job(&json!({}), "--enable-helm")).unwrap();
        assert_eq!(charts["kubeVersion"], "v1.33.4-vendor.7");
        assert_eq!(charts["apiVersions"], json!(["sky/v1"]));
        let own = json!({"kubeVersion": "1.30.0", "apiVersions": ["own/v1"]});
        let own = mk_kustomize_job(&own, "--enable-helm");
        assert!(!asks_cluster(&own.sources[0].spec));
        let own = asked_of(&own).unwrap();
        assert_eq!(own["kubeVersion"], "1.30.0");
        assert_eq!(own["apiVersions"], json!(["own/v1"]));
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
        let with = super::tests::asked(&json!({
            "commonAnnotations": {"app": "$ARGOCD_APP_NAME"},
            "commonAnnotationsEnvsubst": true,
        }));
        assert_eq!(
            with.unwrap()["commonAnnotations"],
            json!({"app": "guider-north"})
        );
        assert_eq!(asked["replicas"][0], json!({"name": "dome", "count": 3}));
        assert_eq!(asked["patches"][0]["target"]["kind"], "Deployment");
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        assert!(asked(&json!({"replicas": [{"name": "dome", "count": "many"}]})).is_err());
        assert!(asked(&json!({"version": "v4.5.7"})).is_err());
        assert!(asked(&json!({"version": "v5.2.1"})).is_ok());
    }
}
