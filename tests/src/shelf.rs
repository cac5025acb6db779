//! Charts of Helm repositories that can't be reached, taken from the Git repositories that they are made in: so that both sides
//! have the same dependencies.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use bus::message::need::Need;
use renderer::{Database, ReadLimits, Tree};
use serde_json::Value;
use tempfile::TempDir;
use watcher::source::version;

use crate::files::{self, copy_all};

/// Charts whose dependencies need charts are followed so far.
const MAX_DEPTH: usize = 4;

/// `URL=DIR`: a Helm repository, and the Git repository of its charts.
#[derive(Clone, Debug)]
pub struct Origin {
    url: String,
    folder: PathBuf,
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (url, folder) = text.split_once('=').ok_or("it must be URL=DIR")?;
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            folder: folder.into(),
        })
    }
}

/// The charts that were asked for, each with everything that it depends on, as `helm package` makes them.
pub struct Shelf {
    helm: PathBuf,
    origins: Vec<Origin>,
    /// Holds a folder per chart, and `objects`, a repository of their files.
    folder: TempDir,
    /// By URL, name and version; none for one that can't be had.
    charts: Mutex<HashMap<[String; 3], Option<PathBuf>>>,
    /// Of the folders that were asked for, their trees in `objects`.
    roots: Mutex<HashMap<PathBuf, String>>,
    objects: Arc<Database>,
}

impl Shelf {
    pub fn new(origins: &[Origin], helm: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let objects = folder.path().join("objects");
        git2::Repository::init_bare(&objects)?;
        Ok(Self {
            helm,
            origins: origins.to_vec(),
            folder,
            charts: Mutex::default(),
            roots: Mutex::default(),
            objects: Arc::new(Database::open(&objects)?),
        })
    }

    /// What a render asked for, if it is a chart that can be had.
    pub fn tree(&self, need: &Need) -> anyhow::Result<Option<Arc<Tree>>> {
        let Need::Chart {
            repository,
            name,
            version,
        } = need
        else {
            return Ok(None);
        };
        let Some(folder) = self.chart(repository, name, version)? else {
            return Ok(None);
        };
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let root = if let Some(root) = roots.get(&folder) {
            root.clone()
        } else {
            let git = git2::Repository::open(self.folder.path().join("objects"))?;
            let root = import(&git, &folder)?.to_string();
            roots.insert(folder, root.clone());
            root
        };
        let tree = Tree::new(Arc::clone(&self.objects), &root, ReadLimits::DEFAULT)?;
        Ok(Some(Arc::new(tree)))
    }

    /// The folder of a chart.
    pub fn chart(
        &self,
        repository: &str,
        name: &str,
        version: &str,
    ) -> anyhow::Result<Option<PathBuf>> {
        // One at a time: two renders mostly want the same.
        let mut charts = self.charts.lock().unwrap_or_else(PoisonError::into_inner);
        self.at_depth([repository, name, version], 0, &mut charts)
    }

    fn at_depth(
        &self,
        wanted: [&str; 3],
        depth: usize,
        charts: &mut HashMap<[String; 3], Option<PathBuf>>,
    ) -> anyhow::Result<Option<PathBuf>> {
        let [repository, name, version] = wanted;
        let key = [repository.trim_end_matches('/'), name, version].map(str::to_owned);
        if let Some(known) = charts.get(&key) {
            return Ok(known.clone());
        }
        let folder = self.folder.path().join(charts.len().to_string()).join(name);
        let origins = self.origins.iter().filter(|origin| origin.url == key[0]);
        let mut found = None;
        for origin in origins {
            if found.is_none() && take_out(&origin.folder, name, version, &folder)? {
                found = Some(folder.clone());
            }
        }
        // Holds the place of this folder, and ends circles.
        charts.insert(key.clone(), None);
        if found.is_some() && depth < MAX_DEPTH {
            for dependency in dependencies(&folder)? {
                let [repository, name, version] = &dependency;
                let target = folder.join("charts").join(name);
                let is_there = target.exists() || repository.is_empty();
                if is_there || repository.starts_with("file://") {
                    continue;
                }
                match self.at_depth([repository, name, version], depth + 1, charts)? {
                    Some(inner) => copy_all(&inner, &target)?,
                    None => return Ok(None),
                }
            }
            self.pack(&folder)?;
        }
        charts.insert(key, found.clone());
        Ok(found)
    }

    /// Leaves of a chart what its package would hold: `.helmignore` leaves files out. One that can't be packaged stays whole.
    fn pack(&self, folder: &Path) -> anyhow::Result<()> {
        let scratch = tempfile::tempdir()?;
        let packages = scratch.path().join("packages");
        let packed = Command::new(&self.helm)
            .args(["package", "--destination"])
            .args([&packages, folder])
            .env("HOME", scratch.path())
            .output()?;
        if !packed.status.success() {
            return Ok(());
        }
        for package in std::fs::read_dir(&packages)? {
            let unpacked = Command::new("tar")
                .arg("-xzf")
                .arg(package?.path())
                .arg("-C")
                .arg(scratch.path())
                .status()?;
            anyhow::ensure!(unpacked.success(), "unpacking {}", folder.display());
        }
        let name = folder.file_name().context("a chart without a folder")?;
        std::fs::remove_dir_all(folder)?;
        copy_all(&scratch.path().join(name), folder)
    }
}

