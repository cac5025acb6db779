//! kube-controller-manager and kube-scheduler.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{ClusterError, api::Api, keys::Keys};
use crate::{
    component::Component,
    http,
    locate::locate,
    port,
    process::{Process, Program},
};

const READY_WITHIN: Duration = Duration::from_mins(1);

/// Ready when its controllers work, as the first thing that one of them makes shows.
pub(super) async fn start_manager(
    folder: &Path,
    keys: &Keys,
    kubeconfig: &Path,
    api: &Api,
) -> Result<Process, ClusterError> {
    let mut arguments = common(kubeconfig);
    arguments.extend([
        // It serves metrics and health only, which nobody asks for.
        "--secure-port=0".into(),
        // The simulated node sends no heartbeats to lose.
        "--controllers=*,-node-lifecycle-controller".into(),
        flag(
            "service-account-private-key-file",
            keys.service_account_private(),
        ),
        flag("root-ca-file", keys.authority_file()),
    ]);
    let program = program(Component::KubeControllerManager, arguments, folder).await?;
    let process = Process::start(&program)?;
    process
        .ready(READY_WITHIN, || async {
            let account = "/api/v1/namespaces/default/serviceaccounts/default";
            api.get(account).await.map(drop)
        })
        .await?;
    Ok(process)
}

/// Ready when it has read what is in the cluster.
pub(super) async fn start_scheduler(
    folder: &Path,
    keys: &Keys,
    kubeconfig: &Path,
) -> Result<Process, ClusterError> {
    let port = port::free()?;
    let mut arguments = common(kubeconfig);
    arguments.extend([
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={port}").into(),
        flag("tls-cert-file", keys.server_certificate()),
        flag("tls-private-key-file", keys.server_key()),
    ]);
    let program = program(Component::KubeScheduler, arguments, folder).await?;
    let client = http::client(keys.trust())?;
    let process = Process::start(&program)?;
    process
        .ready(READY_WITHIN, || async {
            let answer = client
                .get(format!("https://127.0.0.1:{port}/readyz"))
                .send()
                .await
                .map_err(|error| error.to_string())?;
            match answer.status() {
                status if status.is_success() => Ok(()),
                status => Err(format!("its readiness is {status}")),
            }
        })
        .await?;
    Ok(process)
}

fn common(kubeconfig: &Path) -> Vec<OsString> {
    vec![
        flag("kubeconfig", kubeconfig.to_owned()),
        "--leader-elect=false".into(),
        // The defaults spare a shared API server; this one is theirs alone.
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
    ]
}

fn flag(name: &str, path: PathBuf) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(path);
    flag
}

async fn program(
    component: Component,
    arguments: Vec<OsString>,
    folder: &Path,
) -> Result<Program, ClusterError> {
    Ok(Program {
        name: component.name().to_owned(),
        executable: locate(component).await?,
        arguments,
        environment: Vec::new(),
        folder: Some(folder.to_owned()),
        log: folder.join(format!("{}.log", component.name())),
    })
}
