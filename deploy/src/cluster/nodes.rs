//! kwok and the one node that it plays.

use std::{fs, path::Path, time::Duration};

use serde_json::json;

use super::{ClusterError, api::Api};
use crate::{
    component::Component,
    locate::locate,
    process::{Process, Program},
};

const READY_WITHIN: Duration = Duration::from_mins(1);
const NODE: &str = "simulated";

/// What kwok does to nodes and pods; a caller's stages come after these.
const STAGES: [&str; 3] = [
    include_str!("stages/node.yaml"),
    include_str!("stages/pod.yaml"),
    include_str!("stages/pod-failing.yaml"),
];

/// Ready when the node is.
pub(super) async fn start(
    folder: &Path,
    kubeconfig: &Path,
    stages: &[String],
    api: &Api,
) -> Result<Process, ClusterError> {
    let config = folder.join("kwok-stages.yaml");
    let documents: Vec<&str> = STAGES
        .into_iter()
        .chain(stages.iter().map(String::as_str))
        .collect();
    fs::write(&config, documents.join("\n---\n")).map_err(|source| ClusterError::File {
        path: config.clone(),
        source,
    })?;
    let program = Program {
        name: Component::Kwok.name().to_owned(),
        executable: locate(Component::Kwok).await?,
        arguments: vec![
            "--kubeconfig".into(),
            kubeconfig.into(),
            "--config".into(),
            config.into(),
            "--manage-all-nodes".into(),
            "--node-ip=127.0.0.1".into(),
            "--node-lease-duration-seconds=0".into(),
        ],
        // It would also read the configuration that the user has at home.
        environment: vec![("HOME".to_owned(), folder.into())],
        folder: Some(folder.to_owned()),
        log: folder.join("kwok.log"),
    };
    api.create("/api/v1/nodes", &node()).await?;
    let process = Process::start(&program)?;
    process.ready(READY_WITHIN, || node_ready(api)).await?;
    Ok(process)
}

fn node() -> serde_json::Value {
    let room = json!({ "cpu": "1000", "memory": "1Ti", "pods": "10000" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "annotations": { "kwok.x-k8s.io/node": "fake" },
            "labels": {
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "status": { "capacity": room, "allocatable": room },
    })
}

async fn node_ready(api: &Api) -> Result<(), String> {
    let node = api.get_json(&format!("/api/v1/nodes/{NODE}")).await?;
    let ready = node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    ready
        .then_some(())
        .ok_or_else(|| format!("the node {NODE} is not ready"))
}
