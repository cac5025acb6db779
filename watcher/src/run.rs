//! Wires the watcher's tasks together.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::Bus;
use bus::Digest;
use bus::message::event::EventKind;
use bus::service::{Readiness, Service};
use lease::{Candidate, Lead};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::applications::{self, Scope};
use crate::args::Args;
use crate::index::{Fixed, Index, Part};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::publish::Publisher;
use crate::settings::{objects, watch, webhooks};
use crate::source::git;
use crate::source::home::Home;
use crate::worker::{self, Hosts, Stores};
use crate::{collect, follow, predecessors, state, webhook};

/// How long the leader's Lease stands unless it is renewed: watchers that follow take over without hurry, and few renewals do.
const LEASE: Duration = Duration::from_secs(15);

/// Runs the watcher until a signal.
#[expect(
    clippy::too_many_lines,
    reason = "a list of what is wired to what, in the order of the flow"
)]
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        connect,
        admin,
        namespace,
        application_namespaces,
        selector,
        kubeconfig,
        webhook_listen,
        webhook_listen_file,
        lease,
        sources,
    } = args;
    let mut service = Service::start("watcher", &admin).await?;
    let token = service.token();
    let limits = sources.bounds();
    git::limit_libgit2(limits.fetch_timeout);
    let metrics = Arc::new(Metrics::register(service.registry())?);
    let cache = Cache::at(sources.cache_dir)?;
    let home = Home::at(&cache.path.join("home"))?;
    let lease_name = lease_name(selector.as_deref());
    let lease_namespace = lease
        .lease_namespace
        .as_deref()
        .unwrap_or(&namespace)
        .to_owned();
    let scope = scope(&namespace, application_namespaces, selector);
    let (index, new_repositories) = Index::new(Fixed {
        control_namespace: namespace,
        file_repositories: sources.file_repositories,
        cache: cache.path.clone(),
    });

    let listener = listen(webhook_listen, webhook_listen_file).await?;
    let client = control_cluster(kubeconfig).await?;
    let read = service.readiness("reading");
    let candidate = Candidate::new(
        client.clone(),
        (&lease_namespace, lease_name),
        lease.identity("watcher"),
        lease.duration(LEASE),
    );
    let lead = candidate.lead();
    service.spawn("lease", candidate.run(token.clone()));

    service.spawn(
        "webhooks",
        webhook::serve(
            listener,
            Arc::clone(&index),
            Arc::clone(&metrics),
            token.clone(),
        ),
    );
    let about_objects = for_each_setting(&mut service, &client, &index, home, &token);
    let following = applications::follow(
        client.clone(),
        scope.clone(),
        Arc::clone(&index),
        token.clone(),
    );
    service.spawn("applications", following);
    let bus = Bus::connect(&connect, "watcher").await?;
    service.spawn(
        "projects",
        watch::projects(
            client.clone(),
            bus.clone(),
            Arc::clone(&index),
            lead.clone(),
            token.clone(),
        ),
    );
    service.spawn(
        "settings on the bus",
        objects::publish(bus.clone(), lead.clone(), about_objects, token.clone()),
    );
    follow_bus(&mut service, &bus, &index, &metrics, (&lead, &token));
    let publisher = Publisher {
        index: Arc::clone(&index),
        bus: bus.clone(),
        metrics: Arc::clone(&metrics),
        lead: lead.clone(),
    };
    service.spawn(
        "states",
        state::write(
            bus.clone(),
            Arc::clone(&index),
            Arc::clone(&metrics),
            lead.clone(),
            token.clone(),
        ),
    );
    service.spawn(
        "predecessors",
        predecessors::tell(bus.clone(), Arc::clone(&index), lead.clone(), token.clone()),
    );
    let unused = Duration::from_secs(sources.collect_after);
    let collector = collect::run(
        bus.clone(),
        Arc::clone(&metrics),
        unused,
        lead.clone(),
        token.clone(),
    );
    service.spawn("collect", collector);
    let lifecycle = Lifecycle {
        index: Arc::clone(&index),
        bus: bus.clone(),
        publisher: publisher.clone(),
        client,
        scope,
    };
    service.spawn("lifecycle", lifecycle.run(token.clone()));
    let context = worker::Context {
        index: Arc::clone(&index),
        bus: bus.clone(),
        publisher,
        metrics,
        hosts: Arc::new(Hosts::default()),
        stores: Arc::new(Stores::new(Arc::clone(&index), limits.store)),
        limits,
    };
    service.spawn(
        "repositories",
        worker::supervise(context, new_repositories, token.clone()),
    );
    service.spawn("readiness", readiness(index, bus, lead, read, token));
    service.run().await
}

/// Binds the webhooks' address, and says it in a file that is whole when it is there.
async fn listen(address: SocketAddr, file: Option<PathBuf>) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("binding the webhooks' address {address}"))?;
    let address = listener
        .local_addr()
        .context("reading the webhooks' address")?;
    if let Some(path) = file {
        let partial = path.with_extension("partial");
        std::fs::write(&partial, address.to_string())
            .and_then(|()| std::fs::rename(&partial, &path))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    tracing::info!(%address, "receiving webhooks at /api/webhook");
    Ok(listener)
}

