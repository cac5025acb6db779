//! `towline up`: the five services, on the local stack or on an existing cluster, NATS and Vault.
//!
//! parts (what isn't given is started) → keys → control cluster → streams → services → state file → until Ctrl-C.

pub(crate) mod control;
pub(crate) mod keys;
mod services;
mod supervisor;
mod vault;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bus::role::{self, Role};
use bus::{Bus, ClusterId, ConnectArgs};
use deploy::{ClusterOptions, NatsConfig, Stack, StackOptions, VaultPart};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::state_file::StateFile;
use keys::{NatsKeys, SealKeys, write_private};
use supervisor::Supervisor;

/// Options of `towline up`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Use this cluster instead of a local one
    #[arg(long, env = "TOWLINE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Use this NATS instead of a local one
    #[arg(long, env = "TOWLINE_NATS", value_name = "URL")]
    pub nats: Option<String>,
    /// NKey seeds of the users at --nats, as made by `towline nats-config --keys`
    #[arg(long, env = "TOWLINE_NATS_KEYS", value_name = "DIR")]
    pub nats_keys: Option<PathBuf>,
    /// With an address: use this Vault instead of a local one
    #[command(flatten, next_help_heading = "Vault")]
    pub vault: secrets_agent::VaultArgs,
    /// Read the Secrets of this namespace as `k8s/<name>`, instead of starting a local Vault
    #[arg(long, env = "TOWLINE_SECRETS_NAMESPACE", value_name = "NAME")]
    pub secrets_namespace: Option<String>,
    /// Read the folders of this one as `files/<folder>`, a key for each file, instead of starting a local Vault
    #[arg(long, env = "TOWLINE_SECRET_FILES", value_name = "DIR")]
    pub secret_files: Option<PathBuf>,
    /// Secret paths that the secrets-agent may read at all; each project's `towline.dev/secret-paths` narrows them
    #[arg(
        long,
        env = "TOWLINE_SECRET_PATHS",
        value_name = "GLOB",
        value_delimiter = ',',
        default_value = "**"
    )]
    pub secret_paths: Vec<String>,
    /// Namespace of Applications and projects
    #[arg(long, short, env = "TOWLINE_NAMESPACE", default_value = "argocd")]
    pub namespace: String,
    /// Namespace in which each cluster keeps inventories and releases
    #[arg(long, env = "TOWLINE_STORE_NAMESPACE", default_value = "towline")]
    pub store_namespace: String,
    /// Render and compare only: apply nothing, write no status
    #[arg(long)]
    pub observe: bool,
    #[arg(long, env = "TOWLINE_STATE", value_name = "FILE", help = STATE_HELP)]
    pub state: Option<PathBuf>,
    /// Address of the web page and API [default: a free port on 127.0.0.1]
    #[arg(long, env = "TOWLINE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address of the webhook [default: a free port on 127.0.0.1]
    #[arg(long, env = "TOWLINE_WEBHOOK_LISTEN", value_name = "ADDRESS")]
    pub webhook_listen: Option<SocketAddr>,
    /// How often each repository is polled, in seconds
    #[arg(
        long,
        env = "TOWLINE_POLL_INTERVAL",
        default_value_t = 180,
        value_name = "SECONDS"
    )]
    pub poll_interval: u64,
    /// How long one render may take, in seconds
    #[arg(
        long,
        env = "TOWLINE_RENDER_TIMEOUT",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    pub render_timeout: u64,
    /// How many renderers share the work
    #[arg(
        long,
        env = "TOWLINE_RENDERERS",
        default_value = "1",
        value_name = "NUMBER"
    )]
    pub renderers: std::num::NonZero<u16>,
    /// Log filter of the services
    #[arg(
        long,
        env = "TOWLINE_LOG_LEVEL",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log_level: String,
    /// Folder for logs and keys [default: a folder of the stack's, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

const STATE_HELP: &str =
    "Where to say which processes run where [default: $XDG_STATE_HOME/towline/up.json]";

