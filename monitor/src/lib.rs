//! The monitor: what all services say of an application, for people and programs; and people's commands, let in.
//!
//! [`consume`] → [`fold`] (in [`store`]) → { [`status`] → [`patch`] → [`write`], [`object_events`], [`metrics`], [`page`],
//! [`api`] with [`live`] }; [`access`] → [`command`] for what people ask for, [`request`] for what they write into the object.

pub mod access;
pub mod api;
pub mod ask;
pub mod command;
mod consume;
pub mod declared;
pub mod events;
pub mod fold;
pub mod live;
mod metrics;
mod object_events;
mod page;
pub mod patch;
pub mod problem;
pub mod progress;
pub mod request;
#[cfg(test)]
mod sample;
pub mod server;
pub mod status;
pub mod store;
pub mod view;
mod write;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bus::service::{AdminArgs, Readiness, Service};
use bus::{Bus, BusError, ConnectArgs};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::server::{PageAuth, Shared};
use crate::store::Store;

/// Folds all services' states into Application statuses, metrics, an API and a page, and lets people's commands in
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "towline-monitor", version)]
pub struct Args {
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Namespace of the Applications
    #[arg(long, env = "TOWLINE_NAMESPACE", default_value = "argocd")]
    pub namespace: String,
    /// Kubeconfig of the control cluster; without it, the pod's own service account
    #[arg(long, env = "TOWLINE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where the page and the API are served
    #[arg(
        long,
        env = "TOWLINE_MONITOR_LISTEN",
        default_value = "127.0.0.1:8484",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    /// File that gets the page's and API's address once it is bound
    #[arg(long, env = "TOWLINE_MONITOR_LISTEN_FILE", value_name = "FILE")]
    pub listen_file: Option<PathBuf>,
    /// Whether reading the page needs a token; without this, only if it is served beyond this machine
    #[arg(long, env = "TOWLINE_PAGE_AUTH", value_enum)]
    pub page_auth: Option<PageAuth>,
    /// Show only: write nothing into Applications
    #[arg(long, env = "TOWLINE_OBSERVE")]
    pub observe: bool,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        connect,
        admin,
        namespace,
        kubeconfig,
        listen,
        listen_file,
        page_auth,
        observe,
    } = args;
    let mut service = Service::start("monitor", &admin).await?;
    let client = control_cluster(kubeconfig).await?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("binding {listen}"))?;
    let address = listener
        .local_addr()
        .context("reading the address of the page")?;
    if let Some(path) = listen_file {
        std::fs::write(&path, address.to_string())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    tracing::info!(%address, %namespace, observe, "serving the page at / and the API under /api/v1");

    let store = Arc::new(Store::default());
    let metrics = Arc::new(metrics::Metrics::register(service.registry(), &store)?);
    let states = service.readiness("states");
    let applications = service.readiness("applications");
    let (orders, ordered) = mpsc::channel(command::ORDERS);
    let (asks, asked) = mpsc::channel(ask::WAITING);
    let access = Access::new(client.clone());
    let stop = service.token();
    let shared = Shared::new(
        Arc::clone(&store),
        access,
        (orders, asks),
        namespace.clone(),
        page_auth,
        address,
        stop.clone(),
    );
    service.spawn("page and API", server::serve(listener, shared));
    service.spawn("Applications", {
        let watch = consume::follow_applications(
            client.clone(),
            namespace,
            Arc::clone(&store),
            Arc::clone(&metrics),
            applications,
        );
        let watch = until(stop.clone(), watch);
        async move {
            watch.await;
            Ok::<_, Infallible>(())
        }
    });
    let bus = OnBus {
        store,
        metrics,
        client,
        ordered,
        asked,
        states,
        observe,
    };
    service.spawn("bus", bus.run(connect, stop));
    service.run().await
}

/// What needs the broker.
struct OnBus {
    store: Arc<Store>,
    metrics: Arc<metrics::Metrics>,
    client: kube::Client,
    ordered: mpsc::Receiver<command::Order>,
    asked: mpsc::Receiver<ask::Ask>,
    states: Readiness,
    observe: bool,
}

impl OnBus {
    async fn run(self, connect: ConnectArgs, stop: CancellationToken) -> Result<(), BusError> {
        let Self {
            store,
            metrics,
            client,
            ordered,
            asked,
            states,
            observe,
        } = self;
        let bus = tokio::select! {
            bus = Bus::connect(&connect, "monitor") => bus?,
            () = stop.cancelled() => return Ok(()),
        };
        let heard = store.listen();
        let follow = consume::follow_bus(bus.clone(), Arc::clone(&store), metrics, states);
        let follow = until(stop.clone(), follow);
        // Ends when the server has answered its last request.
        let carry = command::carry(bus.clone(), ordered);
        let tell = async {
            if !observe {
                let teller = object_events::Teller::new(Arc::clone(&store), client.clone());
                until(stop.clone(), teller.run(heard)).await;
            }
        };
        let ask = ask::carry(bus.clone(), asked);
        let write = async {
            if !observe {
                // With half of the states, statuses would go back and forth.
                tokio::select! { () = store.until_caught_up() => {} () = stop.cancelled() => return, }
                let (store, client) = (Arc::clone(&store), client.clone());
                write::Writer { store, bus, client }
                    .run(stop.cancelled())
                    .await;
            }
        };
        tokio::join!(follow, carry, ask, write, tell);
        Ok(())
    }
}

/// Runs what has no end of its own until the service stops.
async fn until(stop: CancellationToken, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        () = stop.cancelled() => {}
    }
}

async fn control_cluster(kubeconfig: Option<PathBuf>) -> anyhow::Result<kube::Client> {
    let config = match kubeconfig {
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(&path)
                .with_context(|| format!("reading {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
                .await
                .with_context(|| format!("using {}", path.display()))?
        }
        None => kube::Config::incluster()
            .context("no --kubeconfig is given, and this is not a pod with a service account")?,
    };
    kube::Client::try_from(config).context("making a client of the control cluster")
}