fn for_each_setting(
    service: &mut Service,
    client: &kube::Client,
    index: &Arc<Index>,
    home: Home,
    token: &CancellationToken,
) -> tokio::sync::watch::Receiver<objects::Said> {
    let with = || (client.clone(), Arc::clone(index), token.clone());
    let (client, index, token) = with();
    service.spawn("secrets", watch::secrets(client, index, token));
    let (client, index, token) = with();
    let (said, about_objects) = tokio::sync::watch::channel(None);
    service.spawn("settings", watch::settings(client, index, said, token));
    let (client, index, token) = with();
    service.spawn(
        "known hosts",
        watch::known_hosts(client, index, home, token),
    );
    let (client, index, token) = with();
    service.spawn("authorities", watch::authorities(client, index, token));
    let (client, index, token) = with();
    service.spawn("webhook secrets", webhooks::secrets(client, index, token));
    about_objects
}

fn follow_bus(
    service: &mut Service,
    bus: &Bus,
    index: &Arc<Index>,
    metrics: &Arc<Metrics>,
    (lead, token): (&Lead, &CancellationToken),
) {
    let with = || (bus.clone(), Arc::clone(index), token.clone());
    let (bus, index, token) = with();
    service.spawn("desired", follow::desired(bus, index, token));
    let (bus, index, token) = with();
    service.spawn(
        "renders",
        follow::renders(bus, index, Arc::clone(metrics), token),
    );
    let (bus, index, token) = with();
    service.spawn("heads", follow::heads(bus, index, token));
    let (bus, index, token) = with();
    service.spawn(
        "commands",
        follow::commands(bus, index, lead.clone(), token),
    );
    let (bus, index, token) = with();
    service.spawn("lead", begin(bus, index, lead.clone(), token));
    for kind in [
        EventKind::DesiredRefused,
        EventKind::ManifestsMissing,
        EventKind::SnapshotMissing,
        EventKind::ApplicationDeleted,
    ] {
        let (bus, index, token) = with();
        service.spawn(kind.token(), follow::events(bus, index, kind, token));
    }
}

/// Once this watcher leads, work may begin.
async fn begin(
    bus: Bus,
    index: Arc<Index>,
    lead: Lead,
    token: CancellationToken,
) -> Result<(), std::convert::Infallible> {
    let begins = async {
        lead.begun().await;
        follow::forget_purged(&bus, &index).await;
        index.started(Part::Lead);
    };
    tokio::select! {
        () = begins => token.cancelled().await,
        () = token.cancelled() => {}
    }
    Ok(())
}

/// Ready once everything was read, while the broker can be reached and this watcher leads: webhooks go to who is ready.
async fn readiness(
    index: Arc<Index>,
    bus: Bus,
    lead: Lead,
    readiness: Readiness,
    token: CancellationToken,
) -> Result<(), std::convert::Infallible> {
    const LOOK: Duration = Duration::from_secs(1);
    loop {
        let mut missing = index.missing();
        missing.retain(|part| *part != Part::Lead);
        if !bus.is_connected() {
            readiness.not_ready("NATS can't be reached");
        } else if !missing.is_empty() {
            readiness.not_ready(format!("not read yet: {missing:?}"));
        } else if let Some(why) = lead.hindrance() {
            readiness.not_ready(why);
        } else if index.is_started() {
            readiness.ready();
        }
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The Lease's name. Watchers of other Applications lead those, beside this one.
fn lease_name(selector: Option<&str>) -> String {
    const NAME: &str = "towline-watcher";
    match selector {
        None => NAME.to_owned(),
        Some(selector) => format!("{NAME}-{}", Digest::of(selector.as_bytes()).short()),
    }
}

fn scope(namespace: &str, more: Vec<String>, selector: Option<String>) -> Scope {
    let all = more.iter().any(|namespace| namespace == "*");
    let namespaces: BTreeSet<String> = more
        .into_iter()
        .filter(|namespace| !namespace.is_empty())
        .chain([namespace.to_owned()])
        .collect();
    Scope {
        namespaces: (!all).then_some(namespaces),
        selector,
    }
}

/// Where copies of repositories are kept.
struct Cache {
    path: PathBuf,
    /// Removed with the process.
    _temporary: Option<tempfile::TempDir>,
}

impl Cache {
    fn at(path: Option<PathBuf>) -> anyhow::Result<Self> {
        let (path, temporary) = if let Some(path) = path {
            std::fs::create_dir_all(&path)
                .with_context(|| format!("making the folder {}", path.display()))?;
            (path, None)
        } else {
            let folder = tempfile::Builder::new()
                .prefix("towline-watcher-")
                .tempdir()
                .context("making a scratch folder")?;
            (folder.path().to_owned(), Some(folder))
        };
        let path = path
            .canonicalize()
            .with_context(|| format!("reading the folder {}", path.display()))?;
        Ok(Self {
            path,
            _temporary: temporary,
        })
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
