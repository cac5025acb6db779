//! What came of it, for people and programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::case::{Case, Kind, Verdict};
use crate::cause;

#[derive(Default, Serialize)]
pub(crate) struct Report {
    pub(crate) repositories: Vec<Repository>,
}

#[derive(Serialize)]
pub(crate) struct Repository {
    #[serde(rename = "repository")]
    pub(crate) folder: String,
    pub(crate) commit: String,
    pub(crate) cases: Vec<Entry>,
}

#[derive(Serialize)]
pub(crate) struct Entry {
    kind: Kind,
    name: String,
    #[serde(flatten)]
    verdict: Verdict,
}

impl Entry {
    pub(crate) fn new(case: &Case, verdict: Verdict) -> Self {
        Self {
            kind: case.kind,
            name: case.name.clone(),
            verdict,
        }
    }

    fn differs(&self) -> bool {
        matches!(
            self.verdict,
            Verdict::Different { .. } | Verdict::OnlyTowlineFails { .. }
        )
    }
}

impl Repository {
    /// A line for each case that isn't the same.
    pub(crate) fn list(&self, verbose: bool) -> String {
        let mut text = format!("# {} at {}\n", self.folder, self.commit);
        for entry in &self.cases {
            let said = match &entry.verdict {
                Verdict::NotCompared { reason } if verbose => format!("not compared: {reason}"),
                Verdict::BothFail { ours, theirs } if verbose => {
                    format!("both fail\n    Towline: {ours}\n    tool: {theirs}")
                }
                Verdict::Same { .. }
                | Verdict::SameButRandom { .. }
                | Verdict::NotCompared { .. }
                | Verdict::BothFail { .. } => continue,
                Verdict::Different { first, differences } => {
                    format!("different in {differences} places\n    {first}")
                }
                Verdict::OnlyTowlineFails { ours } => format!("only Towline fails\n    {ours}"),
                Verdict::OnlyToolFails { theirs } => format!("only the tool fails\n    {theirs}"),
            };
            // Writing to a String doesn't fail.
            let _ = writeln!(text, "{:?} {}: {said}", entry.kind, entry.name);
        }
        text
    }
}

impl Report {
    pub(crate) fn conforms(&self) -> bool {
        let mut cases = self.repositories.iter().flat_map(|of| &of.cases);
        !cases.any(Entry::differs)
    }

    /// How many cases both sides refuse, by what the tool says.
    pub(crate) fn both_fail(&self) -> String {
        let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in self.repositories.iter().flat_map(|of| &of.cases) {
            if let Verdict::BothFail { theirs, .. } = &entry.verdict {
                *causes.entry(cause::of(theirs)).or_default() += 1;
            }
        }
        let lines = causes
            .iter()
            .map(|(cause, count)| format!("{count:>6}  {cause}\n"));
        format!("both fail:\n{}", lines.collect::<String>())
    }

    /// How many cases of each kind came to what, per repository and in all.
    pub(crate) fn totals(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header([
            "repository",
            "kind",
            "same",
            "same but random",
            "different",
            "only Towline fails",
            "only tool fails",
            "both fail",
            "not compared",
            "conform",
        ]);
        for repository in &self.repositories {
            for kind in [Kind::Chart, Kind::Overlay, Kind::Jsonnet, Kind::Application] {
                let of: Vec<&Entry> = (repository.cases.iter())
                    .filter(|entry| entry.kind == kind)
                    .collect();
                if !of.is_empty() {
                    table.add_row(row(&repository.folder, &format!("{kind:?}"), &of));
                }
            }
        }
        let all: Vec<&Entry> = (self.repositories.iter())
            .flat_map(|repository| &repository.cases)
            .collect();
        table.add_row(row("all", "", &all));
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

fn row(repository: &str, kind: &str, entries: &[&Entry]) -> Vec<String> {
    let count =
        |is: fn(&Verdict) -> bool| entries.iter().filter(|entry| is(&entry.verdict)).count();
    let same = count(|verdict| matches!(verdict, Verdict::Same { .. }));
    let random = count(|verdict| matches!(verdict, Verdict::SameButRandom { .. }));
    let different = count(|verdict| matches!(verdict, Verdict::Different { .. }));
    let ours = count(|verdict| matches!(verdict, Verdict::OnlyTowlineFails { .. }));
    let of_tool = same + different + ours;
    let share = match of_tool {
        0 => "–".to_owned(),
        _ => format!("{:.2} %", percent(same, of_tool)),
    };
    vec![
        repository.to_owned(),
        kind.to_lowercase(),
        same.to_string(),
        random.to_string(),
        different.to_string(),
        ours.to_string(),
        count(|verdict| matches!(verdict, Verdict::OnlyToolFails { .. })).to_string(),
        count(|verdict| matches!(verdict, Verdict::BothFail { .. })).to_string(),
        count(|verdict| matches!(verdict, Verdict::NotCompared { .. })).to_string(),
        share,
    ]
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no repository has that many cases"
)]
fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole as f64
}
