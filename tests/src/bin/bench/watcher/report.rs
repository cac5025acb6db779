//! The figures, for people and programs.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use tests::usage::Usage;

use crate::sample::Sample;

/// What the issue asks for.
const PUBLISHED_SECONDS: f64 = 0.1;
const MEMORY_MIB: f64 = 150.0;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) apps: usize,
    pub(crate) files: usize,
    pub(crate) first_start: FirstStart,
    pub(crate) noticed_to_fetched: Sample,
    /// By the watcher's own times.
    pub(crate) fetched_to_published: Sample,
    /// Until a subscriber had it.
    pub(crate) fetched_to_on_bus: Sample,
    /// Of the watcher, in seconds.
    pub(crate) cpu_per_commit: f64,
    /// The watcher's.
    pub(crate) memory_after_start: Usage,
    pub(crate) memory_after_commits: Usage,
    /// With its workers, at the end.
    pub(crate) renderer: Usage,
    /// The machine's, before and after.
    pub(crate) load: [f64; 2],
}

/// With an empty broker and Applications that were there before; in milliseconds, each until the last of all was on the bus.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FirstStart {
    /// Since `towline up` was run.
    pub(crate) launched: u64,
    /// Since the watcher saw the first Application.
    pub(crate) first_seen: u64,
    /// Since the repository was fetched.
    pub(crate) fetched: u64,
}

pub(crate) fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        format!("{} applications, {} files", report.apps, report.files),
        "median".to_owned(),
        "max".to_owned(),
        "wanted".to_owned(),
    ]);
    let mut row = |name: &str, figure: String, max: String, wanted: String| {
        table.add_row([name.to_owned(), figure, max, wanted]);
    };
    let none = String::new;
    let start = &report.first_start;
    for (name, millis) in [
        ("first start: `towline up` → all published", start.launched),
        ("… first Application seen → all published", start.first_seen),
        ("… fetched → all published", start.fetched),
    ] {
        row(name, format!("{millis} ms"), none(), none());
    }
    for (name, sample, wanted) in [
        (
            "one commit: noticed → fetched",
            &report.noticed_to_fetched,
            None,
        ),
        (
            "… fetched → published",
            &report.fetched_to_published,
            Some(PUBLISHED_SECONDS),
        ),
        (
            "… fetched → a subscriber has it",
            &report.fetched_to_on_bus,
            Some(PUBLISHED_SECONDS),
        ),
    ] {
        row(
            name,
            ms(sample.p50),
            ms(sample.max),
            wanted.map_or_else(none, |wanted| judged(sample.max, wanted, &ms(wanted))),
        );
    }
    row(
        "… the watcher's CPU",
        ms(report.cpu_per_commit),
        none(),
        none(),
    );
    for (name, usage) in [
        (
            "watcher after the start: RSS, PSS",
            &report.memory_after_start,
        ),
        (
            "watcher after the commits: RSS, PSS",
            &report.memory_after_commits,
        ),
    ] {
        row(
            name,
            mib(usage.rss_mib),
            mib(usage.pss_mib),
            judged(usage.rss_mib, MEMORY_MIB, &mib(MEMORY_MIB)),
        );
    }
    row(
        "renderer and workers: RSS, PSS",
        mib(report.renderer.rss_mib),
        mib(report.renderer.pss_mib),
        none(),
    );
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{table}\nload of the machine {:.1} before, {:.1} after",
        report.load[0], report.load[1]
    )
}

fn judged(figure: f64, limit: f64, shown: &str) -> String {
    format!("≤ {shown} {}", if figure <= limit { "✓" } else { "✗" })
}

fn ms(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1000.0)
}

fn mib(mib: f64) -> String {
    format!("{mib:.0} MiB")
}
