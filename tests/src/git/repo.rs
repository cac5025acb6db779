//! A bare repository, committed to without a working tree.

use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Repository, Signature};

/// One change of a commit.
#[derive(Clone, Debug)]
pub enum Change {
    Write {
        path: String,
        content: String,
    },
    /// A symbolic link with this target.
    Link {
        path: String,
        target: String,
    },
    /// A submodule at this commit of another repository.
    Module {
        path: String,
        commit: String,
    },
    Remove {
        path: String,
    },
}

impl Change {
    pub fn write(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self::Write {
            path: path.into(),
            content: content.into(),
        }
    }

    pub fn link(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self::Link {
            path: path.into(),
            target: target.into(),
        }
    }

    pub fn module(path: impl Into<String>, commit: impl Into<String>) -> Self {
        Self::Module {
            path: path.into(),
            commit: commit.into(),
        }
    }

    pub fn remove(path: impl Into<String>) -> Self {
        Self::Remove { path: path.into() }
    }
}

/// A repository on the server's disk, and its address.
#[derive(Clone, Debug)]
pub struct Repo {
    path: PathBuf,
    url: String,
}

impl Repo {
    pub const BRANCH: &'static str = "main";

    pub(super) fn new(path: PathBuf, url: String) -> Self {
        Self { path, url }
    }

    pub(super) fn init(&self) -> anyhow::Result<()> {
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head(Self::BRANCH);
        let repository = Repository::init_opts(&self.path, &options)
            .with_context(|| format!("creating the repository {}", self.path.display()))?;
        // Asked for by whoever tests a push; the server checks who may.
        repository.config()?.set_bool("http.receivepack", true)?;
        Ok(())
    }

    /// Its address over HTTP.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes files and commits to the branch; the commit's id.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let changes: Vec<Change> = files
            .iter()
            .map(|(path, content)| Change::write(*path, *content))
            .collect();
        self.change(message, &changes)
    }

    /// Commits `changes` to the branch; the commit's id. What a push would do, without its transport.
    pub fn change(&self, message: &str, changes: &[Change]) -> anyhow::Result<String> {
        let repository = Repository::open_bare(&self.path).context("opening the repository")?;
        let reference = format!("refs/heads/{}", Self::BRANCH);
        let parent = match repository.find_reference(&reference) {
            Ok(found) => Some(found.peel_to_commit()?),
            Err(error) if error.code() == git2::ErrorCode::NotFound => None,
            Err(error) => return Err(error).context("finding the branch"),
        };
        let base = match &parent {
            Some(parent) => parent.tree()?,
            None => repository.find_tree(repository.treebuilder(None)?.write()?)?,
        };
        let mut update = TreeUpdateBuilder::new();
        for change in changes {
            match change {
                Change::Write { path, content } => {
                    let blob = repository.blob(content.as_bytes())?;
                    update.upsert(path.as_str(), blob, FileMode::Blob);
                }
                Change::Link { path, target } => {
                    let blob = repository.blob(target.as_bytes())?;
                    update.upsert(path.as_str(), blob, FileMode::Link);
                }
                Change::Module { path, commit } => {
                    let commit = git2::Oid::from_str(commit)?;
                    update.upsert(path.as_str(), commit, FileMode::Commit);
                }
                Change::Remove { path } => {
                    update.remove(path.as_str());
                }
            }
        }
        let tree = update.create_updated(&repository, &base)?;
        let author = Signature::now("Ada Tester", "ada@example.org")?;
        let parents: Vec<_> = parent.iter().collect();
        let commit = repository.commit(
            Some(&reference),
            &author,
            &author,
            message,
            &repository.find_tree(tree)?,
            &parents,
        )?;
        Ok(commit.to_string())
    }

    /// The branch's newest commit.
    pub fn head(&self) -> anyhow::Result<String> {
        let repository = Repository::open_bare(&self.path)?;
        let head = repository.head()?.peel_to_commit()?.id().to_string();
        Ok(head)
    }

    /// Takes back the newest commit with one more, as `git revert` does.
    pub fn revert(&self) -> anyhow::Result<String> {
        let repository = Repository::open_bare(&self.path)?;
        let newest = repository.head()?.peel_to_commit()?;
        let tree = newest.parent(0)?.tree()?;
        let author = Signature::now("Ada Tester", "ada@example.org")?;
        let message = format!("Revert \"{}\"", newest.summary()?.unwrap_or_default());
        let commit =
            repository.commit(Some("HEAD"), &author, &author, &message, &tree, &[&newest])?;
        Ok(commit.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_keeps_what_it_does_not_name_and_a_revert_brings_back_what_was() {
        let folder =
            std::env::temp_dir().join(format!("towline-repo-{:08x}", rand::random::<u32>()));
        let repo = Repo::new(folder.clone(), String::new());
        repo.init().unwrap();
        repo.commit("one", &[("a/one", "1"), ("a/two", "2")])
            .unwrap();
        repo.change(
            "two",
            &[Change::write("a/one", "3"), Change::remove("a/two")],
        )
        .unwrap();
        let names = |repo: &Repo| {
            let repository = Repository::open_bare(repo.path()).unwrap();
            let tree = repository.head().unwrap().peel_to_tree().unwrap();
            let folder = tree.get_path(Path::new("a")).unwrap();
            let folder = repository.find_tree(folder.id()).unwrap();
            folder
                .iter()
                .map(|entry| entry.name().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&repo), ["one"]);
        repo.revert().unwrap();
        assert_eq!(names(&repo), ["one", "two"]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
