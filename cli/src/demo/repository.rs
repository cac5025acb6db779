//! The demo's Git repository: a bare one that Towline watches, and a working copy in which somebody works.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use include_dir::{Dir, DirEntry, include_dir};
use tokio::process::Command;

static CONTENT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../deploy/demo");
/// What stands for the repository's own address in the content.
const ADDRESS: &str = "https://git.example.org/observatory/deploy.git";

/// A push: the commit, and when it was pushed (Unix milliseconds).
#[derive(Clone, Debug)]
pub(super) struct Pushed {
    pub commit: String,
    pub at: u64,
}

pub(super) struct Repository {
    work: PathBuf,
    pub url: String,
}

impl Repository {
    /// Makes both below `folder`, with the demo's content in the working copy, not yet committed.
    pub(super) async fn create(folder: &Path) -> anyhow::Result<Self> {
        let (bare, work) = (folder.join("deploy.git"), folder.join("deploy"));
        let url = format!("file://{}", bare.display());
        std::fs::create_dir_all(&work).with_context(|| format!("creating {}", work.display()))?;
        let repository = Self { work, url };
        write(&CONTENT, &repository.work, &repository.url)?;
        let bare = bare.display().to_string();
        repository
            .git(&["init", "--quiet", "--bare", "--initial-branch=main", &bare])
            .await?;
        repository
            .git(&["init", "--quiet", "--initial-branch=main"])
            .await?;
        repository.git(&["remote", "add", "origin", &bare]).await?;
        Ok(repository)
    }

    /// The text of a file of the working copy.
    pub(super) fn read(&self, path: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.work.join(path)).with_context(|| format!("reading {path}"))
    }

    /// Replaces `from`, which must be there, in a file of the working copy.
    pub(super) fn edit(&self, path: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let text = self.read(path)?;
        if !text.contains(from) {
            bail!("{path} does not contain `{from}`");
        }
        std::fs::write(self.work.join(path), text.replace(from, to))
            .with_context(|| format!("writing {path}"))
    }

    /// Commits all of the working copy as `author`, and pushes.
    pub(super) async fn push(&self, author: &str, message: &str) -> anyhow::Result<Pushed> {
        self.git(&["add", "--all"]).await?;
        let name = format!("user.name={author}");
        let mail = format!(
            "user.email={}@observatory.example.org",
            author.to_lowercase().replace(' ', ".")
        );
        self.git(&[
            "-c",
            &name,
            "-c",
            &mail,
            "commit",
            "--quiet",
            "--message",
            message,
        ])
        .await?;
        self.send().await
    }

    /// Reverts the newest commit as `author`, and pushes.
    pub(super) async fn revert(&self, author: &str) -> anyhow::Result<Pushed> {
        let name = format!("user.name={author}");
        let mail = format!(
            "user.email={}@observatory.example.org",
            author.to_lowercase().replace(' ', ".")
        );
        self.git(&["-c", &name, "-c", &mail, "revert", "--no-edit", "HEAD"])
            .await?;
        self.send().await
    }

    async fn send(&self) -> anyhow::Result<Pushed> {
        let commit = self.git(&["rev-parse", "HEAD"]).await?;
        let at = bus::clock::now_ms();
        self.git(&["push", "--quiet", "origin", "main"]).await?;
        Ok(Pushed { commit, at })
    }

    async fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(&self.work)
            // Neither the user's configuration nor the machine's may change what the demo shows.
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("running git: is it installed?")?;
        if !output.status.success() {
            bail!(
                "git {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn write(content: &Dir<'_>, folder: &Path, url: &str) -> anyhow::Result<()> {
    for entry in content.entries() {
        let path = folder.join(entry.path());
        match entry {
            DirEntry::Dir(inner) => {
                std::fs::create_dir_all(&path)
                    .with_context(|| format!("creating {}", path.display()))?;
                write(inner, folder, url)?;
            }
            DirEntry::File(file) => {
                let text = file
                    .contents_utf8()
                    .with_context(|| format!("{} is not text", path.display()))?;
                std::fs::write(&path, text.replace(ADDRESS, url))
                    .with_context(|| format!("writing {}", path.display()))?;
            }
        }
    }
    Ok(())
}
