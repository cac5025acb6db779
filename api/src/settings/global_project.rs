//! `globalProjects`: projects whose rules others inherit, by the labels of those.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use serde::Deserialize;

use crate::AppProject;

/// Sizes beyond this aren't read at all.
const MAX_TEXT: usize = 256 * 1024;

/// A project whose rules are added to those of the projects that the selector selects.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalProject {
    pub name: String,
    selector: Selector,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    project_name: String,
    /// Absent selects all, as in Argo CD.
    #[serde(default)]
    label_selector: LabelSelector,
}

impl GlobalProject {
    /// Those of the setting's text, and what couldn't be read.
    pub(super) fn read(text: &str) -> (Vec<Self>, Vec<String>) {
        if text.len() > MAX_TEXT {
            return (
                Vec::new(),
                vec![format!("globalProjects is larger than {MAX_TEXT} bytes")],
            );
        }
        let entries = match serde_saphyr::from_str::<Vec<Entry>>(text) {
            Ok(entries) => entries,
            Err(error) => return (Vec::new(), vec![format!("globalProjects: {error}")]),
        };
        let mut problems = Vec::new();
        let mut projects = Vec::new();
        for entry in entries {
            match Selector::try_from(entry.label_selector) {
                Ok(selector) => projects.push(Self {
                    name: entry.project_name,
                    selector,
                }),
                Err(error) => problems.push(format!(
                    "globalProjects: the labelSelector for {}: {error}",
                    entry.project_name
                )),
            }
        }
        (projects, problems)
    }

    /// Whether the project inherits its rules. None is its own.
    pub fn is_for(&self, project: &AppProject) -> bool {
        let metadata = &project.metadata;
        metadata.name.as_deref() != Some(&self.name)
            && self
                .selector
                .matches(&metadata.labels.clone().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str, labels: &[(&str, &str)]) -> AppProject {
        let mut project = AppProject::allow_all(name);
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        project.metadata.labels = Some(labels.collect());
        project
    }

    #[test]
    fn projects_are_chosen_by_their_labels() {
        let (projects, problems) = GlobalProject::read(
            "- labelSelector:\n    matchExpressions:\n    - {key: team, operator: In, values: [a, b]}\n  projectName: base\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let base = &projects[0];
        assert!(base.is_for(&project("web", &[("team", "a")])));
        assert!(!base.is_for(&project("web", &[("team", "c")])));
        assert!(!base.is_for(&project("web", &[])));
    }

    #[test]
    fn a_selector_that_asks_for_nothing_selects_all_but_the_project_itself() {
        let (projects, _) = GlobalProject::read("- projectName: base\n  labelSelector: {}\n");
        assert!(projects[0].is_for(&project("web", &[])));
        assert!(!projects[0].is_for(&project("base", &[])));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert_eq!(GlobalProject::read("base").1.len(), 1);
        let (projects, problems) = GlobalProject::read(
            "- projectName: base\n  labelSelector: {matchExpressions: [{key: a, operator: Near}]}\n",
        );
        assert!(projects.is_empty());
        assert_eq!(problems.len(), 1);
    }
}
