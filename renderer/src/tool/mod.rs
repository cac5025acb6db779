//! Which tool makes manifests of a source, by Argo CD's rules, and what each of them needs.

pub(crate) mod answers;
mod archive;
pub(crate) mod build_env;
mod chart;
pub(crate) mod chart_files;
mod dependency;
pub(crate) mod directory;
pub(crate) mod helm;
pub(crate) mod kustomize;
pub(crate) mod last_mile;
pub(crate) mod overrides;
mod requirement;
mod token;
mod value_files;

use api::application::source::ApplicationSource;
use bus::message::desired::{Rendering, Setting, Tool};
use bus::message::manifests::SourceType;

use crate::engine::WorkerError;
use crate::need::TooManyNeeds;
use crate::objects::ObjectError;
use crate::tree::{Answer, Tree, TreeError, join};

/// The names of a kustomization, in Kustomize's order.
pub(crate) const KUSTOMIZATIONS: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Why a source has no manifests.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("the path {path} does not exist at this revision")]
    NoPath { path: String },
    #[error("the path {path} is a file; an application's path is a folder")]
    NotAFolder { path: String },
    #[error(
        "the path {path} is absolute; an application's path starts at the repository's root without a slash"
    )]
    AbsolutePath { path: String },
    #[error("the source sets options of several tools ({tools}); keep one of them")]
    SeveralTools { tools: String },
    #[error("{what} is not supported; {instead}")]
    Unsupported { what: String, instead: &'static str },
    #[error("{field} names {path}, which does not exist at this revision")]
    MissingFile { field: String, path: String },
    #[error(
        "{field} names a file by {scheme}, which helm.valuesFileSchemes of argocd-cm does not allow"
    )]
    Scheme { field: String, scheme: String },
    #[error("the pattern {pattern} of {field} matches no file at this revision")]
    NoMatch { field: String, pattern: String },
    #[error("the chart {chart} depends on {dependency}: {cause}")]
    Dependency {
        chart: String,
        dependency: String,
        cause: String,
    },
    #[error(
        "the lock file {lock} is out of sync with the dependencies in {of}; update it with `helm dependency update`"
    )]
    LockOutOfSync { lock: String, of: &'static str },
    #[error("{field} names ${reference}, but no source has this `ref`")]
    UnknownReference { field: String, reference: String },
    #[error("the parameter file {file} is not valid: {cause}")]
    Overrides { file: String, cause: String },
    #[error("{field} is not valid: {cause}")]
    Field { field: String, cause: String },
    #[error("the pattern `{pattern}` of {field} is malformed")]
    Pattern {
        field: &'static str,
        pattern: String,
    },
    #[error(
        "there is no kustomization in {folder}, which the annotation towline.dev/last-mile names"
    )]
    NoOverlay { folder: String },
    #[error("the annotation towline.dev/last-mile needs a source that is a Helm chart")]
    NoChart,
    #[error(transparent)]
    TooManyNeeds(#[from] TooManyNeeds),
    #[error("not everything is there yet that it needs beside the sources")]
    Waits,
    #[error("{0}")]
    Refused(String),
    #[error("{cause} (after reading {file})")]
    AfterReading { file: String, cause: WorkerError },
    #[error("a part of the renderer failed; see its log")]
    Panicked,
}

/// The tool of a source, and the settings that it depended on.
pub(crate) struct Detected {
    pub(crate) tool: SourceType,
    pub(crate) settings: Vec<Setting>,
}

/// The tool of a source: what it says explicitly, else what lies at its path.
///
/// Argo CD looks at the files in lexical order and lets the last one decide: a kustomization wins over a `Chart.yaml`.
/// One that is switched off is passed over; what asks for it explicitly is plain manifests then.
pub(crate) fn detect(
    source: &ApplicationSource,
    tree: &Tree,
    path: &str,
    rendering: &Rendering,
) -> Result<Detected, ToolError> {
    let mut settings = Vec::new();
    let mut is_on = |tool: Tool| {
        settings.push(Setting::Disabled(tool));
        !rendering.disabled.contains(&tool)
    };
    let tool = match explicit(source)? {
        Some(SourceType::Kustomize) if is_on(Tool::Kustomize) => SourceType::Kustomize,
        Some(SourceType::Helm | SourceType::HelmLastMile) if is_on(Tool::Helm) => SourceType::Helm,
        None if overlay_in(tree, path)? && is_on(Tool::Kustomize) => SourceType::Kustomize,
        None if chart_in(tree, path)? && is_on(Tool::Helm) => SourceType::Helm,
        Some(_) | None => SourceType::Directory,
    };
    Ok(Detected { tool, settings })
}

/// The tool whose options a source sets.
fn explicit(source: &ApplicationSource) -> Result<Option<SourceType>, ToolError> {
    let mut explicit = Vec::new();
    if source.kustomize.is_some() {
        explicit.push((SourceType::Kustomize, "kustomize"));
    }
    if source.helm.is_some() {
        explicit.push((SourceType::Helm, "helm"));
    }
    if source.directory.is_some() {
        explicit.push((SourceType::Directory, "directory"));
    }
    if source.plugin.is_some() {
        return Err(ToolError::Unsupported {
            what: "source.plugin".to_owned(),
            instead: "use Helm, Kustomize, plain manifests, or a chart with the annotation towline.dev/last-mile",
        });
    }
    match explicit.as_slice() {
        [] => Ok(None),
        [(tool, _)] => Ok(Some(*tool)),
        several => {
            let tools = several
                .iter()
                .map(|(_, name)| *name)
                .collect::<Vec<_>>()
                .join(", ");
            Err(ToolError::SeveralTools { tools })
        }
    }
}

