//! Benchmarks on the local stack: `bench delivery --apps 10,200`.
//!
//! stack → floor (the same objects by bare applies) → for each number of applications: a fresh Towline → first sync → single
//! commits → a commit to all → report.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark tells people its figures"
)]

mod delivery;
mod fleet;
mod floor;
mod live;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bench", about = "Benchmarks of Towline on the local stack")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// From a commit to live objects, with many applications in one repository
    Delivery(DeliveryArgs),
}

#[derive(clap::Args)]
struct DeliveryArgs {
    /// How many applications; each number is measured by itself
    #[arg(long, value_delimiter = ',', default_value = "10,200")]
    apps: Vec<usize>,
    /// How many one-application commits
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

fn main() -> ExitCode {
    // The benchmark is also the program that it measures: a copy of it named `towline`. So one `cargo run` is enough.
    let own = std::env::current_exe().unwrap_or_default();
    if own.file_name().is_some_and(|name| name == fleet::PROGRAM) {
        return cli::main();
    }
    let Cli {
        command: Command::Delivery(args),
    } = Cli::parse();
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
    match runtime.block_on(delivery::run(&args, &own)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
