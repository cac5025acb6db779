//! Every flag of the applier.

use std::path::PathBuf;

use bus::{ClusterId, ConnectArgs, service::AdminArgs};
use lease::LeaseArgs;

#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "towline-applier",
    version,
    about = "Brings rendered manifests into its cluster, and watches over them"
)]
pub struct Args {
    #[command(flatten)]
    pub nats: ConnectArgs,
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Id of the cluster that it applies to
    #[arg(long, env = "TOWLINE_CLUSTER_ID", default_value = ClusterId::IN_CLUSTER, value_name = "ID")]
    pub cluster_id: ClusterId,
    /// Kubeconfig of the cluster; without one, the service account or the default kubeconfig
    #[arg(long, env = "TOWLINE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(
        long,
        env = "TOWLINE_KUBE_CONTEXT",
        value_name = "NAME",
        requires = "kubeconfig"
    )]
    pub context: Option<String>,
    /// Folder that a cluster Secret of Argo CD is mounted at: its files `server` and `config` say where the cluster is
    #[arg(
        long,
        env = "TOWLINE_CLUSTER_SECRET",
        value_name = "DIR",
        conflicts_with = "kubeconfig"
    )]
    pub cluster_secret: Option<PathBuf>,
    /// Namespace in the cluster for inventories, pins and kept manifests; made if missing
    #[arg(
        long,
        env = "TOWLINE_STORE_NAMESPACE",
        default_value = "towline",
        value_name = "NAME"
    )]
    pub store_namespace: String,
    #[command(flatten)]
    pub lease: LeaseArgs,
    /// File with the key that questions for secrets are signed with
    #[arg(
        long,
        env = "TOWLINE_SEAL_KEY",
        value_name = "FILE",
        requires = "secrets_agent_key"
    )]
    pub seal_key: Option<PathBuf>,
    /// Public key of the secrets-agent, `x25519:…`; several during a change of keys
    #[arg(
        long,
        env = "TOWLINE_SECRETS_AGENT_KEY",
        value_name = "KEY",
        value_delimiter = ',',
        requires = "seal_key"
    )]
    pub secrets_agent_key: Vec<String>,
    /// Globs of namespaces that objects may be put into, whatever a project says
    #[arg(
        long,
        env = "TOWLINE_ALLOW_NAMESPACES",
        default_value = "*",
        value_name = "GLOB",
        value_delimiter = ','
    )]
    pub allow_namespaces: Vec<String>,
    /// Apply no cluster-scoped object, whatever a project says
    #[arg(long, env = "TOWLINE_NAMESPACED_ONLY")]
    pub namespaced_only: bool,
    /// Globs of service accounts, `namespace:name`, that objects may be applied as where a project names one; the cluster's RBAC
    /// must grant `impersonate` on them, too
    #[arg(
        long,
        env = "TOWLINE_ALLOW_SERVICE_ACCOUNTS",
        default_value = "*",
        value_name = "GLOB",
        value_delimiter = ','
    )]
    pub allow_service_accounts: Vec<String>,
    /// Kinds that may hold secret placeholders beside the data of Secrets, `Kind`, `group/Kind` or `*`, whatever a project says
    #[arg(
        long,
        env = "TOWLINE_ALLOW_SECRET_KINDS",
        default_value = "*",
        value_name = "KIND",
        value_delimiter = ','
    )]
    pub allow_secret_kinds: Vec<String>,
    /// Requests to the API server at once
    #[arg(long, env = "TOWLINE_IN_FLIGHT", default_value_t = 32, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub in_flight: u16,
    /// Compare and show, apply nothing
    #[arg(long, env = "TOWLINE_OBSERVE")]
    pub observe: bool,
}
