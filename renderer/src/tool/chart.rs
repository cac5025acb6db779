//! The files of a chart that a render gets, and which of them are inputs.
//!
//! Helm loads the whole folder. What it can use without being told is always an input; of the rest only what templates ask for
//! (`.Files.Get`, `.Files.Glob`), or all of it when the chart's text says `Files` in another way. So `values-<environment>.yaml` beside a chart's own files belongs to the
//! environments that name it.

use super::ToolError;
use super::archive::{self, Budget};
use super::requirement::identity;
use super::token::{Tokens, Use, is_text_of_a_chart};
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
    packed: Vec<(String, Option<(String, String)>)>,
    budget: Budget,
}

/// A chart in a chart's `charts/` folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vendored {
    pub(super) name: String,
    pub(super) version: String,
    /// Its folder or file in the chart.
    pub(super) path: String,
    pub(super) packed: bool,
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

/// The files of the chart in `folder` that [`load`] leaves out; the whole folder is an input then.
pub(super) fn rest(tree: &Tree, folder: &str) -> Result<Vec<File>, ToolError> {
    let mut files = Vec::new();
    for leaf in tree.folder(folder, Walk::Following)?.unwrap_or_default() {
        if !is_part(&leaf.name) {
            let data = Bytes(tree.leaf(folder, &leaf)?);
            files.push(File {
                name: leaf.name,
                data,
            });
        }
    }
    Ok(files)
}

/// Whether a file of a chart's folder always counts.
pub(super) fn is_part(name: &str) -> bool {
    match name.split_once('/') {
        Some((folder, _)) => FOLDERS.contains(&folder),
        None => {
            FILES.contains(&name) || name.starts_with("Chart.") || name.starts_with("requirements.")
        }
    }
}

impl Chart {
    /// Adds the folder's other files if the chart's text says `Files`; the whole folder is an input then.
    pub(super) fn load_rest(&mut self, tree: &Tree, folder: &str) -> Result<(), ToolError> {
        if self.tokens.files == Use::Nothing {
            return Ok(());
        }
        for file in rest(tree, folder)? {
            // Templates may be in it, for `tpl`.
            self.tokens.scan(&file.data.0);
            self.files.push(file);
        }
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> Option<&[u8]> {
        let file = self.files.iter().find(|file| file.name == name)?;
        Some(&file.data.0)
    }

    /// The charts in its `charts/` folder that Helm would load.
    pub(super) fn vendored(&self) -> Vec<Vendored> {
        let folders = self.files.iter().filter_map(|file| {
            let path = file.name.strip_suffix("/Chart.yaml")?;
            let folder = path.strip_prefix("charts/")?;
            let counts = !folder.contains('/') && !folder.starts_with(['_', '.']);
            let identity = counts.then(|| identity(&file.data.0))??;
            Some((path, identity, false))
        });
        let packed = self.packed.iter().filter_map(|(path, identity)| {
            let counts = !path.starts_with("charts/_") && !path.starts_with("charts/.");
            counts.then_some((path.as_str(), identity.clone()?, true))
        });
        folders
            .chain(packed)
            .map(|(path, (name, version), packed)| Vendored {
                name,
                version,
                path: path.to_owned(),
                packed,
            })
            .collect()
    }

    /// Takes a vendored chart away.
    pub(super) fn remove(&mut self, path: &str) {
        self.files.retain(|file| !is_at(&file.name, path));
    }

    pub(super) fn take(&mut self, name: String, data: Vec<u8>) {
        let identity = self.scan(&name, &data);
        let below = name.strip_prefix("charts/").unwrap_or_default();
        if is_packed(&name) && !below.is_empty() && !below.contains('/') {
            self.packed.push((name.clone(), identity));
        }
        self.files.push(File {
            name,
            data: Bytes(data),
        });
    }

    /// Notes what a file of a chart, or a chart packed into it, says; and which it is, if it is a package.
    pub(super) fn scan(&mut self, name: &str, data: &[u8]) -> Option<(String, String)> {
        if is_packed(name) {
            let (tokens, identity) = look_into(data, &mut self.budget);
            self.tokens.add(tokens);
            return identity;
        }
        self.tokens.scan_file(name, data);
        None
    }
}

/// Whether a file is what is at a path, or below it.
fn is_at(file: &str, path: &str) -> bool {
    file.strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_packed(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension == Some("tgz")
}

/// What a packaged chart says, and which it is.
fn look_into(data: &[u8], budget: &mut Budget) -> (Tokens, Option<(String, String)>) {
    let Some(files) = archive::files(data, budget, |name| {
        is_text_of_a_chart(name) || is_packed(name)
    }) else {
        return (Tokens::ALL, None);
    };
    let mut tokens = Tokens::default();
    let mut found = None;
    for (name, data) in files {
        if is_packed(&name) {
            // A package in a package is looked at by Helm alone.
            tokens = Tokens::ALL;
        } else {
            tokens.scan_file(&name, &data);
        }
        if name == "Chart.yaml" {
            found = identity(&data);
        }
    }
    (tokens, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::archive::tests::mk_archive;

    fn tokens_of(name: &str, data: &[u8]) -> Tokens {
        let mut chart = Chart::default();
        chart.scan(name, data);
        chart.tokens
    }

    #[test]
    fn packaged_dependencies_are_looked_into() {
        let says = mk_archive(&[("lib/templates/a.yaml", "{{ .Files }}")]);
        assert_eq!(tokens_of("charts/lib.tgz", &says).files, Use::Whole);
        let silent = mk_archive(&[("lib/README.md", "Files")]);
        assert_eq!(tokens_of("charts/lib.tgz", &silent), Tokens::default());
        assert_eq!(tokens_of("charts/lib.tgz", b"not an archive"), Tokens::ALL);
    }
}
