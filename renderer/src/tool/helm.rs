//! A Helm chart of the repository.

use std::collections::BTreeMap;

use api::application::source::{ApplicationSource, Helm};

use super::ToolError;
use super::build_env::BuildEnv;
use super::chart;
use crate::engine::wire;
use crate::job::Job;
use crate::tree::{Answer, Tree, TreeError, clean, join};

/// What the engine is asked, and what it depends on besides files.
pub(crate) struct Prepared {
    pub(crate) request: wire::Helm,
    /// Whether the cluster's version and API versions can change the output.
    pub(crate) capabilities: bool,
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
    if text(helm.version.as_ref()).is_some_and(|version| version != "v3") {
        return Err(ToolError::Unsupported {
            what: format!(
                "source.helm.version {}",
                helm.version.as_deref().unwrap_or_default()
            ),
            instead: "leave it out: charts of Helm 2, 3 and 4 are rendered alike",
        });
    }

    let mut chart = chart::load(tree, folder)?;
    let values = values(job, tree, folder, helm, env)?;
    let parameters = parameters(helm, env);
    let file_parameters = file_parameters(job, tree, folder, helm, env)?;
    for file in &values {
        chart.tokens.scan(&file.data.0);
    }
    for parameter in &parameters {
        chart.tokens.scan(parameter.value.as_bytes());
    }
    for parameter in &file_parameters {
        chart.tokens.scan(&parameter.data.0);
    }
    if chart.tokens.files {
        chart.load_rest(tree, folder)?;
    }

    let known = job.capabilities.as_ref();
    let kube_version = text(helm.kube_version.as_ref());
    let api_versions = helm
        .api_versions
        .as_ref()
        .filter(|versions| !versions.is_empty());
    // With both given by the source, the cluster has no say.
    let capabilities =
        chart.tokens.capabilities && (kube_version.is_none() || api_versions.is_none());
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
            api_versions: api_versions
                .cloned()
                .or_else(|| known.map(|known| known.api_versions.clone()))
                .filter(|_| chart.tokens.capabilities)
                .unwrap_or_default(),
            files: chart.files,
            values,
            parameters,
            file_parameters,
            skip_crds: helm.skip_crds.unwrap_or(false),
            skip_tests: helm.skip_tests.unwrap_or(false),
            skip_schema_validation: helm.skip_schema_validation.unwrap_or(false),
        },
        capabilities,
    })
}

/// Value files in their order, each once, then the values of the source itself.
fn values(
    job: &Job,
    tree: &Tree,
    folder: &str,
    helm: &Helm,
    env: &BuildEnv,
) -> Result<Vec<wire::File>, ToolError> {
    let mut values: Vec<wire::File> = Vec::new();
    for name in helm.value_files.iter().flatten() {
        let field = "source.helm.valueFiles".to_owned();
        match locate(job, tree, folder, name, env, &field)?.read()? {
            Ok((path, data)) => {
                if !values.iter().any(|file| file.name == path) {
                    values.push(wire::File {
                        name: path,
                        data: wire::Bytes(data),
                    });
                }
            }
            Err(_) if helm.ignore_missing_value_files.unwrap_or(false) => {}
            Err(path) => return Err(ToolError::MissingFile { field, path }),
        }
    }
    let own = match (&helm.values_object, text(helm.values.as_ref())) {
        (Some(object), _) if !object.is_empty() => Some((
            "source.helm.valuesObject",
            serde_json::to_vec(object).map_err(|error| ToolError::Field {
                field: "source.helm.valuesObject".to_owned(),
                cause: error.to_string(),
            })?,
        )),
        (_, Some(text)) => Some(("source.helm.values", text.as_bytes().to_vec())),
        _ => None,
    };
    if let Some((name, data)) = own {
        values.push(wire::File {
            name: name.to_owned(),
            data: wire::Bytes(data),
        });
    }
    Ok(values)
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

fn file_parameters(
    job: &Job,
    tree: &Tree,
    folder: &str,
    helm: &Helm,
    env: &BuildEnv,
) -> Result<Vec<wire::FileParameter>, ToolError> {
    let field = "source.helm.fileParameters".to_owned();
    // The last path of a name counts, as in Argo CD.
    let mut paths = BTreeMap::new();
    for parameter in helm.file_parameters.iter().flatten() {
        paths.insert(
            parameter.name.clone().unwrap_or_default(),
            parameter.path.as_deref().unwrap_or_default(),
        );
    }
    let mut parameters = Vec::new();
    for (name, path) in paths {
        match locate(job, tree, folder, path, env, &field)?.read()? {
            Ok((_, data)) => parameters.push(wire::FileParameter {
                name,
                data: wire::Bytes(data),
            }),
            Err(path) => return Err(ToolError::MissingFile { field, path }),
        }
    }
    Ok(parameters)
}

/// A file in one of the application's trees.
struct Place<'a> {
    tree: &'a Tree,
    path: String,
}

impl Place<'_> {
    /// The file under its real path, or the path where none is.
    fn read(self) -> Result<Result<(String, Vec<u8>), String>, TreeError> {
        Ok(match self.tree.at(&self.path)? {
            Answer::File { path, data } => Ok((path, data)),
            Answer::Folder { .. } | Answer::Absent => Err(self.path),
        })
    }
}

/// Where a path of the specification points: `$ref/…` into another source, `/…` from the root, else from the chart.
fn locate<'a>(
    job: &'a Job,
    tree: &'a Tree,
    folder: &str,
    name: &str,
    env: &BuildEnv,
    field: &str,
) -> Result<Place<'a>, ToolError> {
    let referenced = name
        .strip_prefix('$')
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    if let Some((reference, path)) = referenced {
        if let Some(other) = job.referenced(reference) {
            let path = env.expand(path);
            let path = clean(&path).ok_or(TreeError::Leaves { path })?;
            return Ok(Place {
                tree: &other.tree,
                path,
            });
        }
        if !reference.starts_with("ARGOCD_") && !reference.starts_with('{') {
            return Err(ToolError::UnknownReference {
                field: field.to_owned(),
                reference: reference.to_owned(),
            });
        }
    }
    let name = env.expand(name);
    if name.contains("://") {
        return Err(ToolError::RemoteFile {
            field: field.to_owned(),
            url: name.chars().take(200).collect(),
        });
    }
    let joined = join(folder, &name);
    let path = clean(&joined).ok_or(TreeError::Leaves { path: joined })?;
    Ok(Place { tree, path })
}

fn text(field: Option<&String>) -> Option<&str> {
    field.map(String::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
#[path = "helm_tests.rs"]
mod tests;
