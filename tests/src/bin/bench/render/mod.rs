//! The benchmark `render`: the renderer's library against processes of the real tools, on the same files in the same run.
//!
//! `case` (what is rendered; `chart` writes a large one) → `ours` (as the service renders: snapshot → tool → engine → objects →
//! digest, workers warm and confined) and `theirs`, by turns → `report`.

mod case;
mod chart;
mod ours;
mod report;
mod theirs;

use std::time::Instant;

use anyhow::Context;
use tempfile::TempDir;
use tests::usage::{self, Usage};

use crate::RenderArgs;
use crate::sample::{Sample, load};

use case::Case;
use ours::Towline;
use report::{Report, Row, Side};
use theirs::RealTools;

/// Renders of ours for each of theirs.
const OURS_PER_THEIRS: usize = 10;
/// Renders of each worker before anything is measured.
const WARM_UP: usize = 5;

pub(crate) async fn run(args: &RenderArgs) -> anyhow::Result<()> {
    let folder = scratch()?;
    let tools = RealTools::find().await?;
    let cases = case::all(&tools, folder.path(), args.chart.as_deref()).await?;
    let towline = Towline::start(folder.path(), args.workers).await?;
    let load_before = load();
    let mut rows = Vec::new();
    for case in &cases {
        rows.push(measure(args, case, &towline, &tools).await?);
        eprintln!("measured: {}", case.name);
    }
    let report = Report {
        rows,
        workers: args.workers,
        confinement: towline.confinement(),
        load: [load_before, load()],
    };
    println!("{}", report::table(&report));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

async fn measure(
    args: &RenderArgs,
    case: &Case,
    towline: &Towline,
    tools: &RealTools,
) -> anyhow::Result<Row> {
    let source = towline.source(case)?;
    for _ in 0..WARM_UP {
        let all = (0..args.workers).map(|_| towline.render(case, &source));
        futures::future::try_join_all(all).await?;
    }
    theirs::once(tools, case).await?;

    let own = i32::try_from(std::process::id()).context("a process id")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut our_cpu, mut their_cpu) = (0.0, 0.0);
    let mut peak = Usage::default();
    let mut rendered = None;
    while ours.len() < args.renders {
        let before = usage::of(&[own])?;
        for _ in 0..OURS_PER_THEIRS {
            let start = Instant::now();
            let outcome = towline.render(case, &source).await?;
            ours.push(start.elapsed().as_secs_f64());
            let same = rendered.get_or_insert_with(|| outcome.clone());
            anyhow::ensure!(
                *same == outcome,
                "{}: two renders of the same files differ",
                case.name
            );
        }
        let between = usage::of(&[own])?;
        our_cpu += between - before;
        if between.pss_mib > peak.pss_mib {
            peak = between;
        }
        if !case.commands.is_empty() {
            let start = Instant::now();
            theirs::once(tools, case).await?;
            theirs.push(start.elapsed().as_secs_f64());
            their_cpu += usage::of(&[own])? - between;
        }
    }
    let rendered = rendered.unwrap_or_default();
    Ok(Row {
        name: case.name.to_owned(),
        commands: case.commands.iter().map(theirs::shown).collect(),
        files: case.files.len(),
        bytes: case.files.iter().map(|(_, data)| data.len()).sum(),
        objects: rendered.objects,
        manifests_bytes: rendered.bytes,
        wanted: case.wanted,
        ours: Side::of(Sample::of(ours), our_cpu),
        theirs: (!theirs.is_empty()).then(|| Side::of(Sample::of(theirs), their_cpu)),
        peak,
    })
}

/// In memory where that can be, for both sides.
fn scratch() -> anyhow::Result<TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    let base = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    tempfile::Builder::new()
        .prefix("towline-bench-")
        .tempdir_in(&base)
        .with_context(|| format!("making a folder in {}", base.display()))
}
