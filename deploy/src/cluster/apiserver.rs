//! kube-apiserver, which can be killed and started again on its port.

use std::{ffi::OsString, path::Path, time::Duration};

use super::{ClusterError, ClusterUser, api::Api, keys::Keys};
use crate::{
    component::Component,
    locate::locate,
    port,
    process::{Process, Program},
};

const READY_WITHIN: Duration = Duration::from_mins(2);

/// What the server is started with, besides its port.
pub(super) struct Plan<'a> {
    pub(super) folder: &'a Path,
    pub(super) keys: &'a Keys,
    pub(super) tokens: &'a Path,
    pub(super) etcd: &'a str,
}

#[derive(Debug)]
pub(super) struct ApiServer {
    program: Program,
    process: Option<Process>,
}

impl ApiServer {
    pub(super) async fn start(
        plan: &Plan<'_>,
        admin: &ClusterUser,
    ) -> Result<(Self, Api), ClusterError> {
        let executable = locate(Component::KubeApiserver).await?;
        let port = port::free()?;
        let api = Api::new(format!("https://127.0.0.1:{port}"), plan.keys, &admin.token)?;
        let mut server = Self {
            program: Program {
                name: Component::KubeApiserver.name().to_owned(),
                executable,
                arguments: plan.arguments(port),
                environment: Vec::new(),
                folder: Some(plan.folder.to_owned()),
                log: plan.folder.join("kube-apiserver.log"),
            },
            process: None,
        };
        server.start_again(&api).await?;
        Ok((server, api))
    }

    pub(super) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    pub(super) async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    pub(super) async fn start_again(&mut self, api: &Api) -> Result<(), ClusterError> {
        if self.process.as_ref().is_some_and(|p| p.ended().is_none()) {
            return Err(ClusterError::Runs);
        }
        let process = Process::start(&self.program)?;
        process
            .ready(READY_WITHIN, || async {
                api.get("/readyz").await.map(drop)
            })
            .await?;
        self.process = Some(process);
        Ok(())
    }
}

impl Plan<'_> {
    fn arguments(&self, port: u16) -> Vec<OsString> {
        let keys = self.keys;
        let files = [
            ("token-auth-file", self.tokens.to_owned()),
            ("cert-dir", self.folder.join("certificates")),
            ("tls-cert-file", keys.server_certificate()),
            ("tls-private-key-file", keys.server_key()),
            ("etcd-cafile", keys.authority_file()),
            ("etcd-certfile", keys.client_certificate()),
            ("etcd-keyfile", keys.client_key()),
            ("service-account-key-file", keys.service_account_public()),
            (
                "service-account-signing-key-file",
                keys.service_account_private(),
            ),
        ];
        let mut arguments: Vec<OsString> = vec![
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}").into(),
            format!("--etcd-servers={}", self.etcd).into(),
            "--authorization-mode=RBAC".into(),
            // A /24 runs out after 254 Services.
            "--service-cluster-ip-range=10.0.0.0/16".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--allow-privileged".into(),
            // Pods here run nothing that needs an account's token, and the one
            // simulated node never is not ready.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".into(),
            "--max-requests-inflight=3000".into(),
            "--max-mutating-requests-inflight=1500".into(),
        ];
        arguments.extend(files.map(|(name, path)| {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(path);
            flag
        }));
        arguments
    }
}
