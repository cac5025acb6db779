//! The figures, for people and programs.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use tests::usage::Usage;

/// What is asked for, in seconds, CPU seconds and multiples.
const COMMIT_SECONDS: f64 = 0.15;
const COMMIT_CPU: f64 = 0.05;
/// One commit costs the same whatever the number of applications: the most against the least.
const RATIO: f64 = 1.5;
const FIRST_FLOORS: f64 = 3.0;
const ALL_FLOORS: f64 = 1.5;
const BEYOND_FLOOR: f64 = 0.3;
const SETTLED: f64 = 2.0;
/// Of one core.
const IDLE_CPU: f64 = 0.005;
/// MiB, with up to so many applications.
const MEMORY: [(usize, f64); 2] = [(200, 150.0), (1000, 300.0)];

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
    pub(crate) single: Commit,
    pub(crate) all: Phase,
    /// Engine workers, each of which has rendered a chart at the end.
    pub(crate) workers: usize,
    /// The five services and NATS.
    pub(crate) processes: Vec<Process>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Phase {
    /// Until all objects were live.
    pub(crate) seconds: f64,
    /// Until every status said so, after that.
    pub(crate) settled_after: f64,
    /// CPU seconds of all processes.
    pub(crate) cpu: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Commit {
    pub(crate) median: f64,
    pub(crate) max: f64,
    /// The longest from live to a settled status.
    pub(crate) settled_max: f64,
    pub(crate) all: Vec<f64>,
}

/// A process with its children.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    pub(crate) name: String,
    /// CPU seconds per second while nothing happens.
    pub(crate) idle_cpu: f64,
    /// CPU seconds of one commit.
    pub(crate) commit_cpu: f64,
    /// At the end.
    pub(crate) usage: Usage,
}

impl Fleet {
    fn sum(&self, of: impl Fn(&Process) -> f64) -> f64 {
        self.processes.iter().map(of).sum()
    }

    fn memory_limit(&self) -> f64 {
        let limit = MEMORY.iter().find(|(apps, _)| self.apps <= *apps);
        limit.map_or(f64::INFINITY, |(_, limit)| *limit)
    }
}

type Row<'r> = (&'r str, &'r str, &'r dyn Fn(&Fleet) -> String);

pub(crate) fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let fleets = report.fleets.iter();
    let heads = fleets.map(|fleet| format!("{} applications", fleet.apps));
    let wanted = "wanted".to_owned();
    table.set_header([String::new()].into_iter().chain(heads).chain([wanted]));
    let rows: [Row<'_>; 14] = [
        ("floor: 3 N bare applies", "", &|fleet| {
            format!("{:.2} s", fleet.floor)
        }),
        ("first sync, all live", "≤ 3 × floor + 0.3 s", &|fleet| {
            against_floor(fleet, &fleet.first_sync, FIRST_FLOORS)
        }),
        ("… status settled after", "≤ 2 s", &|fleet| {
            judged(fleet.first_sync.settled_after, SETTLED, "s")
        }),
        ("… CPU", "", &|fleet| {
            format!("{:.2} s", fleet.first_sync.cpu)
        }),
        ("one commit → live, median", "≤ 0.15 s", &|fleet| {
            judged(fleet.single.median, COMMIT_SECONDS, "s")
        }),
        ("… max", "", &|fleet| format!("{:.3} s", fleet.single.max)),
        ("… against the least", "≤ 1.5", &|fleet| {
            against_least(report, fleet, |fleet| fleet.single.median)
        }),
        ("… CPU each", "≤ 0.05 s", &|fleet| {
            judged(fleet.sum(|it| it.commit_cpu), COMMIT_CPU, "s")
        }),
        ("… CPU against the least", "≤ 1.5", &|fleet| {
            against_least(report, fleet, |fleet| fleet.sum(|it| it.commit_cpu))
        }),
        ("… status settled after, max", "≤ 2 s", &|fleet| {
            judged(fleet.single.settled_max, SETTLED, "s")
        }),
        (
            "commit to all → live",
            "≤ 1.5 × floor + 0.3 s",
            &|fleet| against_floor(fleet, &fleet.all, ALL_FLOORS),
        ),
        ("… status settled after", "≤ 2 s", &|fleet| {
            judged(fleet.all.settled_after, SETTLED, "s")
        }),
        ("idle, of one core", "≤ 0.5 %", &|fleet| {
            let idle = fleet.sum(|it| it.idle_cpu);
            format!("{:.2} % {}", idle * 100.0, mark(idle, IDLE_CPU))
        }),
        ("memory in all (PSS)", "≤ 150, 300 MiB", &|fleet| {
            let memory = fleet.sum(|it| it.usage.pss_mib);
            judged(memory, fleet.memory_limit(), "MiB")
        }),
    ];
    for (name, wanted, figure) in rows {
        let figures = report.fleets.iter().map(figure);
        let wanted = wanted.to_owned();
        table.add_row([name.to_owned()].into_iter().chain(figures).chain([wanted]));
    }
    let processes = report.fleets.first().map_or(&[][..], |it| &it.processes);
    for (index, process) in processes.iter().enumerate() {
        let figures = report.fleets.iter().map(|fleet| {
            let process = fleet.processes.get(index);
            process.map_or_else(String::new, |it| {
                format!(
                    "{:.1} ms, {:.2} %, {:.0} MiB, {:.2} s",
                    it.commit_cpu * 1000.0,
                    it.idle_cpu * 100.0,
                    it.usage.pss_mib,
                    it.usage.cpu_seconds
                )
            })
        });
        let name = format!("… {}", process.name);
        let what = "commit, idle, PSS, CPU in all".to_owned();
        table.add_row([name].into_iter().chain(figures).chain([what]));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A figure, as a multiple of the least that a fleet has.
fn against_least(report: &Report, fleet: &Fleet, figure: impl Fn(&Fleet) -> f64) -> String {
    let least = report
        .fleets
        .iter()
        .map(&figure)
        .fold(f64::INFINITY, f64::min);
    let ratio = figure(fleet) / least;
    format!("{ratio:.2} {}", mark(ratio, RATIO))
}

fn against_floor(fleet: &Fleet, phase: &Phase, floors: f64) -> String {
    let limit = fleet.floor * floors + BEYOND_FLOOR;
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