/// A running Towline.
pub(crate) struct Towline {
    pub state: StateFile,
    pub state_path: Option<PathBuf>,
    /// What of the local stack was started; kept for its processes.
    pub stack: Stack,
    token: CancellationToken,
    /// Cancelled when the supervisor ended, for whatever reason.
    ended: CancellationToken,
    supervising: JoinHandle<anyhow::Result<()>>,
    provisioning: JoinHandle<()>,
    _folder: Option<tempfile::TempDir>,
}

/// Runs `towline up` until Ctrl-C or SIGTERM.
pub(crate) async fn run(args: UpArgs) -> anyhow::Result<()> {
    let mut signals = crate::signal::Stop::listen()?;
    let towline = tokio::select! {
        started = Towline::start(args) => started?,
        () = signals.wait() => return Ok(()),
    };
    crate::output::services(&towline.state);
    let outcome = towline.until(signals.wait()).await;
    crate::output::note("stopping …");
    towline.stop().await?;
    outcome
}

impl Towline {
    /// Starts all that is not given, then the services; returns when each is ready.
    pub(crate) async fn start(args: UpArgs) -> anyhow::Result<Self> {
        let clusters = [ClusterId::in_cluster()];
        let engine = deploy::locate(deploy::Component::Engine).await?;
        let (folder, temporary) = work_folder(args.folder.as_deref())?;
        let nats_keys = match (&args.nats, &args.nats_keys) {
            (_, Some(keys)) => Some(NatsKeys::at(keys)),
            (Some(_), None) => None,
            (None, None) => Some(NatsKeys::at(&folder.join("nats-keys"))),
        };
        let stack = start_stack(&args, nats_keys.as_ref(), &clusters).await?;
        let parts = Parts::of(&args, &stack, &folder)?;

        let client = control::client(parts.kubeconfig.as_deref()).await?;
        if !args.observe {
            control::refuse_to_fight(&client).await?;
        }
        control::prepare(&client, &args.namespace).await?;

        let seed = |role: &Role| nats_keys.as_ref().map(|keys| keys.seed(role));
        let broker = ConnectArgs {
            url: parts.nats.clone(),
            seed: seed(&Role::Provisioner),
            ca: None,
        };
        let bus = Bus::connect(&broker, "provisioner").await?;
        bus::stream::provision(&bus, &clusters)
            .await
            .context("preparing NATS")?;
        let provisioning = tokio::spawn(provision_again(bus, clusters.to_vec()));

        let seals = SealKeys::generate(&folder.join("seal-keys"))?;
        let listen = args.listen.map_or_else(free_address, Ok)?;
        let webhook = args.webhook_listen.map_or_else(free_address, Ok)?;
        let commands = services::commands(&services::Wiring {
            args: &args,
            parts: &parts,
            engine: &engine,
            folder: &folder,
            seals: &seals,
            nats_keys: nats_keys.as_ref(),
            listen,
            webhook,
            lease_identity: keys::lease_identity(&folder)?,
        });
        let supervisor = Supervisor::start(commands, &folder).await?;
        let mut states = supervisor.states();
        let state = StateFile {
            services: states.borrow_and_update().clone(),
            webhook: format!("http://{webhook}/api/webhook"),
            monitor: format!("http://{listen}"),
            nats: parts.nats.clone(),
            nats_operator_seed: seed(&Role::Operator),
            kubeconfig: parts.kubeconfig.clone(),
            vault: parts.vault.clone(),
            namespace: args.namespace.clone(),
            logs: folder.clone(),
        };
        let state_path = args.state.clone().or_else(StateFile::default_path);
        if let Some(path) = &state_path {
            state.write(path)?;
        }
        let token = CancellationToken::new();
        let ended = CancellationToken::new();
        let supervising = tokio::spawn({
            let guard = ended.clone().drop_guard();
            let (token, state, path) = (token.clone(), state.clone(), state_path.clone());
            async move {
                let _guard = guard;
                tokio::select! {
                    outcome = supervisor.run(token) => outcome,
                    outcome = write_changes(states, state, path) => outcome,
                }
            }
        });
        Ok(Self {
            state,
            state_path,
            stack,
            token,
            ended,
            supervising,
            provisioning,
            _folder: temporary,
        })
    }

