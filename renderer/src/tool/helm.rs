//! A Helm chart, in a repository or on its own.

use std::sync::Arc;

use api::application::source::{ApplicationSource, Helm};
use bus::message::desired::Setting;

use super::ToolError;
use super::build_env::BuildEnv;
use super::chart_files::{ChartFiles, Cluster};
use super::token::Use;
use super::value_files::Finder;
use super::{chart, dependency};
use crate::engine::wire;
use crate::job::Job;

/// What the engine is asked, and what it depends on besides files.
pub(crate) struct Prepared {
    pub(crate) request: wire::Helm,
    /// Whether the cluster's version and API versions can change the output.
    pub(crate) capabilities: bool,
    /// The files beside the chart's own parts.
    pub(crate) beside: ChartFiles,
    pub(crate) settings: Vec<Setting>,
}

/// Reads what the chart in `folder` needs.
pub(crate) fn prepare(
    job: &Job,
    index: usize,
    source: &ApplicationSource,
    folder: &str,
    env: &BuildEnv,
) -> Result<Prepared, ToolError> {
    let none = Helm::default();
    let helm = source.helm.as_ref().unwrap_or(&none);
    let tree = &job.sources[index].tree;
    if text(helm.version.as_ref()).is_some_and(|version| version != "v3" && version != "v4") {
        return Err(ToolError::Unsupported {
            what: format!(
                "source.helm.version {}",
                helm.version.as_deref().unwrap_or_default()
            ),
            instead: "leave it out: charts of Helm 2, 3 and 4 are rendered alike",
        });
    }

    let mut chart = chart::load(tree, folder)?;
    let additions = dependency::add(job, tree, folder, &mut chart)?;
    let mut finder = Finder::new(job, tree, folder, env);
    let mut values = finder.values(helm)?;
    let file_parameters = finder.parameters(helm)?;
    if additions.waits || finder.waits {
        return Err(ToolError::Waits);
    }
    let settings = finder.settings;
    values.extend(own_values(helm)?);
    let parameters = parameters(helm, env);
    for file in &values {
        chart.tokens.scan(&file.data.0);
    }
    for parameter in &parameters {
        chart.tokens.scan(parameter.value.as_bytes());
    }
    for parameter in &file_parameters {
        chart.tokens.scan(&parameter.data.0);
    }
    let dependencies = additions.subcharts(tree, &mut chart)?;
    // Also of one that doesn't name them: it could write its whole scope out, them among the rest.
    let files_on_demand = chart.tokens.files != Use::Whole;
    if !files_on_demand {
        chart.load_rest(tree, folder)?;
    }

    let known = job.capabilities.as_ref();
    let kube_version = text(helm.kube_version.as_ref());
    let api_versions = helm
        .api_versions
        .as_ref()
        .filter(|versions| !versions.is_empty());
    // With both given by the source, the cluster has no say.
    let counts = kube_version.is_none() || api_versions.is_none();
    let api_versions = || {
        let known = || known.map(|known| known.api_versions.clone());
        api_versions.cloned().or_else(known).unwrap_or_default()
    };
    let tokens = chart.tokens;
    let cluster = Cluster {
        api_versions: if files_on_demand && !tokens.capabilities {
            api_versions()
        } else {
            Vec::new()
        },
        counts,
    };
    Ok(Prepared {
        request: wire::Helm {
            release_name: text(helm.release_name.as_ref())
                .unwrap_or(&job.app)
                .to_owned(),
            namespace: text(helm.namespace.as_ref())
                .unwrap_or(&job.namespace)
                .to_owned(),
            kube_version: kube_version
                .map(str::to_owned)
                .or_else(|| known.map(|known| known.kube_version.clone()))
                .unwrap_or_default(),
            api_versions: if tokens.capabilities {
                api_versions()
            } else {
                Vec::new()
            },
            folder: folder.to_owned(),
            files: chart.files,
            files_on_demand,
            dependencies,
            values,
            parameters,
            file_parameters,
            skip_crds: helm.skip_crds.unwrap_or(false),
            skip_tests: helm.skip_tests.unwrap_or(false),
            skip_schema_validation: helm.skip_schema_validation.unwrap_or(false),
        },
        capabilities: tokens.capabilities && counts,
        beside: ChartFiles::new(Arc::clone(tree), folder, tokens, cluster),
        settings,
    })
}

/// The values of the source itself, which come after its value files.
fn own_values(helm: &Helm) -> Result<Option<wire::File>, ToolError> {
    const OBJECT: &str = "source.helm.valuesObject";
    let (name, data) = match (&helm.values_object, text(helm.values.as_ref())) {
        (Some(object), _) if !object.is_empty() => {
            let json = serde_json::to_vec(object).map_err(|error| ToolError::Field {
                field: OBJECT.to_owned(),
                cause: error.to_string(),
            })?;
            (OBJECT, json)
        }
        (_, Some(text)) => ("source.helm.values", text.as_bytes().to_vec()),
        _ => return Ok(None),
    };
    Ok(Some(wire::File {
        name: name.to_owned(),
        data: wire::Bytes(data),
    }))
}

fn parameters(helm: &Helm, env: &BuildEnv) -> Vec<wire::Parameter> {
    let given = helm.parameters.iter().flatten();
    given
        .map(|parameter| wire::Parameter {
            name: parameter.name.clone().unwrap_or_default(),
            value: env.expand(parameter.value.as_deref().unwrap_or_default()),
            force_string: parameter.force_string.unwrap_or(false),
        })
        .collect()
}

fn text(field: Option<&String>) -> Option<&str> {
    field.map(String::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
#[path = "helm_tests.rs"]
mod tests;
