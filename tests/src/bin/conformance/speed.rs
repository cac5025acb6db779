//! How long both sides take for the same Applications, a few at a time: Towline from new workers on and once more, the real tools
//! with their charts' dependencies in place.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bus::Digest;
use comfy_table::{Table, presets};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tests::shelf::Shelf;
use tests::usage::{self, Usage};

use crate::Args;
use crate::case::Case;
use crate::checkout::Checkout;
use crate::ours::Towline;
use crate::run::{Applications, applications};
use crate::theirs::RealTools;

/// How often memory is looked at. A look takes milliseconds, which count as work of ours.
const SAMPLED: Duration = Duration::from_millis(250);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Speed {
    cases: usize,
    /// Of those that were found, the ones that a side refuses.
    left_out: usize,
    parallel: usize,
    cold: Pass,
    warm: Pass,
    tools: Pass,
    /// The machine's, before each of the three.
    load: [f64; 3],
}

/// All cases, once.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pass {
    seconds: f64,
    cpu_seconds: f64,
    /// Of this process, which has the renderer's library in it, and of all its children.
    peak_pss_mib: f64,
}

pub(crate) async fn run(
    args: &Args,
    tools: &RealTools,
    shelf: &Arc<Shelf>,
) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    for repository in &args.repositories {
        let speed = one_repository(args, repository, tools, shelf).await?;
        println!("# {}\n{}", repository.display(), table(&speed));
        all.push(speed);
    }
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn one_repository(
    args: &Args,
    repository: &Path,
    tools: &RealTools,
    shelf: &Arc<Shelf>,
) -> anyhow::Result<Speed> {
    let checkout = Checkout::new(repository, &args.revision)?;
    let Applications {
        parents, children, ..
    } = applications(args, &checkout, tools).await?;
    let found: Vec<Case> = parents.into_iter().chain(children).collect();
    let total = found.len();
    let cases = rendered_by_both(args, found, &checkout, tools, shelf).await?;

    // Nothing that was read, and no worker, is there any more.
    let fresh = Checkout::new(repository, &args.revision)?;
    let towline = Towline::start(args.parallel, Arc::clone(shelf)).await?;
    let ours = Side::Towline(&towline, &fresh);
    let theirs = Side::Tools(tools, &checkout);
    let mut load = [load(); 3];
    let cold = pass(&cases, args.parallel, &ours).await?;
    load[1] = self::load();
    let warm = pass(&cases, args.parallel, &ours).await?;
    load[2] = self::load();
    let tools = pass(&cases, args.parallel, &theirs).await?;
    Ok(Speed {
        cases: cases.len(),
        left_out: total - cases.len(),
        parallel: args.parallel,
        cold,
        warm,
        tools,
        load,
    })
}

/// The cases that are fit to be timed; the tools' dependencies are in place then, and the shelf has all that is asked for.
async fn rendered_by_both(
    args: &Args,
    found: Vec<Case>,
    checkout: &Checkout,
    tools: &RealTools,
    shelf: &Arc<Shelf>,
) -> anyhow::Result<Vec<Case>> {
    let towline = Towline::start(args.parallel, Arc::clone(shelf)).await?;
    let mut cases = Vec::with_capacity(found.len());
    for case in found {
        let theirs = tools.prepare(&case, checkout).await?;
        let ours = towline.render(&case, checkout).await?;
        match theirs.and(ours) {
            Ok(_) => cases.push(case),
            Err(error) => eprintln!("left out: {}: {error:.300}", case.name),
        }
    }
    Ok(cases)
}

/// What renders.
enum Side<'a> {
    Towline(&'a Towline, &'a Checkout),
    Tools(&'a RealTools, &'a Checkout),
}

impl Side<'_> {
    /// Ours as the service does it, to the digest of the objects; theirs to the end of what they print.
    async fn render(&self, case: &Case) -> anyhow::Result<()> {
        match self {
            Self::Towline(towline, checkout) => {
                let rendered = towline.rendered(case, checkout).await?;
                let rendered = rendered.map_err(anyhow::Error::msg)?;
                let json = renderer::json(&rendered.objects)?;
                std::hint::black_box(Digest::of(json.as_bytes()));
            }
            Self::Tools(tools, checkout) => {
                let length = tools.print(case, checkout).await?;
                std::hint::black_box(length);
            }
        }
        Ok(())
    }
}

async fn pass(cases: &[Case], parallel: usize, side: &Side<'_>) -> anyhow::Result<Pass> {
    let own = i32::try_from(std::process::id()).context("a process id")?;
    let before = usage::of(&[own])?;
    let begun = Instant::now();
    let all = futures::stream::iter(cases)
        .map(|case| side.render(case))
        .buffer_unordered(parallel.max(1))
        .try_for_each(|()| async { Ok(()) });
    tokio::pin!(all);
    let mut peak = 0_f64;
    let look = |peak: &mut f64| -> anyhow::Result<Usage> {
        let at = usage::of(&[own])?;
        *peak = peak.max(at.pss_mib);
        Ok(at)
    };
    loop {
        tokio::select! {
            done = &mut all => break done?,
            () = tokio::time::sleep(SAMPLED) => {
                look(&mut peak)?;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let at = look(&mut peak)?;
    Ok(Pass {
        seconds,
        cpu_seconds: at - before,
        peak_pss_mib: peak,
    })
}

fn table(speed: &Speed) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "",
        "seconds",
        "ratio",
        "CPU seconds",
        "ratio",
        "peak PSS",
        "load before",
    ]);
    let rows = [
        ("Towline, new workers", speed.cold),
        ("Towline, warm", speed.warm),
        ("loop of the real tools", speed.tools),
    ];
    for ((name, pass), load) in rows.into_iter().zip(speed.load) {
        let tools = speed.tools;
        table.add_row([
            name.to_owned(),
            format!("{:.1}", pass.seconds),
            format!("{:.1} ×", tools.seconds / pass.seconds),
            format!("{:.1}", pass.cpu_seconds),
            format!("{:.1} ×", tools.cpu_seconds / pass.cpu_seconds),
            format!("{:.0} MiB", pass.peak_pss_mib),
            format!("{load:.1}"),
        ]);
    }
    format!(
        "{table}\n{} applications, {} at a time; {} that a side refuses left out",
        speed.cases, speed.parallel, speed.left_out
    )
}

/// How busy the machine is: `/proc/loadavg`, the first of its numbers.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|it| it.parse().ok()).unwrap_or_default()
}