    /// Waits for `stop`; an error when the services can't be kept running until then.
    pub(crate) async fn until(&self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            () = stop => Ok(()),
            () = self.ended.cancelled() => anyhow::bail!("the services can't be kept running; see the logs in {}", self.state.logs.display()),
        }
    }

    /// Stops the services, politely, then the stack.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.provisioning.abort();
        self.token.cancel();
        let outcome = self.supervising.await.context("the supervisor panicked")?;
        if let Some(path) = &self.state_path
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(%error, "no state file to remove");
        }
        self.stack.stop().await;
        outcome
    }
}

/// Where the parts are that a service talks to.
struct Parts {
    kubeconfig: Option<PathBuf>,
    nats: String,
    /// Address of Vault.
    vault: Option<String>,
    /// With the root token of the local Vault.
    vault_token_file: Option<PathBuf>,
}

impl Parts {
    fn of(args: &UpArgs, stack: &Stack, folder: &Path) -> anyhow::Result<Self> {
        let kubeconfig = match &stack.cluster {
            Some(cluster) => Some(cluster.kubeconfig().to_owned()),
            None => args.kubeconfig.clone(),
        };
        let nats = match &stack.nats {
            Some(nats) => nats.url(),
            None => args.nats.clone().context("no address of NATS")?,
        };
        let (vault, vault_token_file) = match &stack.vault {
            Some(vault) => {
                use secrecy::ExposeSecret as _;
                let file = folder.join("vault-token");
                write_private(&file, vault.root_token().expose_secret())?;
                (Some(vault.address()), Some(file))
            }
            None => (
                args.vault.vault_addr.as_ref().map(ToString::to_string),
                None,
            ),
        };
        Ok(Self {
            kubeconfig,
            nats,
            vault,
            vault_token_file,
        })
    }
}

async fn start_stack(
    args: &UpArgs,
    keys: Option<&NatsKeys>,
    clusters: &[ClusterId],
) -> anyhow::Result<Stack> {
    let nats = match (&args.nats, keys) {
        (None, Some(keys)) => {
            let include = role::server_config(&keys.users(clusters)?, clusters);
            Some(NatsConfig::Generated { include })
        }
        _ => None,
    };
    let cluster = args.kubeconfig.is_none().then(ClusterOptions::default);
    let elsewhere = args.vault.vault_addr.is_some()
        || args.secrets_namespace.is_some()
        || args.secret_files.is_some();
    let vault = if elsewhere {
        VaultPart::Absent
    } else {
        VaultPart::DevServer
    };
    Ok(Stack::start(&StackOptions {
        nats,
        cluster,
        vault,
    })
    .await?)
}

/// A broker that lost everything gets its streams again.
async fn provision_again(bus: Bus, clusters: Vec<ClusterId>) {
    let mut connections = bus.connections();
    while connections.changed().await.is_ok() {
        while let Err(error) = bus::stream::provision(&bus, &clusters).await {
            tracing::warn!(
                "{:#}",
                anyhow::Error::new(error).context("preparing NATS again")
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Keeps the state file true while services are started again.
async fn write_changes(
    mut states: tokio::sync::watch::Receiver<Vec<crate::state_file::ServiceState>>,
    mut state: StateFile,
    path: Option<PathBuf>,
) -> anyhow::Result<()> {
    while states.changed().await.is_ok() {
        state.services.clone_from(&states.borrow_and_update());
        if let Some(path) = &path {
            state.write(path)?;
        }
    }
    std::future::pending().await
}

/// The caller's folder, or one that goes with the process; on tmpfs where there is one, since logs and keys are small files.
fn work_folder(given: Option<&Path>) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(folder) = given {
        keys::create_private_folder(folder)?;
        return Ok((folder.to_owned(), None));
    }
    let temporary = tempfile::Builder::new()
        .prefix("towline-up-")
        .tempdir()
        .context("making a work folder")?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}

/// Chosen here, once, so that a service that is started again keeps its address; no client in between is given it.
fn free_address() -> anyhow::Result<SocketAddr> {
    let port = deploy::port::free().context("choosing an address")?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}
