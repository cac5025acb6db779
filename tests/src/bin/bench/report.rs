//! The figures, for people and programs.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use tests::usage::Usage;

/// What the issue asks for.
const COMMIT_SECONDS: f64 = 0.3;
const COMMIT_CPU: f64 = 0.2;
const FLOORS: f64 = 4.0;
const BEYOND_FLOOR: f64 = 0.5;
const SETTLED: f64 = 2.0;
const MEMORY: f64 = 250.0;

#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) fleets: Vec<Fleet>,
}

/// All figures of one number of applications. Times in seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fleet {
    pub(crate) apps: usize,
    pub(crate) floor: f64,
    /// Until the API server had all Applications; part of the first sync.
    pub(crate) created: f64,
    pub(crate) first_sync: Phase,
    /// CPU seconds per second while nothing happens.
    pub(crate) idle_cpu: f64,
    pub(crate) single: Commit,
    pub(crate) all: Phase,
    pub(crate) memory: Vec<(String, Usage)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Phase {
    /// Until all objects were live.
    pub(crate) seconds: f64,
    /// Until every status said so, after that.
    pub(crate) settled_after: f64,
    /// CPU seconds of the services, workers and NATS.
    pub(crate) cpu: f64,
    /// At its end.
    pub(crate) usage: Usage,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Commit {
    pub(crate) median: f64,
    pub(crate) max: f64,
    /// The longest from live to a settled status.
    pub(crate) settled_max: f64,
    /// CPU seconds of one.
    pub(crate) cpu: f64,
    pub(crate) usage: Usage,
    pub(crate) all: Vec<f64>,
}

pub(crate) fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let mut head = vec![String::new()];
    head.extend(
        report
            .fleets
            .iter()
            .map(|fleet| format!("{} applications", fleet.apps)),
    );
    head.push("wanted at 200".to_owned());
    table.set_header(head);
    let mut row = |name: &str, wanted: &str, figure: &dyn Fn(&Fleet) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(report.fleets.iter().map(figure));
        cells.push(wanted.to_owned());
        table.add_row(cells);
    };
    row("floor: 3 N bare applies", "", &|fleet| {
        format!("{:.2} s", fleet.floor)
    });
    row("first sync, all live", "≤ 4 × floor + 0.5 s", &|fleet| {
        against_floor(fleet, &fleet.first_sync)
    });
    row("… status settled after", "≤ 2 s", &|fleet| {
        judged(fleet.first_sync.settled_after, SETTLED, "s")
    });
    row("… CPU", "", &|fleet| {
        format!("{:.2} s", fleet.first_sync.cpu)
    });
    row("one commit → live, median", "≤ 0.3 s", &|fleet| {
        judged(fleet.single.median, COMMIT_SECONDS, "s")
    });
    row("… max", "", &|fleet| format!("{:.3} s", fleet.single.max));
    row("… CPU each", "≤ 0.2 s", &|fleet| {
        judged(fleet.single.cpu, COMMIT_CPU, "s")
    });
    row("… status settled after, max", "≤ 2 s", &|fleet| {
        judged(fleet.single.settled_max, SETTLED, "s")
    });
    row(
        "commit to all → live",
        "≤ 4 × floor + 0.5 s",
        &|fleet| against_floor(fleet, &fleet.all),
    );
    row("… status settled after", "≤ 2 s", &|fleet| {
        judged(fleet.all.settled_after, SETTLED, "s")
    });
    row("… CPU", "", &|fleet| format!("{:.2} s", fleet.all.cpu));
    row("idle CPU per second", "", &|fleet| {
        format!("{:.3} s", fleet.idle_cpu)
    });
    row("resident in all (RSS)", "≤ 250 MiB", &|fleet| {
        judged(fleet.all.usage.rss_mib, MEMORY, "MiB")
    });
    row("resident in all (PSS)", "", &|fleet| {
        format!("{:.0} MiB", fleet.all.usage.pss_mib)
    });
    for index in 0..report.fleets.first().map_or(0, |fleet| fleet.memory.len()) {
        let name = format!("… {} (RSS, CPU in all)", report.fleets[0].memory[index].0);
        row(&name, "", &|fleet| {
            fleet
                .memory
                .get(index)
                .map_or_else(String::new, |(_, usage)| {
                    format!("{:.0} MiB, {:.2} s", usage.rss_mib, usage.cpu_seconds)
                })
        });
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn against_floor(fleet: &Fleet, phase: &Phase) -> String {
    let limit = fleet.floor * FLOORS + BEYOND_FLOOR;
    format!(
        "{:.2} s = {:.1} × floor {}",
        phase.seconds,
        phase.seconds / fleet.floor,
        mark(phase.seconds, limit)
    )
}

fn judged(figure: f64, limit: f64, unit: &str) -> String {
    let digits = if figure < 10.0 { 3 } else { 0 };
    format!("{figure:.digits$} {unit} {}", mark(figure, limit))
}

fn mark(figure: f64, limit: f64) -> &'static str {
    if figure <= limit { "✓" } else { "✗" }
}
