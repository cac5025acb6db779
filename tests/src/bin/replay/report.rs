//! What came of it, for people and programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::fleet::Key;
use crate::history::Commit;
use crate::render::Outcome;
use crate::replay::{Replay, Step};

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    steps: Vec<Entry>,
    total: Figures,
    /// By the kind of what was changed: how many steps, and what they came to.
    kinds: BTreeMap<String, (usize, Figures)>,
}

#[derive(Serialize)]
struct Entry {
    commit: String,
    subject: String,
    kind: String,
    applications: usize,
    #[serde(flatten)]
    figures: Figures,
    missed_applications: Vec<String>,
}

#[derive(Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    rendered: usize,
    changed: usize,
    missed: usize,
    failing: usize,
    random: usize,
    compared: usize,
}

impl From<&Step> for Figures {
    fn from(step: &Step) -> Self {
        Self {
            rendered: step.rendered.len(),
            changed: step.changed.len(),
            missed: step.missed.len(),
            failing: step.failing.len(),
            random: step.random.len(),
            compared: step.compared,
        }
    }
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.rendered += other.rendered;
        self.changed += other.changed;
        self.missed += other.missed;
        self.failing += other.failing;
        self.random += other.random;
        self.compared += other.compared;
    }
}

impl Report {
    /// Takes a step in, and gives its line. `kind`: of the files that it changes.
    pub(crate) fn add(&mut self, commit: &Commit, kind: &str, step: &Step) -> String {
        let figures = Figures::from(step);
        self.total += figures;
        let (steps, of_kind) = self.kinds.entry(kind.to_owned()).or_default();
        *steps += 1;
        *of_kind += figures;
        let mut line = format!(
            "{:.8}  {:>4} applications  {:>4} rendered  {:>4} changed  {:>3} missed  {:.60}",
            commit.place.id,
            step.applications,
            figures.rendered,
            figures.changed,
            figures.missed,
            commit.subject,
        );
        for key in &step.missed {
            // Writing to a String can't fail.
            let _ = write!(line, "\n          missed: {key}");
        }
        self.steps.push(Entry {
            commit: commit.place.id.to_string(),
            subject: commit.subject.clone(),
            kind: kind.to_owned(),
            applications: step.applications,
            figures,
            missed_applications: step.missed.iter().map(Key::to_string).collect(),
        });
        line
    }

    pub(crate) fn missed(&self) -> usize {
        self.total.missed
    }

    /// What the changes of each kind came to.
    pub(crate) fn by_kind(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header([
            "changed",
            "steps",
            "rendered",
            "came out otherwise",
            "ratio",
            "missed",
        ]);
        for (kind, (steps, figures)) in &self.kinds {
            let ratio = match figures.rendered {
                0 => "–".to_owned(),
                _ => format!("{:.2}", of(*figures)),
            };
            table.add_row([
                kind.clone(),
                steps.to_string(),
                figures.rendered.to_string(),
                figures.changed.to_string(),
                ratio,
                figures.missed.to_string(),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    pub(crate) fn totals(&self) -> String {
        let total = self.total;
        let rendering: Vec<&Entry> = (self.steps.iter())
            .filter(|step| step.figures.rendered > 0)
            .collect();
        let worst = rendering
            .iter()
            .filter(|step| step.figures.changed > 0)
            .max_by(|one, other| of(one.figures).total_cmp(&of(other.figures)));
        let in_vain = rendering
            .iter()
            .filter(|step| step.figures.changed == 0)
            .count();
        let mut text = format!(
            "{} steps ({} with renders, {in_vain} of them without a change), compared with {} renders:\n\
             {} rendered, {} of them changed: ratio {:.3}; {} missed\n\
             apart: {} renders of applications that fail or wait before and after, {} of applications that are random",
            self.steps.len(),
            rendering.len(),
            total.compared,
            total.rendered,
            total.changed,
            of(total),
            total.missed,
            total.failing,
            total.random,
        );
        if let Some(step) = worst {
            let _ = write!(
                text,
                "\nworst ratio: {:.2} ({} rendered, {} changed) at {:.8} {}",
                of(step.figures),
                step.figures.rendered,
                step.figures.changed,
                step.commit,
                step.subject
            );
        }
        text
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no replay has that many renders"
)]
fn of(figures: Figures) -> f64 {
    figures.rendered as f64 / figures.changed.max(1) as f64
}

/// What the fleet is, and which of it can't take part.
pub(crate) fn fleet(replay: &Replay<'_>) -> String {
    let (mut count, mut environments) = (0_usize, BTreeSet::new());
    let mut waiting: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut failed = Vec::new();
    for (key, _, outcome) in replay.applications() {
        count += 1;
        environments.insert(&key.environment);
        match outcome {
            Outcome::Manifests(_) => {}
            Outcome::Failed(error) => failed.push(format!("  {key}: {error:.200}")),
            Outcome::Waits(_) => {
                let app = key.app.clone().unwrap_or_default();
                waiting
                    .entry(app)
                    .or_default()
                    .push(key.environment.clone());
            }
        }
    }
    let waits: usize = waiting.values().map(Vec::len).sum();
    let mut text = format!(
        "{count} applications in {} environments (their parents among them)\n\
         {waits} wait for what can't be fetched here:",
        environments.len()
    );
    for (app, environments) in &waiting {
        let _ = write!(text, " {app} ({}),", environments.len());
    }
    text.truncate(text.trim_end_matches(',').len());
    let _ = write!(text, "\n{} fail", failed.len());
    for line in failed {
        text.push('\n');
        text.push_str(&line);
    }
    let random: Vec<String> = replay.random().iter().map(Key::to_string).collect();
    let _ = write!(text, "\n{} are random: {}", random.len(), random.join(", "));
    text
}
