//! Resolves secret references for its cluster's applier: checks who asks and what may be read, reads the backend, and seals the
//! values to that one request. See `main.rs` for the chain.
//!
//! What is never here: a value in a log line, error, event, metric or state; a value kept after its answer; a path read that
//! both the project and this agent's own flags don't allow.

mod answer;
mod args;
pub mod backend;
mod check;
mod known;
pub mod metrics;
pub mod policy;
mod request;
mod rotation;
mod uses;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use bus::Bus;
use bus::seal::AnswererKey;
use bus::service::Service;
use tokio_util::sync::CancellationToken;

pub use args::{Args, Globs, ProjectRole, VaultArgs};

use crate::backend::{Files, KubernetesSecrets, Stores, Vault};
use crate::known::Known;
use crate::metrics::Metrics;
use crate::request::Agent;
use crate::uses::Uses;

/// The name under which the agent connects and writes state.
pub(crate) const SERVICE: &str = "secrets-agent";

/// Serves until a signal.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        connect,
        admin,
        cluster_id: cluster,
        seal_key,
        applier_key,
        allow_paths,
        vault,
        secrets_namespace,
        secrets_kubeconfig,
        secret_files,
        rotation_interval,
    } = args;
    let kept = bus::guard::guard()?;
    let mut service = Service::start(SERVICE, &admin).await?;
    kept.log();
    let key = AnswererKey::read(&seal_key).context("reading --seal-key")?;
    let bounds = policy::Bounds::new(allow_paths).context("reading --allow-paths")?;
    let metrics = Metrics::new(service.registry()).context("registering metrics")?;
    let backend = Arc::new(
        stores(
            &vault,
            secrets_namespace,
            secrets_kubeconfig,
            secret_files,
            metrics.clone(),
        )
        .await?,
    );
    let token = service.token();
    service.spawn("vault token", keep_logged_in(Arc::clone(&backend), token));
    let bus = Bus::connect(&connect, SERVICE).await?;
    let known = Arc::new(Known::default());
    let uses = Arc::new(Uses::default());

    service.spawn(
        "desired",
        known::follow_desired(
            bus.clone(),
            cluster.clone(),
            Arc::clone(&known),
            Arc::clone(&uses),
            service.readiness("desired"),
            service.token(),
        ),
    );
    service.spawn(
        "projects",
        known::follow_projects(
            bus.clone(),
            Arc::clone(&known),
            service.readiness("projects"),
            service.token(),
        ),
    );
    service.spawn(
        "uses",
        uses::follow(
            bus.clone(),
            cluster.clone(),
            Arc::clone(&uses),
            service.token(),
        ),
    );
    service.spawn(
        "rotation",
        rotation::Rotation {
            bus: bus.clone(),
            cluster: cluster.clone(),
            backend: Arc::clone(&backend),
            known: Arc::clone(&known),
            uses: Arc::clone(&uses),
            metrics: metrics.clone(),
        }
        .watch(rotation_interval, service.token()),
    );
    let agent = Agent::new(
        bus,
        cluster,
        key,
        applier_key,
        bounds,
        backend,
        known,
        uses,
        metrics,
    );
    let readiness = service.readiness("requests");
    let token = service.token();
    service.spawn(
        "requests",
        request::serve(Arc::new(agent), readiness, token),
    );
    service.run().await
}

/// As long as the agent runs, where there is a Vault.
async fn keep_logged_in(stores: Arc<Stores>, token: CancellationToken) -> Result<(), Infallible> {
    if let Some(vault) = &stores.vault {
        return vault.keep_logged_in(token).await;
    }
    token.cancelled().await;
    Ok(())
}

async fn stores(
    vault: &VaultArgs,
    namespace: Option<String>,
    kubeconfig: Option<PathBuf>,
    files: Option<PathBuf>,
    metrics: Metrics,
) -> anyhow::Result<Stores> {
    let stores = Stores {
        vault: Vault::new(vault, metrics).context("setting up the connection to Vault")?,
        kubernetes: match namespace {
            Some(namespace) => Some(KubernetesSecrets::new(namespace, kubeconfig.as_ref()).await?),
            None => None,
        },
        files: files.as_deref().map(Files::new).transpose()?,
    };
    anyhow::ensure!(
        !stores.is_empty(),
        "there is no store to read from: give --vault-addr, --secrets-namespace or --secret-files"
    );
    Ok(stores)
}
