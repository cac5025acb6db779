//! Kinds of files, by what Helm does with them, and thus kinds of commits.

use std::collections::BTreeSet;
use std::path::Path;

/// More classes than these in one commit are told as one.
const TOLD: usize = 3;

pub(crate) fn is_yaml(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|it| it == "yaml")
}

pub(crate) fn class(file: &str) -> &'static str {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let is_yaml = is_yaml(name);
    if folder.split('/').any(|part| part == "templates") {
        "templates"
    } else if folder.split('/').any(|part| part == "crds") {
        "crds"
    } else if name == "Chart.yaml" {
        "Chart.yaml"
    } else if name == "values.yaml" {
        "values.yaml"
    } else if name.starts_with("values-") && is_yaml {
        "values-<name>.yaml"
    } else if name == "README.md" {
        "README.md"
    } else {
        "others"
    }
}

/// The classes of the files that a commit changes. What no render should read isn't told beside what one does.
pub(crate) fn of_commit(files: &[String], parents: &[String]) -> String {
    let is_of_parent = |file: &str| {
        parents
            .iter()
            .any(|parent| Path::new(file).starts_with(parent))
    };
    let classes: BTreeSet<&str> = (files.iter())
        .map(|file| match file.as_str() {
            file if is_of_parent(file) => "parents",
            file => class(file),
        })
        .filter(|class| !matches!(*class, "README.md" | "others"))
        .collect();
    match classes.len() {
        0 => "others".to_owned(),
        1..=TOLD => classes.into_iter().collect::<Vec<_>>().join(", "),
        _ => format!("more than {TOLD} kinds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_what_helm_does_with_them() {
        assert_eq!(class("applications/dome/templates/a.yaml"), "templates");
        assert_eq!(
            class("applications/dome/values-summit.yaml"),
            "values-<name>.yaml"
        );
        assert_eq!(
            class("applications/dome/charts/x/values.yaml"),
            "values.yaml"
        );
        assert_eq!(class("Makefile"), "others");
    }

    #[test]
    fn a_commit_is_of_the_kinds_that_a_render_can_read() {
        let kind = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            of_commit(&files, &["environments".to_owned()])
        };
        assert_eq!(
            kind(&["docs/index.rst", "applications/dome/README.md"]),
            "others"
        );
        assert_eq!(
            kind(&[
                "docs/a.rst",
                "applications/a/values.yaml",
                "applications/b/values.yaml"
            ]),
            "values.yaml"
        );
        assert_eq!(
            kind(&["environments/values-summit.yaml", "a/Chart.yaml"]),
            "Chart.yaml, parents"
        );
        let many = [
            "a/Chart.yaml",
            "a/values.yaml",
            "a/values-x.yaml",
            "a/templates/x",
        ];
        assert_eq!(kind(&many), "more than 3 kinds");
    }
}
