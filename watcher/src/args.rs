//! Every flag of the watcher.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bus::ConnectArgs;
use bus::service::AdminArgs;
use lease::LeaseArgs;

use crate::links::LinkPolicy;
use crate::worker::{Bounds, StoreLimits};

/// Knows which applications exist, fetches their sources, and publishes what they should be
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "towline-watcher", version)]
pub struct Args {
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Namespace of the Applications and projects, and of Argo CD's Secrets and settings
    #[arg(long, env = "TOWLINE_NAMESPACE", default_value = "argocd")]
    pub namespace: String,
    /// Further namespaces whose Applications count, if their project permits it; `*` is all
    #[arg(
        long,
        env = "TOWLINE_APPLICATION_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub application_namespaces: Vec<String>,
    /// Only Applications with these labels
    #[arg(long, env = "TOWLINE_SELECTOR", value_name = "LABELS")]
    pub selector: Option<String>,
    /// Kubeconfig of the control cluster; without it, the pod's own service account
    #[arg(long, env = "TOWLINE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where webhooks are received, at /api/webhook; port 0 takes a free one
    #[arg(
        long,
        env = "TOWLINE_WEBHOOK_LISTEN",
        default_value = "127.0.0.1:8485",
        value_name = "ADDRESS"
    )]
    pub webhook_listen: SocketAddr,
    /// File that gets the webhooks' address once it is bound
    #[arg(long, env = "TOWLINE_WEBHOOK_LISTEN_FILE", value_name = "FILE")]
    pub webhook_listen_file: Option<PathBuf>,
    #[command(flatten)]
    pub lease: LeaseArgs,
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// How repositories are fetched and kept.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceArgs {
    /// Seconds between looks at a repository, unless argocd-cm has timeout.reconciliation; 0 is never
    #[arg(
        long,
        env = "TOWLINE_POLL_INTERVAL",
        default_value_t = 180,
        value_name = "SECONDS"
    )]
    pub poll_interval: u64,
    /// Folder for copies of repositories; without it, one that goes with the process
    #[arg(long, env = "TOWLINE_CACHE_DIR", value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
    /// Seconds that one look at a repository may take
    #[arg(
        long,
        env = "TOWLINE_FETCH_TIMEOUT",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    pub fetch_timeout: u64,
    /// Bytes that a host may send in one look
    #[arg(long, env = "TOWLINE_MAX_REPOSITORY_BYTES", default_value_t = 2 << 30, value_name = "BYTES")]
    pub max_repository_bytes: usize,
    /// Bytes of the files of one pack of a snapshot
    #[arg(long, env = "TOWLINE_MAX_SNAPSHOT_BYTES", default_value_t = 512 << 20, value_name = "BYTES")]
    pub max_snapshot_bytes: u64,
    /// Packs of a snapshot, after which a full one is made
    #[arg(
        long,
        env = "TOWLINE_SNAPSHOT_PACKS",
        default_value_t = 50,
        value_name = "COUNT"
    )]
    pub snapshot_packs: usize,
    /// Seconds after which snapshots and manifests that nothing names any more are taken out of the object stores
    #[arg(
        long,
        env = "TOWLINE_COLLECT_AFTER",
        default_value_t = 24 * 60 * 60,
        value_name = "SECONDS"
    )]
    pub collect_after: u64,
    /// Whether sources may be folders of the watcher's own host (file://)
    #[arg(long, env = "TOWLINE_FILE_REPOSITORIES", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub file_repositories: bool,
    /// Whether the submodules of Git repositories are fetched
    #[arg(long, env = "TOWLINE_SUBMODULES", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub submodules: bool,
    /// Takes revisions that hold symbolic links out of the repository, too; what such a link leads to is still never read
    #[arg(long, env = "TOWLINE_ALLOW_OOB_SYMLINKS")]
    pub allow_oob_symlinks: bool,
}

impl SourceArgs {
    pub fn bounds(&self) -> Bounds {
        Bounds {
            poll_interval: Duration::from_secs(self.poll_interval),
            fetch_timeout: Duration::from_secs(self.fetch_timeout.max(1)),
            fetch_bytes: self.max_repository_bytes,
            store: StoreLimits {
                snapshot_bytes: self.max_snapshot_bytes,
                packs: self.snapshot_packs.max(1),
                submodules: self.submodules,
            },
            links: LinkPolicy::of(self.allow_oob_symlinks),
        }
    }
}
