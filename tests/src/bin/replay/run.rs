//! From the command line to the exit code.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use deploy::Component;
use tests::Engine;
use tests::shelf::Shelf;

use crate::Args;
use crate::changes;
use crate::history::History;
use crate::kind;
use crate::render::Renderer;
use crate::replay::{Oracle, Replay};
use crate::report::{self, Report};

/// Success if nothing was missed.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let history = History::open(&args.repository)?;
    let number = if args.changes.is_some() {
        0
    } else {
        args.commits
    };
    let mut commits = History::commits(&args.repository, &args.revision, number)?.into_iter();
    let Some(first) = commits.next() else {
        bail!("no commit at {}", args.revision);
    };
    let helm = deploy::locate(Component::Helm).await?;
    let renderer = Renderer {
        engine: Engine::start(args.parallel).await?,
        shelf: Shelf::new(&args.chart_repositories, helm)?,
    };
    let oracle = Oracle {
        parallel: args.parallel,
        own: args.own.clone(),
        aside: args.aside.clone(),
    };
    let begun = Instant::now();
    let mut replay = Replay::begin(&history, &renderer, &args.parents, oracle, first).await?;
    println!("{}", report::fleet(&replay));
    println!("rendered twice in {:.1} s", begun.elapsed().as_secs_f64());
    let mut report = Report::default();
    let mut exact = true;
    if let Some(sample) = args.changes {
        exact = changes::value_files(&history, &replay)?;
        changes::sampled(&history, &mut replay, sample, args.seed, &mut report).await?;
    } else {
        let last = commits.len();
        for (number, commit) in commits.enumerate() {
            let whole = (number + 1) % args.every.max(1) == 0 || number + 1 == last;
            let files = history.between(&replay.at().place, &commit.place)?;
            let step = replay.step(&commit, whole).await?;
            let kind = kind::of_commit(&files, &args.parents);
            println!("{}", report.add(&commit, &kind, &step));
        }
    }
    println!("{}\n{}", report.by_kind(), report.totals());
    println!("in {:.0} s", begun.elapsed().as_secs_f64());
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(if report.missed() == 0 && exact {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
