//! The `towline` command.
//!
//! `up` runs the services, `demo` shows them at work, `render`, `inputs`, `health` and `secrets check FILE` work on files, all other commands ask the
//! monitor of a running Towline. Exit codes: 0 done, 1 failed (the reason on stderr), 2 wrong usage.

mod client;
mod command;
mod demo;
mod local;
mod manifests;
mod output;
mod service;
mod signal;
mod state_file;
mod up;

use std::process::ExitCode;

use bus::ReleaseId;
use bus::message::command::Action;
use bus::message::state::PinUntil;
use clap::{CommandFactory as _, Parser, Subcommand};

use client::ClientArgs;
use command::act::{WaitArgs, act};
use command::back::DirectArgs;
use command::get::Show;
use output::Format;

/// GitOps delivery for Kubernetes: a commit becomes healthy objects
#[derive(Parser)]
#[command(name = "towline", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the five services, on a local stack or on an existing cluster, NATS and Vault
    Up(Box<up::UpArgs>),
    /// Show a commit's way to healthy objects on a local stack
    Demo(Box<demo::DemoArgs>),
    /// List applications, or show one
    Get {
        app: Option<String>,
        /// Show its objects with what they own in turn: replica sets, pods and the like
        #[arg(long, requires = "app")]
        tree: bool,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show what a release would change; exit code 1 if it would, 0 if not, 2 if that can't be told
    Diff(Box<command::diff::DiffArgs>),
    /// Look for new commits now
    Refresh {
        app: String,
        /// Render again even if nothing changed
        #[arg(long)]
        hard: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Release the desired state now
    Sync {
        app: String,
        /// Delete what is no longer in Git
        #[arg(long)]
        prune: bool,
        /// Say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Apply also what is in sync
        #[arg(long)]
        force: bool,
        /// Only this object, as group/kind/namespace/name; may be repeated
        #[arg(long = "resource", value_name = "OBJECT")]
        resources: Vec<String>,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List an application's releases
    History {
        app: String,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Go back to a release and pin it; without an id, to the last healthy one before the current
    ///
    /// The manifests are those of that release. Secrets in them are resolved at the versions that they have now, unless a
    /// placeholder names its version (`#version`).
    Rollback {
        app: String,
        /// Of `towline history`
        id: Option<u64>,
        /// Follow the sources again when a newer revision comes
        #[arg(long)]
        until_newer: bool,
        #[command(flatten)]
        direct: DirectArgs,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Hold an application at what is live
    Pin {
        app: String,
        /// Follow the sources again when a newer revision comes
        #[arg(long)]
        until_newer: bool,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Let a pinned application follow its sources again
    Unpin {
        app: String,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// End a running release
    Terminate {
        app: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Print what happened
    Events {
        app: Option<String>,
        /// Go on with what happens
        #[arg(long, short)]
        follow: bool,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Who used which secrets, and what moving over needs
    Secrets {
        #[command(subcommand)]
        command: command::secrets::SecretsCommand,
    },
    /// Print what Applications render to, from repositories on this machine or fetched
    Render(command::render::RenderArgs),
    /// List what rendering Applications reads
    Inputs(command::inputs::InputsArgs),
    /// Print the health of the objects in files, a line each
    Health(command::health::HealthArgs),
    /// Print the accounts for a NATS server of one's own, and make the users' keys
    NatsConfig(command::nats::ConfigArgs),
    /// Create what is missing at a NATS server: streams, buckets, consumers
    NatsProvision(command::nats::ProvisionArgs),
    /// Print the completion script of a shell
    Completion { shell: clap_complete::Shell },
    /// Run one service in this process (`up` starts them so)
    #[command(hide = true)]
    Service {
        #[command(subcommand)]
        service: Box<service::Service>,
    },
}

/// The whole program.
#[expect(clippy::print_stderr, reason = "errors of commands go to stderr")]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    // The same provider in every process; a service's own runtime may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let at_once = WaitArgs {
        no_wait: true,
        timeout: 0,
    };
    match cli.command {
        Command::Up(args) => {
            log_warnings();
            up::run(*args).await?;
        }
        Command::Demo(args) => {
            log_warnings();
            return Box::pin(demo::run(*args)).await;
        }
        Command::Get {
            app,
            tree,
            output,
            client,
        } => command::get::get(&client, app.as_deref(), Show::of(tree), output).await?,
        Command::History {
            app,
            output,
            client,
        } => command::get::history(&client, &app, output).await?,
        Command::Events {
            app,
            follow,
            output,
            client,
        } => command::events::events(&client, app.as_deref(), follow, output).await?,
        Command::Diff(args) => return Ok(Box::pin(command::diff::diff(&args)).await),
        Command::Refresh { app, hard, client } => {
            act(&client, &app, &Action::Refresh { hard }, &at_once).await?;
        }
        Command::Sync {
            app,
            prune,
            dry_run,
            force,
            resources,
            wait,
            client,
        } => {
            let action = Action::Sync {
                prune,
                dry_run,
                force,
                resources,
            };
            act(&client, &app, &action, &wait).await?;
        }
        Command::Rollback {
            app,
            id,
            until_newer,
            direct,
            wait,
            client,
        } => {
            let to = (id.map(ReleaseId), until(until_newer));
            Box::pin(command::back::roll_back(&client, &direct, &app, to, &wait)).await?;
        }
        Command::Pin {
            app,
            until_newer,
            wait,
            client,
        } => {
            let until = until(until_newer);
            let action = Action::PinUntil { until };
            act(&client, &app, &action, &wait).await?;
        }
        Command::Unpin { app, wait, client } => act(&client, &app, &Action::Unpin, &wait).await?,
        Command::Terminate { app, client } => {
            act(&client, &app, &Action::Terminate, &at_once).await?;
        }
        Command::Secrets { command } => return command::secrets::run(command).await,
        Command::Render(args) => {
            return Box::pin(command::render::render(&args)).await;
        }
        Command::Inputs(args) => {
            return Box::pin(command::inputs::inputs(&args)).await;
        }
        Command::Health(args) => return command::health::health(&args),
        Command::NatsConfig(args) => command::nats::config(&args)?,
        Command::NatsProvision(args) => command::nats::provision(&args).await?,
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "towline",
                &mut std::io::stdout(),
            );
        }
        Command::Service { service } => service::run(*service).await?,
    }
    Ok(ExitCode::SUCCESS)
}

const fn until(newer: bool) -> PinUntil {
    if newer {
        PinUntil::NewerRevision
    } else {
        PinUntil::Unpinned
    }
}

/// `up` and `demo` say on stderr what a person should know; the services have logs of their own.
fn log_warnings() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TOWLINE_UP_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    // A test may have set up a log before.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .without_time()
        .try_init();
}
