//! A service's process: log, admin port, signals, and one supervisor for all its tasks.

mod admin;
mod listen;
mod log;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use listen::listen;
pub use log::LogFormat;

/// How long tasks may take to finish or hand back what they have.
const DRAIN: Duration = Duration::from_secs(20);

/// How a service is watched and how it logs.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminArgs {
    /// Where /livez, /readyz and /metrics are served; port 0 takes a free one
    #[arg(
        long,
        env = "TOWLINE_ADMIN_ADDRESS",
        default_value = "127.0.0.1:0",
        value_name = "ADDRESS"
    )]
    pub admin_address: SocketAddr,
    /// File that gets the admin address once it is bound
    #[arg(long, env = "TOWLINE_ADMIN_FILE", value_name = "FILE")]
    pub admin_file: Option<std::path::PathBuf>,
    #[arg(long, env = "TOWLINE_LOG_FORMAT", default_value = "text", value_enum)]
    pub log_format: LogFormat,
    /// Filter of log lines, as in `RUST_LOG`
    #[arg(
        long,
        env = "TOWLINE_LOG_LEVEL",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log_level: String,
}

/// Names of what the service waits for, with the reason while it does.
type Waits = Arc<Mutex<BTreeMap<&'static str, Option<String>>>>;

/// A running service.
pub struct Service {
    name: &'static str,
    registry: prometheus::Registry,
    waits: Waits,
    token: CancellationToken,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    admin: SocketAddr,
}

/// One reason for which `/readyz` may say no.
#[derive(Clone)]
pub struct Readiness {
    name: &'static str,
    waits: Waits,
}

impl Readiness {
    pub fn ready(&self) {
        self.set(None);
    }

    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, why: Option<String>) {
        self.waits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.name, why);
    }
}

impl Service {
    /// Sets up log, TLS provider and admin port. Call once, first thing.
    pub async fn start(name: &'static str, args: &AdminArgs) -> anyhow::Result<Self> {
        log::init(name, args)?;
        no_core_dumps();
        // Another part of the process may have installed it before: the first one stays, and it is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = prometheus::Registry::new();
        let waits = Waits::default();
        let token = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let listener = tokio::net::TcpListener::bind(args.admin_address)
            .await
            .with_context(|| format!("binding the admin address {}", args.admin_address))?;
        let admin = listener.local_addr().context("reading the admin address")?;
        if let Some(path) = &args.admin_file {
            write_whole(path, &admin.to_string())
                .with_context(|| format!("writing {}", path.display()))?;
        }
        let serving = admin::serve(
            listener,
            registry.clone(),
            Arc::clone(&waits),
            token.clone(),
        );
        tasks.spawn(async move {
            (
                "admin port",
                serving.await.context("serving the admin port"),
            )
        });
        tracing::info!(%admin, version = env!("CARGO_PKG_VERSION"), "{name} started");
        Ok(Self {
            name,
            registry,
            waits,
            token,
            tasks,
            admin,
        })
    }

    /// Runs a task for the life of the process: if it ends, fails or panics before shutdown, the process ends, not with 0.
    pub fn spawn<F, E>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        self.tasks
            .spawn(async move { (name, task.await.map_err(Into::into)) });
    }

    /// Cancelled when the process should stop taking work.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// A reason not to be ready, which holds until [`Readiness::ready`].
    pub fn readiness(&self, name: &'static str) -> Readiness {
        let readiness = Readiness {
            name,
            waits: Arc::clone(&self.waits),
        };
        readiness.not_ready("starting");
        readiness
    }

    pub fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Runs until a signal, then drains: what still runs after 20 s is dropped, which hands its work back.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let ended = tokio::select! {
            signal = signalled() => {
                tracing::info!(signal = signal?, "{} drains", self.name);
                None
            }
            ended = self.tasks.join_next() => ended,
        };
        self.token.cancel();
        let outcome = ended.map_or(Ok(()), |ended| judge(ended, false));
        let drained = tokio::time::timeout(DRAIN, async {
            let mut outcome = Ok(());
            while let Some(ended) = self.tasks.join_next().await {
                outcome = outcome.and(judge(ended, true));
            }
            outcome
        });
        let drained = drained.await.unwrap_or_else(|_| {
            tracing::warn!("tasks did not end in {DRAIN:?}: dropping them");
            Ok(())
        });
        outcome.and(drained)
    }
}

/// What the end of a task means for the process.
fn judge(
    ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>,
    draining: bool,
) -> anyhow::Result<()> {
    match ended {
        Ok((_, Ok(()))) if draining => Ok(()),
        Ok((name, Ok(()))) => Err(anyhow::anyhow!("task `{name}` ended, though it should not")),
        Ok((name, Err(error))) => Err(error.context(format!("task `{name}` failed"))),
        Err(error) => Err(anyhow::Error::new(error).context("a task panicked")),
    }
}

async fn signalled() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// A core file would hold whatever secret the process holds.
fn no_core_dumps() {
    if let Err(error) =
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)
    {
        tracing::warn!(%error, "core dumps can't be switched off");
    }
}

/// Writes a file so that a reader never sees a part of it.
fn write_whole(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text)?;
    std::fs::rename(&partial, path)
}
