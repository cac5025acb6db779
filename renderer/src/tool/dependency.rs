//! The charts that a chart depends on and doesn't hold: what `helm dependency build` would put into its `charts/` folder.
//!
//! As Argo CD does it: a chart whose folder holds a chart of each name is rendered as it is; else all dependencies are
//! had, also those that a condition disables (whether it does may be said by their own values). What such a dependency
//! itself depends on and doesn't hold stays out, as with Helm.

use std::sync::Arc;

use bus::message::need::Need;

use super::ToolError;
use super::chart::{self, Chart};
use super::requirement::{Lock, Requirement, Requirements};
use crate::engine::wire::{Bytes, File, Subchart};
use crate::job::Job;
use crate::tree::{Tree, TreeError, Walk, clean, join};

/// What the charts/ folder lacked.
#[derive(Default)]
pub(super) struct Additions {
    /// Charts of the same repository, by their folders.
    pub(super) local: Vec<(String, Requirement, Chart)>,
    pub(super) fetched: Vec<(Requirement, Arc<Tree>)>,
    /// Whether something has to be fetched first; it was asked for.
    pub(super) waits: bool,
}

/// Finds what the chart in `folder` lacks, and takes away what a fetched chart stands in for.
pub(super) fn add(
    job: &Job,
    tree: &Tree,
    folder: &str,
    chart: &mut Chart,
) -> Result<Additions, ToolError> {
    let mut additions = Additions::default();
    // What can't be read is told by Helm itself, in its own words.
    let Some(requirements) = Requirements::read(chart) else {
        return Ok(additions);
    };
    if requirements.list.is_empty() {
        return Ok(additions);
    }
    let vendored = chart.vendored();
    let holds = |name: &str| vendored.iter().any(|vendored| vendored.name == name);
    if requirements.list.iter().all(|wanted| holds(&wanted.name)) {
        return Ok(additions);
    }
    let refused = |wanted: &Requirement, cause: String| ToolError::Dependency {
        chart: folder.to_owned(),
        dependency: wanted.name.clone(),
        cause,
    };
    let list = match requirements.lock() {
        Lock::None => &requirements.list,
        Lock::InSync(locked) => locked,
        Lock::OutOfSync { lock, of } => {
            return Err(ToolError::LockOutOfSync {
                lock: join(folder, lock),
                of,
            });
        }
    };
    let mut kept: Vec<&str> = Vec::new();
    for wanted in list {
        if wanted.repository.is_empty() {
            if !holds(&wanted.name) {
                let cause = "it names no repository, and the charts/ folder does not hold it";
                return Err(refused(wanted, cause.to_owned()));
            }
            kept.push(&wanted.name);
        } else if let Some(path) = wanted.repository.strip_prefix("file://") {
            if path.starts_with('/') {
                let cause = format!("{} is not in the repository", wanted.repository);
                return Err(refused(wanted, cause));
            }
            let path = format!("{folder}/{path}");
            let at = clean(&path).ok_or(TreeError::Leaves { path })?;
            if !additions.local.iter().any(|(known, ..)| *known == at) {
                let found = chart::load(tree, &at)?;
                additions.local.push((at, wanted.clone(), found));
            }
        } else if vendored
            .iter()
            .any(|vendored| vendored.name == wanted.name && wanted.is_exactly(&vendored.version))
        {
            kept.push(&wanted.name);
        } else if is_remote(&wanted.repository) {
            let need = Need::Chart {
                repository: wanted.repository.clone(),
                name: wanted.name.clone(),
                version: wanted.version.clone(),
            };
            match job.dependencies.get(need)? {
                Some(tree) => additions.fetch(wanted, tree),
                None => additions.waits = true,
            }
        } else {
            let cause = format!(
                "its repository {} is neither https://, http://, oci:// nor file://, nor the name of one",
                wanted.repository
            );
            return Err(refused(wanted, cause));
        }
    }
    for old in vendored
        .iter()
        .filter(|old| !kept.contains(&old.name.as_str()))
    {
        // Helm deletes packages that it didn't get again; of two charts of one name it would take either.
        let replaced = list.iter().any(|wanted| wanted.name == old.name);
        if replaced || old.packed {
            chart.remove(&old.path);
        }
    }
    for (.., local) in &additions.local {
        chart.tokens.add(local.tokens);
    }
    Ok(additions)
}

impl Additions {
    fn fetch(&mut self, wanted: &Requirement, tree: Arc<Tree>) {
        let known = |(_, had): &(Requirement, Arc<Tree>)| Arc::ptr_eq(had, &tree);
        if !self.fetched.iter().any(known) {
            self.fetched.push((wanted.clone(), tree));
        }
    }

    /// Everything as the engine takes it; what it can see goes into the chart's tokens.
    pub(super) fn subcharts(
        mut self,
        tree: &Tree,
        chart: &mut Chart,
    ) -> Result<Vec<Subchart>, ToolError> {
        let mut subcharts = Vec::new();
        for (wanted, had) in &self.fetched {
            let mut files = Vec::new();
            for leaf in had.folder("", Walk::Following)?.unwrap_or_default() {
                let data = had.leaf("", &leaf)?;
                chart.scan(&leaf.name, &data);
                files.push(File {
                    name: leaf.name,
                    data: Bytes(data),
                });
            }
            subcharts.push(subchart(wanted, files, true));
        }
        for (folder, wanted, mut local) in self.local.drain(..) {
            // What the whole says counts: a library's templates see the files of the chart that uses it.
            local.tokens.add(chart.tokens);
            local.load_rest(tree, &folder)?;
            chart.tokens.add(local.tokens);
            subcharts.push(subchart(&wanted, local.files, false));
        }
        Ok(subcharts)
    }
}

fn subchart(wanted: &Requirement, files: Vec<File>, packed: bool) -> Subchart {
    Subchart {
        name: wanted.name.clone(),
        version: wanted.version.clone(),
        packed,
        files,
    }
}

fn is_remote(repository: &str) -> bool {
    ["https://", "http://", "oci://", "alias:", "@"]
        .iter()
        .any(|start| repository.starts_with(start))
}

#[cfg(test)]
#[path = "dependency_tests.rs"]
mod tests;
