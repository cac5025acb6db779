//! A Kubernetes control plane of our own: real etcd, API server, controller
//! manager and scheduler; the nodes and what runs on them are simulated by kwok.
//!
//! `keys` → `users` → `etcd` → `apiserver` → (`controllers`, `nodes`) in parallel.

mod api;
mod apiserver;
mod controllers;
mod etcd;
mod keys;
mod kubeconfig;
mod nodes;
mod users;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    component::Component,
    http::HttpError,
    locate::LocateError,
    port::{self, NoPort, PortTaken},
    process::{Process, ProcessError},
};
use api::{Api, ApiError};
use apiserver::ApiServer;
use etcd::{Etcd, EtcdError};
use keys::{Keys, KeysError};

pub use users::ClusterUser;

/// The cluster to start. Whoever it is for, it has RBAC and no network.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// Users beside the administrator, with their tokens.
    pub users: Vec<ClusterUser>,
    pub workloads: Workloads,
}

/// What becomes of pods.
#[derive(Clone, Debug)]
pub enum Workloads {
    /// They stay pending: no scheduler, no node.
    Pending,
    /// They are scheduled to a simulated node, where they run, complete, and
    /// fail when asked to (`stages/pod-failing.yaml`). `stages` are further kwok
    /// `Stage` documents, as YAML.
    Simulated { stages: Vec<String> },
}

impl Default for Workloads {
    fn default() -> Self {
        Self::Simulated { stages: Vec::new() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Locate(#[from] LocateError),
    #[error(transparent)]
    NoPort(#[from] NoPort),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    #[error(transparent)]
    User(#[from] users::UserError),
    #[error("cannot write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the API server runs: kill it before it is started again")]
    Runs,
}

/// A running control plane. Dropping it kills all of it.
#[derive(Debug)]
pub struct Cluster {
    keys: Keys,
    api: Api,
    kubeconfig: PathBuf,
    // In the order of their ends: nobody complains about a missing server.
    followers: Vec<Process>,
    apiserver: ApiServer,
    etcd: Etcd,
}

impl ClusterOptions {
    pub(crate) fn components(&self) -> Vec<Component> {
        let mut components = vec![
            Component::Etcd,
            Component::KubeApiserver,
            Component::KubeControllerManager,
        ];
        if let Workloads::Simulated { .. } = self.workloads {
            components.extend([Component::KubeScheduler, Component::Kwok]);
        }
        components
    }
}

impl Cluster {
    /// Starts a cluster that keeps everything under `folder`, which must exist.
    /// Returns when its API, its controllers and its node are ready.
    pub async fn start(options: &ClusterOptions, folder: &Path) -> Result<Self, ClusterError> {
        let keys = Keys::generate(folder)?;
        let admin = ClusterUser::administrator();
        let tokens = folder.join("tokens.csv");
        users::write(&tokens, [&admin].into_iter().chain(&options.users))?;

        let etcd = port::start_on_free(|| etcd::start(folder, &keys)).await?;
        let plan = apiserver::Plan {
            folder,
            keys: &keys,
            tokens: &tokens,
            etcd: &etcd.url,
        };
        let (apiserver, api) = port::start_on_free(|| ApiServer::start(&plan, &admin)).await?;
        let kubeconfig = folder.join("kubeconfig.yaml");
        keys::write_private(
            &kubeconfig,
            &kubeconfig::text(api.url(), &keys, &admin.token),
        )
        .map_err(|source| ClusterError::File {
            path: kubeconfig.clone(),
            source,
        })?;
        let followers = start_followers(options, folder, &keys, &kubeconfig, &api).await?;
        Ok(Self {
            keys,
            api,
            kubeconfig,
            followers,
            apiserver,
            etcd,
        })
    }

    /// `https://127.0.0.1:<port>`, the same after a restart of the API server.
    pub fn url(&self) -> &str {
        self.api.url()
    }

    /// The administrator's kubeconfig, readable by its owner only.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The text of a kubeconfig for another user's token, or a service account's.
    pub fn kubeconfig_for(&self, token: &secrecy::SecretString) -> String {
        kubeconfig::text(self.api.url(), &self.keys, token)
    }

    /// The PEM file that service account tokens can be verified with, as for
    /// Vault's `jwt` auth method.
    pub fn service_account_public_key(&self) -> PathBuf {
        self.keys.service_account_public()
    }

    /// All running processes, for their pids, logs and ends.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.followers
            .iter()
            .chain(self.apiserver.process())
            .chain([&self.etcd.process])
    }

    /// SIGKILL for the API server alone.
    pub async fn kill_apiserver(&mut self) {
        self.apiserver.kill().await;
    }

    /// Starts the killed API server again, on its port; returns when it is ready.
    pub async fn start_apiserver_again(&mut self) -> Result<(), ClusterError> {
        self.apiserver.start_again(&self.api).await
    }

    /// Makes the API server's store forget all versions but the newest ones.
    pub async fn compact_etcd(&self) -> Result<(), ClusterError> {
        self.etcd.compact().await.map_err(Into::into)
    }

    /// SIGKILL for everything, for good.
    pub(crate) async fn kill(&mut self) {
        for process in &self.followers {
            process.kill().await;
        }
        self.apiserver.kill().await;
        self.etcd.process.kill().await;
    }
}

impl PortTaken for ClusterError {
    fn is_port_taken(&self) -> bool {
        matches!(self, Self::Process(error) if error.is_address_in_use())
    }
}

async fn start_followers(
    options: &ClusterOptions,
    folder: &Path,
    keys: &Keys,
    kubeconfig: &Path,
    api: &Api,
) -> Result<Vec<Process>, ClusterError> {
    let manager = controllers::start_manager(folder, keys, kubeconfig, api);
    let Workloads::Simulated { stages } = &options.workloads else {
        return Ok(vec![manager.await?]);
    };
    let scheduler = port::start_on_free(|| controllers::start_scheduler(folder, keys, kubeconfig));
    let kwok = nodes::start(folder, kubeconfig, stages, api);
    let (manager, scheduler, kwok) = tokio::try_join!(manager, scheduler, kwok)?;
    Ok(vec![manager, scheduler, kwok])
}
