//! Replay: which applications the watcher would have had rendered for each commit of a repository, and which of them came out
//! otherwise.
//!
//! `history` (commits, or single changes: `changes`) → `fleet` (the Applications of each environment) → `render` (what each comes
//! to, and what it read) → `replay` (the watcher's verdict against rendering everything) → `report`.
//!
//! An application that came out otherwise and wasn't to be rendered is a miss: the program fails then.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it tells people what it found"
)]

mod changes;
mod fleet;
mod history;
mod kind;
mod render;
mod replay;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(
    name = "replay",
    about = "Compares what the watcher has rendered for a commit with what the commit changes"
)]
struct Args {
    /// A checkout or a bare repository; it is only read
    #[arg(long = "repo", value_name = "DIR")]
    repository: PathBuf,
    /// The last commit
    #[arg(long, default_value = "HEAD", value_name = "REV")]
    revision: String,
    /// How many commits, back from there by first parents
    #[arg(long, default_value_t = 200, value_name = "NUMBER")]
    commits: usize,
    /// A chart whose objects are Applications, an environment for each of its `values-<name>.yaml`; may be repeated
    #[arg(long = "apps", value_name = "PATH", required = true)]
    parents: Vec<String>,
    /// Render everything only at each so many-th commit; in between, only the applications whose own folder changed, or for
    /// which something changed outside of --own and --aside
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    every: usize,
    /// A folder in which each application has a folder of its own, for --every
    #[arg(long, value_name = "NAME")]
    own: Vec<String>,
    /// A file or folder that no application reads, for --every
    #[arg(long, value_name = "NAME")]
    aside: Vec<String>,
    /// A Helm repository's URL and the Git repository of its charts, where dependencies are then found; may be repeated
    #[arg(long = "chart-repository", value_name = "URL=DIR")]
    chart_repositories: Vec<tests::shelf::Origin>,
    /// Instead of commits: change each value file of each application, and this many files of each other class
    #[arg(long, value_name = "NUMBER")]
    changes: Option<usize>,
    /// Which files are taken for --changes
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Write the figures of every commit as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Renders at a time
    #[arg(long, default_value_t = 2, value_name = "NUMBER")]
    parallel: usize,
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
