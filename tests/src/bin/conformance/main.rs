//! Conformance: what Towline renders against what `helm template` and `kustomize build` print, on real repositories.
//!
//! `checkout` (a revision's files) → `find` (charts, overlays, Applications: `case`s) → `ours` and `theirs` → `compare` (and
//! what the tool itself draws at random) → `report`.
//!
//! Both take chart dependencies that would come over the network from the `shelf`, if the command line fills it.
//!
//! `speed` times both sides instead of comparing them.
//!
//! The real tools run without network: a case that needs it fails there, and counts apart.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it tells people what it found"
)]

mod argo;
mod case;
mod cause;
mod checkout;
mod compare;
mod find;
mod folder;
mod glob;
mod kept;
mod ours;
mod report;
mod run;
mod speed;
mod theirs;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(
    name = "conformance",
    about = "Compares Towline's renders with those of the real helm and kustomize"
)]
struct Args {
    /// A checkout or a bare repository; may be repeated
    #[arg(long = "repo", required = true, value_name = "DIR")]
    repositories: Vec<PathBuf>,
    /// The revision of each of them
    #[arg(long, default_value = "HEAD", value_name = "REV")]
    revision: String,
    /// A URL that Applications know a repository by; what they take from other repositories is not compared
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// A chart whose objects are Applications, rendered with each of its value files; may be repeated
    #[arg(long = "apps", value_name = "PATH")]
    parents: Vec<String>,
    /// A Helm repository's URL and the Git repository of its charts, where both sides then find them; may be repeated
    #[arg(long = "chart-repository", value_name = "URL=DIR")]
    chart_repositories: Vec<tests::shelf::Origin>,
    /// Render each overlay a second time, with options as an Application can have them
    #[arg(long)]
    options: bool,
    /// The `jsonnet` of google/go-jsonnet; without it Jsonnet is not compared
    #[arg(long, value_name = "FILE")]
    jsonnet: Option<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write every case as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Cases at a time
    #[arg(long, default_value_t = 2, value_name = "NUMBER")]
    parallel: usize,
    /// Instead of comparing: how long each side takes for all Applications that both render, and what memory Towline has then
    #[arg(long)]
    speed: bool,
    /// List the cases that both sides refuse, too
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
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
    match runtime.block_on(run::run(&args)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
