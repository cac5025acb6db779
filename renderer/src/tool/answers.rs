//! What the engine is told when it asks for files while it builds an overlay.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bus::message::need::Need;

use super::chart_files::ChartFiles;
use super::token::Use;
use super::{KUSTOMIZATIONS, ToolError, chart};
use crate::engine::{Files, wire};
use crate::job::Job;
use crate::objects::guard;
use crate::tree::{Answer, Tree, View, Walk, join};

fn is_kustomization(name: &str) -> bool {
    KUSTOMIZATIONS.contains(&name)
}

/// Answers from a source's tree and what is mounted in it.
pub(crate) struct Answers {
    job: Arc<Job>,
    view: View,
    /// Those of the chart that is rendered first, if there is one.
    chart: Option<Arc<ChartFiles>>,
    /// Why the first question had no answer: the engine only passes on our words.
    failed: Mutex<Option<ToolError>>,
    /// The file that was given out last: where to look when the engine breaks a limit.
    last: Mutex<String>,
    capabilities: AtomicBool,
}

impl Answers {
    pub(crate) fn new(job: Arc<Job>, tree: Arc<Tree>, chart: Option<Arc<ChartFiles>>) -> Self {
        Self {
            job,
            view: View::new(tree),
            chart,
            failed: Mutex::default(),
            last: Mutex::default(),
            capabilities: AtomicBool::new(false),
        }
    }

    /// Whether a chart was given out that asks for the cluster's version or API versions.
    pub(crate) fn capabilities(&self) -> bool {
        self.capabilities.load(Ordering::Relaxed)
    }

    /// The first question that had no answer.
    pub(crate) fn failure(&self) -> Option<ToolError> {
        let of_chart = self.chart.as_deref().and_then(ChartFiles::failure);
        of_chart.or_else(|| self.failed().take())
    }

    pub(crate) fn chart_files(&self) -> Option<&Arc<ChartFiles>> {
        self.chart.as_ref()
    }

    /// The file that was given out last; empty for none.
    pub(crate) fn last(&self) -> String {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn one(&self, path: &str) -> wire::Answer {
        match self.view.at(path) {
            Ok(Answer::File { path, data }) => self.file(path, data),
            Ok(Answer::Folder { path }) => wire::Answer::Directory {
                path,
                holds: BTreeMap::new(),
            },
            Ok(Answer::Absent) => wire::Answer::Absent,
            Err(error) => self.refuse(error.into()),
        }
    }

    /// What an overlay's folder has under the names of its kustomization: Kustomize asks for each of them, and a question takes
    /// longer than its answer.
    fn overlay(&self, folder: &str) -> BTreeMap<String, wire::Answer> {
        let names = self.view.peek(folder).unwrap_or_default();
        if !names.iter().any(|name| is_kustomization(name)) {
            return BTreeMap::new();
        }
        let answers = KUSTOMIZATIONS.map(|name| (name.to_owned(), self.one(&join(folder, name))));
        answers.into()
    }

    fn file(&self, path: String, data: Vec<u8>) -> wire::Answer {
        if let Err(refusal) = guard::check(&path, &data) {
            return self.refuse(ToolError::Refused(refusal));
        }
        path.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
        wire::Answer::File {
            path,
            data: wire::Bytes(data),
        }
    }

    fn refuse(&self, error: ToolError) -> wire::Answer {
        let message = error.to_string();
        self.failed().get_or_insert(error);
        wire::Answer::Refused { message }
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<ToolError>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_chart(&self, path: &str, whole: bool) -> Result<Vec<wire::File>, ToolError> {
        let (tree, folder) = self.view.place(path)?;
        let mut chart = chart::load(&tree, &folder)?;
        if whole {
            chart.tokens.files = Use::Whole;
        }
        chart.load_rest(&tree, &folder)?;
        self.capabilities
            .fetch_or(chart.tokens.capabilities, Ordering::Relaxed);
        Ok(chart.files)
    }
}

impl Files for Answers {
    fn at(&self, path: &str) -> wire::Answer {
        match self.one(path) {
            wire::Answer::Directory { path, .. } => {
                let holds = self.overlay(&path);
                wire::Answer::Directory { path, holds }
            }
            answer => answer,
        }
    }

    fn list(&self, path: &str) -> wire::Answer {
        let names = || {
            let (tree, folder) = self.view.place(path)?;
            // The folder as a whole is an input: what comes or goes in it can change the answer.
            tree.folder(&folder, Walk::Flat)?;
            tree.peek(&folder)
        };
        match names() {
            Ok(names) => wire::Answer::Names { names },
            Err(error) => self.refuse(error.into()),
        }
    }

    fn mount(&self, need: Need, at: &str) -> wire::Answer {
        match self.job.dependencies.get(need) {
            Ok(Some(tree)) => {
                self.view.mount(at, tree);
                wire::Answer::Directory {
                    path: at.to_owned(),
                    holds: BTreeMap::new(),
                }
            }
            Ok(None) => wire::Answer::Absent,
            Err(error) => self.refuse(error.into()),
        }
    }

    fn chart_file(&self, name: &str) -> wire::Answer {
        match &self.chart {
            Some(chart) => chart.file(name),
            None => wire::Answer::Absent,
        }
    }

    fn chart_names(&self, of: &wire::FilesOf) -> wire::Answer {
        match &self.chart {
            Some(chart) => chart.names(of),
            None => wire::Answer::Absent,
        }
    }

    fn chart(&self, path: &str, whole: bool) -> wire::Answer {
        match self.load_chart(path, whole) {
            Ok(files) => wire::Answer::Chart { files },
            Err(error) => self.refuse(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::mk_job;

    #[test]
    fn the_folder_of_an_overlay_comes_with_its_kustomization_and_another_folder_with_nothing() {
        let files = [
            ("overlay/Kustomization", "resources: [a.yaml]"),
            ("overlay/a.yaml", "kind: ConfigMap"),
            ("plain/a.yaml", "kind: ConfigMap"),
        ];
        let job = mk_job(
            serde_json::json!([{"repoURL": "r", "path": "overlay"}]),
            &files,
        );
        let tree = Arc::clone(&job.sources[0].tree);
        let answers = Answers::new(Arc::new(job), Arc::clone(&tree), None);

        let wire::Answer::Directory { holds, .. } = answers.at("plain") else {
            panic!("not a folder")
        };
        assert!(holds.is_empty() && tree.inputs(0).is_empty());

        let wire::Answer::Directory { holds, .. } = answers.at("overlay") else {
            panic!("not a folder")
        };
        let kinds: Vec<_> = holds
            .iter()
            .map(|(name, answer)| (name.as_str(), matches!(answer, wire::Answer::File { .. })))
            .collect();
        assert_eq!(
            kinds,
            [
                ("Kustomization", true),
                ("kustomization.yaml", false),
                ("kustomization.yml", false)
            ]
        );
        let inputs = tree.inputs(0);
        let read: Vec<_> = inputs.iter().map(|input| input.path.as_str()).collect();
        assert_eq!(
            read,
            [
                "overlay/Kustomization",
                "overlay/kustomization.yaml",
                "overlay/kustomization.yml"
            ]
        );
    }
}
