//! What is delivered: N applications of three plain objects each, in one repository.

use std::path::{Path, PathBuf};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tests::{Cluster, Repo};

/// The name under which this program is `towline`.
pub(crate) const PROGRAM: &str = "towline";
/// Applies at the same time, as in the floor.
pub(crate) const AT_ONCE: usize = 16;

/// Places this program's own file as `towline` below `folder`.
pub(crate) fn place_program(own: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join(PROGRAM);
    std::fs::copy(own, &path).with_context(|| format!("copying {}", own.display()))?;
    Ok(path)
}

pub(crate) fn name(index: usize) -> String {
    format!("app-{index:04}")
}

/// The three objects of one application, as JSON.
pub(crate) fn objects(index: usize, version: &str) -> [Value; 3] {
    let name = name(index);
    let metadata = json!({"name": name, "labels": {"app.kubernetes.io/name": name}});
    [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"version": version, "name": name}}),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
    ]
}

/// The file that a commit changes.
pub(crate) fn config(index: usize, version: &str) -> anyhow::Result<(String, String)> {
    let [config, ..] = objects(index, version);
    Ok((format!("apps/{}/config.yaml", name(index)), yaml(&config)?))
}

/// All files of the first commit.
pub(crate) fn files(apps: usize) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = vec![(
        "README.md".to_owned(),
        "A benchmark's repository.\n".to_owned(),
    )];
    for index in 0..apps {
        let [_, service, account] = objects(index, "");
        files.push(config(index, "0")?);
        files.push((
            format!("apps/{}/service.yaml", name(index)),
            yaml(&service)?,
        ));
        files.push((
            format!("apps/{}/account.yaml", name(index)),
            yaml(&account)?,
        ));
    }
    Ok(files)
}

pub(crate) fn commit(
    repo: &Repo,
    message: &str,
    files: &[(String, String)],
) -> anyhow::Result<String> {
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    repo.commit(message, &files)
}

/// Creates the Applications of all folders.
pub(crate) async fn create(
    cluster: &Cluster,
    apps: usize,
    repo: &Repo,
    namespace: &str,
    destination: &str,
) -> anyhow::Result<()> {
    futures::stream::iter(0..apps)
        .map(|index| async move {
            let name = name(index);
            let object = application(
                &name,
                repo,
                &format!("apps/{name}"),
                (namespace, destination),
            );
            cluster.apply(&object).await.map(drop)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// An Application in a namespace, for objects in another.
pub(crate) fn application(
    name: &str,
    repo: &Repo,
    path: &str,
    (namespace, destination): (&str, &str),
) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "project": "default",
            "source": {"repoURL": repo.url(), "path": path, "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": destination},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        },
    })
}

fn yaml(object: &Value) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(object)?)
}
