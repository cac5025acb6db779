//! `towline demo`: a local stack, a deploy repository, and what happens to its commits.
//!
//! repository → stack and services → secret → steps (a) to (e) → stays until Ctrl-C, or ends with `--exit`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "showing is what the demo is for"
)]

mod repository;
mod show;
mod stage;
mod steps;
mod vault;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;

use crate::signal::Stop;
use crate::up::{Towline, UpArgs};
use repository::Repository;
use stage::Stage;

/// Options of `towline demo`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End after the last step, with 0 only if every step held
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    up: UpArgs,
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::listen()?;
    let mut components = deploy::StackOptions::all().components();
    components.push(deploy::Component::Engine);
    deploy::prepare(&components).await?;
    let begun = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("towline-demo-")
        .tempdir()
        .context("making a work folder")?;
    println!("starting NATS, Kubernetes, Vault and the five services …");
    let started = async {
        let (repository, towline) =
            tokio::join!(Repository::create(folder.path()), Towline::start(args.up));
        let towline = towline?;
        anyhow::Ok((repository?, towline))
    };
    let (repository, towline) = tokio::select! {
        started = started => started?,
        () = stop.wait() => return Ok(ExitCode::FAILURE),
    };
    println!(
        "ready after {:.1} s; the page is {}\n",
        begun.elapsed().as_secs_f32(),
        towline.state.monitor
    );
    crate::output::services(&towline.state);

    let shown = tokio::select! {
        shown = show_all(&towline, repository, begun) => shown,
        () = stop.wait() => Err(anyhow::anyhow!("stopped")),
    };
    let code = match &shown {
        Ok(()) => {
            println!(
                "\nevery step held, {:.1} s after the start",
                begun.elapsed().as_secs_f32()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            show::failed(&format!("{error:#}"));
            eprintln!("logs: {}", towline.state.logs.display());
            ExitCode::FAILURE
        }
    };
    if !args.exit {
        println!(
            "\nlook around: {}   (towline get, towline history night-log-summit, towline events --follow)",
            towline.state.monitor
        );
        println!("Ctrl-C ends it all");
        towline.until(stop.wait()).await?;
    }
    towline.stop().await?;
    Ok(code)
}

async fn show_all(towline: &Towline, repository: Repository, begun: Instant) -> anyhow::Result<()> {
    if let Some(local) = &towline.stack.vault {
        vault::write_secret(local).await?;
    }
    let stage = Stage::set(towline, repository).await?;
    steps::all_healthy(&stage, begun).await?;
    steps::one_change(&stage, begun).await?;
    steps::bad_release(&stage).await?;
    steps::hand_edit(&stage).await?;
    steps::rollback(&stage).await
}
