//! What the leading applier of a cluster does, and what the others do until they lead: they know the cluster and the broker, and
//! read nothing that could be old by then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::seal::{AnswererPublic, AskerKey};
use bus::service::Readiness;
use bus::subject::Store as ObjectStore;
use bus::{Bus, ClusterId, ConnectArgs};
use lease::Lead;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Kinds};
use crate::context::Context;
use crate::describe::{self, KindsHandle};
use crate::live::{Chain, Live, Watches};
use crate::metrics::Metrics;
use crate::orphan::{self, Orphans};
use crate::project::{Bounds, Projects};
use crate::publish::Publisher;
use crate::secrets::Secrets;
use crate::settings::SettingsHandle;
use crate::store::{DigestKey, Loaded, Store};
use crate::wanted::Wanted;
use crate::{LOOK, check, commands, consume, diff, direct, tree};

/// Commands on their way to an application.
const COMMANDS: usize = 64;
/// How long until a cluster that can't be reached is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the flags say.
pub(crate) struct Fixed {
    pub(crate) id: ClusterId,
    pub(crate) bounds: Bounds,
    pub(crate) store_namespace: String,
    pub(crate) keys: Option<(AskerKey, Vec<AnswererPublic>)>,
    pub(crate) observe: bool,
}

pub(crate) struct Leader {
    pub(crate) cluster: Cluster,
    pub(crate) lead: Lead,
    pub(crate) nats: ConnectArgs,
    pub(crate) fixed: Fixed,
    pub(crate) metrics: Arc<Metrics>,
    /// Of the cluster: known, and its records read by the one that leads.
    pub(crate) reading: Readiness,
    pub(crate) connected: Readiness,
}

