//! The figures, for people and programs.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use tests::usage::Usage;

use crate::sample::Sample;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) workers: usize,
    /// What workers were cut off from.
    pub(crate) confinement: Vec<&'static str>,
    /// The machine's, before and after.
    pub(crate) load: [f64; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) commands: Vec<String>,
    pub(crate) files: usize,
    pub(crate) bytes: usize,
    pub(crate) objects: usize,
    pub(crate) manifests_bytes: usize,
    pub(crate) wanted: Option<f64>,
    pub(crate) ours: Side,
    pub(crate) theirs: Option<Side>,
    /// Of this process, which has the renderer's library in it, and all workers, while the case was rendered.
    pub(crate) peak: Usage,
}

/// Times and CPU seconds of one.
#[derive(Serialize)]
pub(crate) struct Side {
    pub(crate) time: Sample,
    pub(crate) cpu: f64,
}

impl Side {
    pub(crate) fn of(time: Sample, cpu: f64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let cpu = cpu / time.count.max(1) as f64;
        Self { time, cpu }
    }
}

pub(crate) fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "ms", "p50", "wanted", "p95", "CPU", "by hand", "p50", "p95", "CPU", "ratio", "objects",
        "PSS",
    ]);
    for row in &report.rows {
        let mut cells = vec![row.name.clone(), ms(row.ours.time.p50)];
        cells.push(row.wanted.map_or_else(String::new, |wanted| {
            let mark = if row.ours.time.p50 <= wanted {
                "✓"
            } else {
                "✗"
            };
            format!("≤ {} {mark}", ms(wanted))
        }));
        cells.extend([ms(row.ours.time.p95), ms(row.ours.cpu)]);
        cells.push(row.commands.join(" + "));
        cells.extend(row.theirs.as_ref().map_or_else(
            || vec![String::new(); 4],
            |theirs| {
                let ratio = theirs.time.p50 / row.ours.time.p50;
                let [p50, p95, cpu] = [theirs.time.p50, theirs.time.p95, theirs.cpu].map(ms);
                vec![p50, p95, cpu, format!("{ratio:.1} ×")]
            },
        ));
        cells.push(row.objects.to_string());
        cells.push(format!("{:.0} MiB", row.peak.pss_mib));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{table}\n{} workers, confined by {}; load of the machine {:.1} before, {:.1} after",
        report.workers,
        report.confinement.join(", "),
        report.load[0],
        report.load[1]
    )
}

fn ms(seconds: f64) -> String {
    format!("{:.2}", seconds * 1000.0)
}
