//! Charts against the real `helm`: what Argo CD would run of a case, and what a job comes to.

use bus::message::cluster::Capabilities;
use renderer::Dependencies;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;

use crate::repository::{Engine, Repository};

/// One chart at `dome`, how Argo CD's fields say it, and how it says it to Helm.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) helm: Value,
    pub(crate) files: Vec<(&'static str, String)>,
    pub(crate) arguments: Vec<String>,
}

pub(crate) fn mk_case(
    name: &'static str,
    helm: Value,
    files: &[(&'static str, &str)],
    arguments: &[&str],
) -> Case {
    let owned = |(path, text): &(&'static str, &str)| (*path, (*text).to_owned());
    Case {
        name,
        helm,
        files: files.iter().map(owned).collect(),
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
    }
}

impl Case {
    pub(crate) fn plain(&self) -> Vec<(&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect()
    }

    /// The case's files on disk.
    pub(crate) fn on_disk(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in &self.files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }
}

pub(crate) async fn helm(chart: &Path, arguments: &[String]) -> Result<String, String> {
    let helm = deploy::locate(deploy::Component::Helm).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(helm)
        .args(arguments)
        .current_dir(chart)
        .env("HELM_CACHE_HOME", home.path())
        .env("HELM_CONFIG_HOME", home.path())
        .env("HELM_DATA_HOME", home.path())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// As Argo CD does it: template, and if a dependency is missing, build and template again.
pub(crate) async fn real(case: &Case, folder: &Path) -> Result<String, String> {
    let chart = folder.join("dome");
    let mut arguments: Vec<String> = [
        "template",
        ".",
        "--name-template",
        "dome",
        "--namespace",
        "telescopes",
        "--kube-version",
        "1.37.2",
        "--include-crds",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(case.arguments.iter().cloned());
    match helm(&chart, &arguments).await {
        Err(error) if error.contains("missing in charts/ directory") => {
            helm(&chart, &["dependency".to_owned(), "build".to_owned()]).await?;
            helm(&chart, &arguments).await
        }
        other => other,
    }
}

pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        kube_version: "v1.37.2".to_owned(),
        api_versions: vec!["sky/v1/Dome".to_owned()],
    }
}

/// What Helm printed, as objects.
pub(crate) async fn objects(engine: &Engine, text: &str) -> Vec<Value> {
    let repository = Repository::new();
    let job = repository.job(
        json!({"repoURL": "r", "path": "out"}),
        &[("out/out.yaml", text)],
    );
    sorted(engine.render(job).await.unwrap().objects)
}

pub(crate) fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(ToString::to_string);
    objects
}

pub(crate) async fn same(engine: &Engine, case: &Case, dependencies: Dependencies) {
    let folder = case.on_disk();
    let expected = real(case, folder.path()).await;
    let repository = Repository::new();
    let source = json!({"repoURL": "r", "path": "dome", "helm": case.helm});
    let mut job = repository.job(source, &case.plain());
    job.capabilities = Some(capabilities());
    job.dependencies = dependencies;
    let ours = engine.render(job).await;
    match (expected, ours) {
        (Ok(text), Ok(rendered)) => {
            assert!(
                !rendered.objects.is_empty() || text.trim().is_empty(),
                "{}: nothing",
                case.name
            );
            assert_eq!(
                sorted(rendered.objects),
                objects(engine, &text).await,
                "{}",
                case.name
            );
        }
        (Err(_), Err(_)) => {}
        (Ok(text), Err(error)) => panic!("{}: only Helm renders: {error}\n{text}", case.name),
        (Err(error), Ok(_)) => panic!("{}: only Helm fails: {error}", case.name),
    }
}

pub(crate) const CHART: &str = "apiVersion: v2\nname: dome\nversion: 1.0.0\n";
pub(crate) const SHOW: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\ndata:\n  values: {{ .Values | toJson | quote }}\n  release: {{ .Release | toJson | quote }}\n";