impl Leader {
    /// Until the process drains; then nothing that was begun is under way.
    pub(crate) async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        let opened = tokio::select! {
            opened = self.open() => opened?,
            () = token.cancelled() => return Ok(()),
        };
        let connection = connection(opened.bus.clone(), self.connected.clone());
        let mut parts = self.parts(opened, &token);
        parts.spawn(until_drained("connection", connection, token.clone()));
        while let Some(ended) = parts.join_next().await {
            let (name, ended) = ended.context("a part failed")?;
            ended.with_context(|| name)?;
            anyhow::ensure!(token.is_cancelled(), "{name} ended before its time");
        }
        Ok(())
    }

    /// Knows the cluster and the broker, waits to lead, and reads what is there then.
    async fn open(&self) -> anyhow::Result<Opened> {
        let namespace = &self.fixed.store_namespace;
        self.until(|| know(&self.cluster, namespace)).await;
        self.reading.ready();
        self.connected.not_ready("NATS can't be reached");
        let bus = Bus::connect(&self.nats, "applier").await?;
        self.connected.ready();
        if self.lead.stands_by() {
            tracing::info!("stands by");
        }
        self.lead.begun().await;
        let cluster = self.cluster.clone().led_by(self.lead.clone());
        let (kinds, store, digest_key, loaded) = self.until(|| read(&cluster, namespace)).await;
        self.reading.ready();
        Ok(Opened {
            bus,
            cluster,
            kinds,
            store,
            digest_key,
            loaded,
        })
    }

    /// Asked until the cluster answers.
    async fn until<T, A>(&self, ask: impl Fn() -> A) -> T
    where
        A: Future<Output = anyhow::Result<T>>,
    {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => {
                    let why = format!("{error:#}");
                    tracing::warn!(error = why, "the cluster can't be used yet");
                    self.reading.not_ready(why);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    fn parts(self, opened: Opened, token: &CancellationToken) -> Parts {
        let Opened {
            bus,
            cluster,
            kinds,
            store,
            digest_key,
            loaded,
        } = opened;
        let Fixed {
            id,
            bounds,
            keys,
            observe,
            store_namespace,
        } = self.fixed;
        let lead = self.lead;
        let live = Arc::new(Live::new());
        let (watches, watching) = Watches::new(cluster.clone(), live.clone());
        let (publisher, events, keyed) =
            Publisher::new(bus.clone(), id.clone(), self.metrics.clone(), lead.clone());
        let kinds = KindsHandle::new(kinds);
        let describing = describe::run(
            cluster.clone(),
            kinds.clone(),
            live.clone(),
            bus.clone(),
            id.clone(),
        );
        let orphans = Arc::new(Orphans::default());
        let orphaned = orphan::run(
            cluster.clone(),
            kinds.clone(),
            live.clone(),
            orphans.clone(),
        );
        let ctx = Arc::new(Context {
            bus: bus.clone(),
            id: id.clone(),
            lead: lead.clone(),
            cluster,
            live,
            wanted: Wanted::default(),
            watches,
            kinds,
            store,
            projects: Arc::new(Projects::default()),
            settings: SettingsHandle::default(),
            bounds,
            secrets: Secrets::new(bus.clone(), id.clone(), keys),
            digest_key,
            metrics: self.metrics,
            orphans,
            publisher,
            objects: bus.objects(&ObjectStore::Manifests(id.clone())),
            observe,
        });
        let (to_apps, from_commands) = mpsc::channel(COMMANDS);
        let mut parts = Parts::new();
        parts.spawn(until_drained("watches", watching, token.clone()));
        parts.spawn(until_drained("events", events, token.clone()));
        parts.spawn(until_drained("states", keyed, token.clone()));
        parts.spawn(until_drained("kinds", describing, token.clone()));
        parts.spawn(until_drained("orphans", orphaned, token.clone()));
        let compared = diff::run(ctx.clone(), to_apps.clone(), token.clone());
        parts.spawn(async { ("differences", compared.await.map_err(Into::into)) });
        let checked = check::run(ctx.clone(), to_apps.clone(), token.clone());
        parts.spawn(async { ("checks", checked.await.map_err(Into::into)) });
        let grown = tree::run(ctx.clone(), to_apps.clone(), token.clone());
        parts.spawn(async { ("trees", grown.await.map_err(Into::into)) });
        let directed = direct::run(
            ctx.cluster.clone(),
            store_namespace,
            to_apps.clone(),
            token.clone(),
        );
        parts.spawn(async { ("direct orders", directed.await.map_err(Into::into)) });
        let applications = consume::run(ctx, loaded, from_commands, token.clone());
        parts.spawn(async { ("applications", applications.await.map_err(Into::into)) });
        let commanded = commands::run(bus, id, lead, to_apps, token.clone());
        parts.spawn(async { ("commands", commanded.await.map_err(Into::into)) });
        parts
    }
}

type Parts = JoinSet<(&'static str, anyhow::Result<()>)>;

/// What was there when this applier began to lead.
struct Opened {
    bus: Bus,
    cluster: Cluster,
    kinds: Kinds,
    store: Store,
    digest_key: DigestKey,
    loaded: Vec<Loaded>,
}

/// Whether the cluster answers, and has the namespace that the Lease is in.
async fn know(cluster: &Cluster, namespace: &str) -> anyhow::Result<()> {
    Kinds::discover(cluster)
        .await
        .context("discovering the cluster's kinds")?;
    Store::open(cluster.clone(), namespace).await?;
    Ok(())
}

async fn read(
    cluster: &Cluster,
    namespace: &str,
) -> anyhow::Result<(Kinds, Store, DigestKey, Vec<Loaded>)> {
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

/// Says whether the broker can be reached.
async fn connection(bus: Bus, readiness: Readiness) -> Result<(), std::convert::Infallible> {
    loop {
        if bus.is_connected() {
            readiness.ready();
        } else {
            readiness.not_ready("NATS can't be reached");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends well when the process drains; what is in its hands by then has been said or is said again at the next start.
async fn until_drained<E: Into<anyhow::Error>>(
    name: &'static str,
    task: impl Future<Output = Result<(), E>>,
    token: CancellationToken,
) -> (&'static str, anyhow::Result<()>) {
    let ended = tokio::select! {
        // First: a task whose last listener or sayer went with the drain has not failed.
        biased;
        () = token.cancelled() => Ok(()),
        ended = task => ended.map_err(Into::into),
    };
    (name, ended)
}
