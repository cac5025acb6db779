//! Benchmarks.
//!
//! `delivery`: stack → floor (the same objects by bare applies) → for each number of applications: a fresh Towline → first sync →
//! idle → single commits → a commit to all → a chart on each engine worker → report. `watcher`: many applications in one large
//! repository, on the same stack. `render`: the renderer's library against the real tools. `drift`: objects edited by hand, healed.
//! `secrets`: a release's references, resolved.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark tells people its figures"
)]

mod charts;
mod delivery;
mod drift;
mod fleet;
mod floor;
mod live;
mod render;
mod report;
mod sample;
mod secrets;
mod watcher;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bench", about = "Benchmarks of Towline")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// From a commit to live objects, with many applications in one repository
    Delivery(DeliveryArgs),
    /// From edits by hand to healed objects, and what that asks of the API server
    Drift(DriftArgs),
    /// Charts and overlays, against processes of the real helm and kustomize
    Render(RenderArgs),
    /// A release's secret references, resolved from Vault, beside bare reads of it
    Secrets(SecretsArgs),
    /// From a commit to desired state, with many applications in one large repository
    Watcher(WatcherArgs),
}

#[derive(clap::Args)]
struct DriftArgs {
    /// How many applications, of three objects each
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    /// How many objects are edited, each of another application
    #[arg(long, default_value_t = 100)]
    edits: usize,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Log filter of the services
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log_level: String,
    /// Keep a copy of the services' logs here
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

#[derive(clap::Args)]
struct RenderArgs {
    /// Renders of each case
    #[arg(long, default_value_t = 200)]
    renders: usize,
    /// Engine workers; each is warmed up
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// A chart with all its dependencies, such as argo-cd's, in the place of the generated large one
    #[arg(long, value_name = "DIR")]
    chart: Option<PathBuf>,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(clap::Args)]
struct SecretsArgs {
    /// Placeholders of the release
    #[arg(long, default_value_t = 100)]
    references: usize,
    /// Paths that they are spread over
    #[arg(long, default_value_t = 20)]
    paths: usize,
    /// How often it is asked for
    #[arg(long, default_value_t = 200)]
    questions: usize,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(clap::Args)]
struct WatcherArgs {
    /// How many applications
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    /// How many files the repository has
    #[arg(long, default_value_t = 20_000)]
    files: usize,
    /// How many one-file commits
    #[arg(long, default_value_t = 20)]
    commits: usize,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Log filter of the services
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log_level: String,
    /// Keep a copy of the services' logs here
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

#[derive(clap::Args)]
struct DeliveryArgs {
    /// How many applications; each number is measured by itself
    #[arg(long, value_delimiter = ',', default_value = "10,200")]
    apps: Vec<usize>,
    /// How many one-application commits
    #[arg(long, default_value_t = 20)]
    commits: usize,
    /// How long nothing happens, to see what that costs, in seconds; what comes once a minute is in it
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    idle: u64,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Log filter of the services
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log_level: String,
    /// Keep a copy of the services' logs here
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

fn main() -> ExitCode {
    // The benchmark is also the program that it measures: a copy of it named `towline`. So one `cargo run` is enough.
    let own = std::env::current_exe().unwrap_or_default();
    if own.file_name().is_some_and(|name| name == fleet::PROGRAM) {
        return cli::main();
    }
    let Cli { command } = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match &command {
            Command::Delivery(args) => delivery::run(args, &own).await,
            Command::Drift(args) => drift::run(args, &own).await,
            Command::Render(args) => render::run(args).await,
            Command::Secrets(args) => secrets::run(args, &own).await,
            Command::Watcher(args) => watcher::run(args, &own).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