/// The dependencies of a chart in a folder: repository, name, version.
pub fn dependencies(folder: &Path) -> anyhow::Result<Vec<[String; 3]>> {
    let chart = chart_file(folder)?;
    let list = chart["dependencies"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
    let fields = ["repository", "name", "version"];
    Ok(list
        .iter()
        .map(|of| fields.map(|field| text(of, field)))
        .collect())
}

/// The version of a dependency that the chart's lock file names, if it has one.
pub fn locked(folder: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("Chart.lock")).ok()?;
    let lock: Value = serde_saphyr::from_str(&text).ok()?;
    let mut all = lock["dependencies"].as_array()?.iter();
    let found = all.find(|of| of["name"] == name)?;
    found["version"].as_str().map(str::to_owned)
}

/// `Chart.yaml` of a folder.
pub fn chart_file(folder: &Path) -> anyhow::Result<Value> {
    let file = folder.join("Chart.yaml");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("parsing {}", file.display()))
}

/// Writes a chart of a Git repository as it was when it had this version, or last had one of this range.
fn take_out(repository: &Path, name: &str, version: &str, to: &Path) -> anyhow::Result<bool> {
    let git = git2::Repository::open(repository)?;
    let head = git.head()?.peel_to_tree()?;
    let mut charts = Vec::new();
    head.walk(git2::TreeWalkMode::PreOrder, |parent, entry| {
        let is_chart = entry.name().is_ok_and(|name| name == "Chart.yaml");
        if is_chart && is_version(&git, entry.id(), name, None) {
            charts.push(parent.trim_end_matches('/').to_owned());
        }
        git2::TreeWalkResult::Ok
    })?;
    for path in charts {
        // Mostly the newest is asked for, and a long history takes its time.
        if write_if(&git, &head, &path, [name, version], to)? {
            return Ok(true);
        }
        let file = format!("{path}/Chart.yaml");
        let log = Command::new("git")
            .args(["log", "--format=%H", "HEAD", "--"])
            .arg(file.trim_start_matches('/'))
            .current_dir(repository)
            .output()?;
        for commit in String::from_utf8_lossy(&log.stdout).lines() {
            let tree = git.find_commit(git2::Oid::from_str(commit)?)?.tree()?;
            if write_if(&git, &tree, &path, [name, version], to)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Writes the chart that is at a path, if it is the one that is wanted.
fn write_if(
    git: &git2::Repository,
    tree: &git2::Tree<'_>,
    path: &str,
    [name, version]: [&str; 2],
    to: &Path,
) -> anyhow::Result<bool> {
    let folder = match path {
        "" => tree.clone(),
        path => match tree.get_path(Path::new(path)) {
            Ok(folder) => git.find_tree(folder.id())?,
            Err(_) => return Ok(false),
        },
    };
    let chart = folder.get_name("Chart.yaml");
    let is_it = chart.is_some_and(|chart| is_version(git, chart.id(), name, Some(version)));
    if is_it {
        files::write(git, &folder, to, "", &mut |_| ())?;
    }
    Ok(is_it)
}

fn is_version(git: &git2::Repository, file: git2::Oid, name: &str, version: Option<&str>) -> bool {
    let Ok(blob) = git.find_blob(file) else {
        return false;
    };
    let text = String::from_utf8_lossy(blob.content());
    let Ok(chart) = serde_saphyr::from_str::<Value>(&text) else {
        return false;
    };
    let bare = |version: &str| version.trim_start_matches('v').to_owned();
    let has = chart["version"].as_str().unwrap_or_default();
    let is_within = |wanted: &str| {
        let range = version::range(wanted);
        bare(has) == bare(wanted) || range.is_some_and(|range| range.newest([has]).is_some())
    };
    chart["name"] == name && version.is_none_or(is_within)
}

/// A folder's files as a tree; links are followed, as they are when a chart is packed.
fn import(git: &git2::Repository, folder: &Path) -> anyhow::Result<git2::Oid> {
    let mut tree = git.treebuilder(None)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let Ok(target) = path.canonicalize() else {
            continue;
        };
        if folder.canonicalize()?.starts_with(&target) {
            // A circle.
            continue;
        }
        let (id, mode) = if target.is_dir() {
            (import(git, &path)?, 0o040_000)
        } else {
            (git.blob_path(&path)?, 0o100_644)
        };
        tree.insert(entry.file_name(), id, mode)?;
    }
    Ok(tree.write()?)
}
