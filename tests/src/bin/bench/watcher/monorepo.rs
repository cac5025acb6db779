//! One repository of many files, and an Application for each of its folders that nobody syncs.

use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tests::{Cluster, Repo};

use crate::fleet::{self, AT_ONCE};

/// `apps` folders of three manifests each, and files beside them up to `files` in all.
pub(crate) fn files(apps: usize, files: usize) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = fleet::files(apps)?;
    let mut number = 0;
    while all.len() < files {
        let folder = fleet::name(number % apps.max(1));
        let text = format!("What was noted about {folder}, page {number}.\n").repeat(20);
        all.push((format!("apps/{folder}/notes/page-{number}.md"), text));
        number += 1;
    }
    Ok(all)
}

pub(crate) async fn create(
    cluster: &Cluster,
    apps: usize,
    repo: &Repo,
    namespace: &str,
) -> anyhow::Result<()> {
    futures::stream::iter(0..apps)
        .map(|index| async move {
            let name = fleet::name(index);
            let application = json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "project": "default",
                    "source": {"repoURL": repo.url(), "path": format!("apps/{name}"), "targetRevision": "main"},
                    "destination": {"server": "https://kubernetes.default.svc", "namespace": "bench-watcher"},
                },
            });
            cluster.apply(&application).await.map(drop)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}
