//! `towline secrets migrate`: what is read for a checkout, by project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::scan::{self, Form};
use crate::output::{self, Format};

/// Larger files hold no manifests.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Where no Application of the repository reads a file.
const UNKNOWN: &str = "(unknown)";

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Found {
    project: String,
    path: String,
    form: Form,
    files: Vec<String>,
}

pub(super) fn migrate(repo: &Path, format: Format) -> anyhow::Result<()> {
    let found = look_through(repo)?;
    output::print(format, &found, || tell(&found))
}

fn tell(found: &[Found]) {
    output::table(
        &["PROJECT", "PATH", "AS", "FILES"],
        found.iter().map(|one| {
            let form = match one.form {
                Form::Inline => "placeholder",
                Form::Annotation => "annotation",
                Form::VaultSecret => "VaultSecret",
            };
            vec![
                one.project.clone(),
                one.path.clone(),
                form.to_owned(),
                one.files.join(", "),
            ]
        }),
    );
    let mut projects: BTreeMap<&str, (BTreeSet<&str>, bool)> = BTreeMap::new();
    for one in found {
        let (paths, resolve) = projects.entry(&one.project).or_default();
        paths.insert(&one.path);
        *resolve |= one.form == Form::VaultSecret;
    }
    for (project, (paths, resolve)) in projects {
        let paths: Vec<&str> = paths.into_iter().collect();
        output::line(format_args!("\n# AppProject {project}"));
        output::line(format_args!(
            "towline.dev/secret-paths: \"{}\"",
            paths.join(", ")
        ));
        if resolve {
            output::line(format_args!("towline.dev/vault-secrets: resolve"));
        }
    }
}

fn look_through(repo: &Path) -> anyhow::Result<Vec<Found>> {
    let mut texts: Vec<(PathBuf, String)> = Vec::new();
    let mut folders = vec![repo.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() && entry.metadata()?.len() <= MAX_FILE {
                // What isn't text holds no manifest.
                if let Ok(text) = std::fs::read_to_string(entry.path()) {
                    let path = entry.path();
                    let name = path.strip_prefix(repo).unwrap_or(&path).to_owned();
                    texts.push((name, text));
                }
            }
        }
    }
    texts.sort();
    let reads: Vec<scan::Reads> = texts
        .iter()
        .flat_map(|(_, text)| scan::reads(text))
        .collect();
    let mut found: BTreeMap<(String, scan::Use), Vec<String>> = BTreeMap::new();
    for (file, text) in &texts {
        for one in scan::uses(text) {
            for project in projects(&reads, file) {
                let files = found.entry((project, one.clone())).or_default();
                files.push(file.display().to_string());
            }
        }
    }
    Ok(found
        .into_iter()
        .map(|((project, one), files)| Found {
            project,
            path: one.path,
            form: one.form,
            files,
        })
        .collect())
}

/// The projects of the Applications that read a file.
fn projects(reads: &[scan::Reads], file: &Path) -> BTreeSet<String> {
    let mut projects: BTreeSet<String> = reads
        .iter()
        .filter(|reads| {
            reads
                .folders
                .iter()
                .map(|folder| folder.trim_start_matches("./"))
                .any(|folder| folder == "." || file.starts_with(folder))
        })
        .map(|reads| reads.project.clone())
        .collect();
    if projects.is_empty() {
        projects.insert(UNKNOWN.to_owned());
    }
    projects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_gets_the_paths_of_the_folders_that_its_applications_read() {
        let repo = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = repo.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "apps/shop.yaml",
            "kind: Application\nspec:\n  project: shop\n  source:\n    path: shop\n",
        );
        write("shop/secret.yaml", "a: <path:kv/data/shop#a>\n");
        write("shop-admin/secret.yaml", "a: <path:kv/data/admin#a>\n");
        write(".git/secret.yaml", "a: <path:kv/data/git#a>\n");
        std::fs::write(repo.path().join("binary"), [0xff, 0xfe]).unwrap();
        let found: Vec<(String, String)> = look_through(repo.path())
            .unwrap()
            .into_iter()
            .map(|one| (one.project, one.path))
            .collect();
        let expected = [(UNKNOWN, "kv/data/admin"), ("shop", "kv/data/shop")]
            .map(|(project, path)| (project.to_owned(), path.to_owned()));
        assert_eq!(found, expected);
    }
}