/// Whether a folder is a chart's.
fn chart_in(tree: &Tree, folder: &str) -> Result<bool, TreeError> {
    let found = tree.at(&join(folder, "Chart.yaml"))?;
    Ok(matches!(found, Answer::File { .. }))
}

/// Whether a folder holds a kustomization.
pub(crate) fn overlay_in(tree: &Tree, folder: &str) -> Result<bool, TreeError> {
    for name in KUSTOMIZATIONS {
        if matches!(tree.at(&join(folder, name))?, Answer::File { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The folder of a source, checked as Argo CD checks it.
pub(crate) fn folder(source: &ApplicationSource, tree: &Tree) -> Result<String, ToolError> {
    if source.chart().is_some() {
        // The tree is the chart's own folder.
        return Ok(String::new());
    }
    let path = source.path();
    if path.starts_with('/') {
        return Err(ToolError::AbsolutePath {
            path: path.to_owned(),
        });
    }
    match tree.at(path)? {
        Answer::Folder { .. } => {}
        Answer::File { .. } => {
            return Err(ToolError::NotAFolder {
                path: path.to_owned(),
            });
        }
        Answer::Absent => {
            return Err(ToolError::NoPath {
                path: path.to_owned(),
            });
        }
    }
    crate::tree::clean(path).ok_or_else(|| {
        TreeError::Leaves {
            path: path.to_owned(),
        }
        .into()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tree::tests::mk_tree;

    fn tool(source: serde_json::Value, files: &[(&str, &str)]) -> Result<SourceType, ToolError> {
        let source = serde_json::from_value(source).unwrap();
        detect(&source, &mk_tree(files), "app", &Rendering::default()).map(|found| found.tool)
    }

    #[test]
    fn a_tool_that_is_switched_off_is_passed_over() {
        let off = |tools: &[Tool], source: serde_json::Value| {
            let rendering = Rendering {
                disabled: tools.iter().copied().collect(),
                ..Rendering::default()
            };
            let source = serde_json::from_value(source).unwrap();
            let files = [("app/Chart.yaml", ""), ("app/kustomization.yaml", "")];
            let found = detect(&source, &mk_tree(&files), "app", &rendering).unwrap();
            (found.tool, found.settings.len())
        };
        let plain = || json!({"repoURL": "r"});
        assert_eq!(off(&[Tool::Helm], plain()), (SourceType::Kustomize, 1));
        assert_eq!(off(&[Tool::Kustomize], plain()), (SourceType::Helm, 2));
        assert_eq!(
            off(&[Tool::Kustomize, Tool::Helm], plain()),
            (SourceType::Directory, 2)
        );
        let explicit = json!({"repoURL": "r", "helm": {}});
        assert_eq!(off(&[Tool::Helm], explicit), (SourceType::Directory, 1));
    }

    #[test]
    fn files_decide_unless_the_source_says_so() {
        let plain = || json!({"repoURL": "r"});
        assert_eq!(
            tool(plain(), &[("app/a.yaml", "")]).unwrap(),
            SourceType::Directory
        );
        assert_eq!(
            tool(plain(), &[("app/Chart.yaml", "")]).unwrap(),
            SourceType::Helm
        );
        assert_eq!(
            tool(plain(), &[("app/Kustomization", "")]).unwrap(),
            SourceType::Kustomize
        );
        let both = [("app/Chart.yaml", ""), ("app/kustomization.yaml", "")];
        assert_eq!(tool(plain(), &both).unwrap(), SourceType::Kustomize);
        assert_eq!(
            tool(json!({"repoURL": "r", "helm": {}}), &both).unwrap(),
            SourceType::Helm
        );
        assert_eq!(
            tool(json!({"repoURL": "r", "directory": {}}), &both).unwrap(),
            SourceType::Directory
        );
    }

    #[test]
    fn options_of_two_tools_or_of_a_plugin_are_an_error() {
        let error = |source| tool(source, &[]).unwrap_err().to_string();
        assert!(
            error(json!({"repoURL": "r", "helm": {}, "kustomize": {}})).contains("kustomize, helm")
        );
        assert!(error(json!({"repoURL": "r", "plugin": {"name": "p"}})).contains("source.plugin"));
    }

    #[test]
    fn a_path_must_be_a_folder_of_the_repository() {
        let tree = mk_tree(&[("app/a.yaml", "")]);
        let check = |path: &str| {
            let source = serde_json::from_value(json!({"repoURL": "r", "path": path})).unwrap();
            folder(&source, &tree).map_err(|error| error.to_string())
        };
        assert_eq!(check("./app/"), Ok("app".to_owned()));
        assert_eq!(check("."), Ok(String::new()));
        assert_eq!(
            check("nope").unwrap_err(),
            "the path nope does not exist at this revision"
        );
        assert!(check("app/a.yaml").unwrap_err().contains("is a file"));
        assert!(check("/app").unwrap_err().contains("absolute"));
        assert!(
            check("../app")
                .unwrap_err()
                .contains("leaves the repository")
        );
    }
}
