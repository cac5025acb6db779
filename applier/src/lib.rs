//! The applier: manifests become releases, and stay as they were released.
//!
//! `consume` (desired, manifests, projects) and `commands` → `app` (one task per application: `target` joins and prepares, `decide`
//! says what to do) → `plan` (pure: steps) → `execute` (no choices) → `live` (watches, health, drift) → `publish`. `store` keeps in
//! the cluster what must survive; `describe` tells what the cluster serves.

mod app;
mod args;
mod cluster;
mod commands;
mod consume;
mod context;
mod describe;
pub mod drift;
mod execute;
mod fit;
pub mod health;
mod live;
mod metrics;
mod object;
mod plan;
mod project;
mod publish;
mod secrets;
mod store;

use std::sync::Arc;

use anyhow::Context as _;
use bus::Bus;
use bus::seal::{AnswererPublic, AskerKey};
use bus::service::Service;
use bus::subject::Store as ObjectStore;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::mpsc;

pub use args::Args;

use crate::cluster::{Cluster, Kinds};
use crate::context::Context;
use crate::describe::KindsHandle;
use crate::live::{Chain, Live, Watches};
use crate::metrics::Metrics;
use crate::project::{Bounds, Projects};
use crate::publish::Publisher;
use crate::secrets::Secrets;
use crate::store::{DigestKey, Store};

/// Commands on their way to an application.
const COMMANDS: usize = 64;
/// How long until a cluster that can't be reached at the start is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        nats,
        admin,
        cluster_id,
        kubeconfig,
        context,
        store_namespace,
        seal_key,
        secrets_agent_key,
        allow_namespaces,
        namespaced_only,
        in_flight,
        observe,
    } = args;
    let mut service = Service::start("applier", &admin).await?;
    let readiness = service.readiness("cluster");
    let metrics = Arc::new(Metrics::new(service.registry())?);
    let keys = seal_keys(seal_key.as_deref(), &secrets_agent_key)?;
    let client = client(kubeconfig.as_deref(), context).await?;
    let cluster = Cluster::new(client, usize::from(in_flight), metrics.clone());
    let token = service.token();

    let opened = tokio::select! {
        opened = open(&cluster, &store_namespace, &readiness) => opened,
        () = token.cancelled() => return service.run().await,
    };
    let (kinds, store, digest_key, loaded) = opened;
    let bus = tokio::select! {
        bus = Bus::connect(&nats, "applier") => bus?,
        () = token.cancelled() => return service.run().await,
    };

    let live = Arc::new(Live::new());
    let (watches, watching) = Watches::new(cluster.clone(), live.clone());
    let (publisher, events, keyed) =
        Publisher::new(bus.clone(), cluster_id.clone(), metrics.clone());
    let kinds = KindsHandle::new(kinds);
    let describing = describe::run(
        cluster.clone(),
        kinds.clone(),
        live.clone(),
        bus.clone(),
        cluster_id.clone(),
    );
    let ctx = Arc::new(Context {
        bus: bus.clone(),
        id: cluster_id.clone(),
        cluster,
        live,
        watches,
        kinds,
        store,
        projects: Arc::new(Projects::default()),
        bounds: Bounds {
            namespaces: allow_namespaces,
            cluster_objects: !namespaced_only,
        },
        secrets: Secrets::new(bus.clone(), cluster_id.clone(), keys),
        digest_key,
        metrics,
        publisher,
        objects: bus.objects(&ObjectStore::Manifests(cluster_id.clone())),
        observe,
    });
    let (to_apps, from_commands) = mpsc::channel(COMMANDS);
    service.spawn("watches", until_drained(watching, token.clone()));
    service.spawn("events", until_drained(events, token.clone()));
    service.spawn("states", until_drained(keyed, token.clone()));
    service.spawn("kinds", until_drained(describing, token.clone()));
    service.spawn(
        "applications",
        consume::run(ctx, loaded, from_commands, token.clone()),
    );
    service.spawn("commands", commands::run(bus, cluster_id, to_apps, token));
    readiness.ready();
    service.run().await
}

/// Ends well when the process drains; what is in its hands by then has been said or is said again at the next start.
async fn until_drained<E>(
    task: impl Future<Output = Result<(), E>>,
    token: tokio_util::sync::CancellationToken,
) -> Result<(), E> {
    tokio::select! {
        ended = task => ended,
        () = token.cancelled() => Ok(()),
    }
}

/// What the cluster says and holds; asked until it answers.
async fn open(
    cluster: &Cluster,
    namespace: &str,
    readiness: &bus::service::Readiness,
) -> (Kinds, Store, DigestKey, Vec<store::Loaded>) {
    loop {
        match try_open(cluster, namespace).await {
            Ok(opened) => return opened,
            Err(error) => {
                let why = format!("{error:#}");
                tracing::warn!(error = why, "the cluster can't be used yet");
                readiness.not_ready(why);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn try_open(
    cluster: &Cluster,
    namespace: &str,
) -> anyhow::Result<(Kinds, Store, DigestKey, Vec<store::Loaded>)> {
    let kinds = Kinds::discover(cluster)
        .await
        .context("discovering the cluster's kinds")?;
    let store = Store::open(cluster.clone(), namespace).await?;
    let digest_key = DigestKey::load(cluster, namespace).await?;
    let mut loaded = Vec::new();
    for record in store.load_all().await? {
        match record {
            Ok(record) => loaded.push(record),
            // Its application is taken up anew from live objects; nothing is deleted without an inventory.
            Err(error) => tracing::error!(error = %Chain(&error), "a record can't be read"),
        }
    }
    tracing::info!(
        applications = loaded.len(),
        version = kinds.version,
        "the cluster's records are read"
    );
    Ok((kinds, store, digest_key, loaded))
}

async fn client(
    kubeconfig: Option<&std::path::Path>,
    context: Option<String>,
) -> anyhow::Result<kube::Client> {
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("reading kubeconfig {}", path.display()))?;
            let options = KubeConfigOptions {
                context,
                ..KubeConfigOptions::default()
            };
            kube::Config::from_custom_kubeconfig(file, &options)
                .await
                .with_context(|| format!("using kubeconfig {}", path.display()))?
        }
        None => kube::Config::infer()
            .await
            .context("finding the cluster's configuration")?,
    };
    kube::Client::try_from(config).context("making a client for the cluster")
}

fn seal_keys(
    key: Option<&std::path::Path>,
    agents: &[String],
) -> anyhow::Result<Option<(AskerKey, Vec<AnswererPublic>)>> {
    let Some(key) = key else { return Ok(None) };
    let key = AskerKey::read(key)?;
    let agents = agents
        .iter()
        .map(|agent| agent.parse())
        .collect::<Result<Vec<AnswererPublic>, _>>()?;
    Ok(Some((key, agents)))
}
