//! The files of a chart that a render gets, and which of them are inputs.
//!
//! Helm loads the whole folder. What it can use without being told is always an input; the rest only counts, and is only
//! read, when the chart's text says `Files`. So `values-<environment>.yaml` beside a chart's own files belongs to the
//! environments that name it.

use super::ToolError;
use super::token::Tokens;
use crate::engine::wire::{Bytes, File};
use crate::tree::{Answer, Tree, Walk, join};

/// Files that Helm looks for by name.
const FILES: [&str; 7] = [
    ".helmignore",
    "Chart.lock",
    "Chart.yaml",
    "requirements.lock",
    "requirements.yaml",
    "values.schema.json",
    "values.yaml",
];
/// Folders that Helm uses whole.
const FOLDERS: [&str; 3] = ["charts", "crds", "templates"];

/// A chart as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Chart {
    pub(super) files: Vec<File>,
    pub(super) tokens: Tokens,
}

/// What always counts of the chart in `folder`.
pub(super) fn load(tree: &Tree, folder: &str) -> Result<Chart, ToolError> {
    let mut chart = Chart::default();
    for name in FILES {
        if let Answer::File { data, .. } = tree.at(&join(folder, name))? {
            chart.take(name.to_owned(), data);
        } else if name == "Chart.yaml" {
            return Err(ToolError::MissingFile {
                field: "Helm".to_owned(),
                path: join(folder, name),
            });
        }
    }
    for name in tree.peek(folder)? {
        let counts = name.starts_with("Chart.") || name.starts_with("requirements.");
        if counts
            && !FILES.contains(&name.as_str())
            && let Answer::File { data, .. } = tree.at(&join(folder, &name))?
        {
            chart.take(name, data);
        }
    }
    for name in FOLDERS {
        let below = join(folder, name);
        for leaf in tree.folder(&below, Walk::Following)?.unwrap_or_default() {
            let data = tree.leaf(&below, &leaf)?;
            chart.take(format!("{name}/{}", leaf.name), data);
        }
    }
    // The version of the cluster is compared with it even if no template asks.
    if let Some(file) = chart.files.iter().find(|file| file.name == "Chart.yaml") {
        chart.tokens.capabilities |= file
            .data
            .0
            .windows(b"kubeVersion".len())
            .any(|window| window == b"kubeVersion");
    }
    Ok(chart)
}

impl Chart {
    /// Adds the folder's other files; the whole folder is an input then.
    pub(super) fn load_rest(&mut self, tree: &Tree, folder: &str) -> Result<(), ToolError> {
        for leaf in tree.folder(folder, Walk::Following)?.unwrap_or_default() {
            if !self.files.iter().any(|file| file.name == leaf.name) {
                let data = Bytes(tree.leaf(folder, &leaf)?);
                self.files.push(File {
                    name: leaf.name,
                    data,
                });
            }
        }
        Ok(())
    }

    fn take(&mut self, name: String, data: Vec<u8>) {
        self.tokens.scan_file(&name, &data);
        self.files.push(File {
            name,
            data: Bytes(data),
        });
    }
}
