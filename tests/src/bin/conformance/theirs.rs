//! The other side: the real `helm` and `kustomize`, without network, each in its own process; YAML read as Kubernetes does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::application::source::ApplicationSource;
use deploy::Component;
use serde_json::Value;
use tempfile::TempDir;
use tests::files::copy_all;
use tests::shelf::{self, Shelf};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::RwLock;

use crate::argo;
use crate::case::{Case, Outcome};
use crate::checkout::Checkout;
use crate::find::{self, Tool};
use crate::glob;

/// How long one process may take.
const TIME_LIMIT: Duration = Duration::from_mins(2);
/// Nobody listens there: what needs the network fails at once.
const NO_PROXY_THERE: &str = "http://127.0.0.1:9";

pub(crate) struct RealTools {
    helm: PathBuf,
    kustomize: PathBuf,
    yaml: PathBuf,
    /// Home of the tools, and a `helm` for Kustomize.
    folder: TempDir,
    shelf: Arc<Shelf>,
    /// Held to write by what changes files of the checkout, for as long as they are changed.
    files: RwLock<()>,
}

/// Why a side has no answer: it isn't for this comparison, or the tool refuses.
pub(crate) enum Refusal {
    NotCompared(&'static str),
    Failed(String),
}

impl RealTools {
    pub(crate) async fn find(shelf: Arc<Shelf>) -> anyhow::Result<Self> {
        let components = [Component::Helm, Component::Kustomize, Component::YamlReader];
        deploy::prepare(&components).await?;
        let folder = tempfile::tempdir()?;
        let helm = deploy::locate(Component::Helm).await?;
        std::os::unix::fs::symlink(&helm, folder.path().join("helm"))?;
        Ok(Self {
            helm,
            kustomize: deploy::locate(Component::Kustomize).await?,
            yaml: deploy::locate(Component::YamlReader).await?,
            folder,
            shelf,
            files: RwLock::new(()),
        })
    }

    /// The objects of all sources.
    pub(crate) async fn render(
        &self,
        case: &Case,
        checkout: &Checkout,
    ) -> anyhow::Result<Result<Vec<Value>, Refusal>> {
        let mut objects = Vec::new();
        for source in &case.sources {
            let is_reference = source.reference.is_some() && source.path.is_none();
            if is_reference {
                continue;
            }
            if !checkout.path(source.path()).is_dir() {
                let error = format!("{}: app path does not exist", source.path());
                return Ok(Err(Refusal::Failed(error)));
            }
            let text = match find::tool(source, checkout) {
                Tool::Helm => self.helm(case, source, checkout).await?,
                Tool::Kustomize => self.kustomize(case, source, checkout).await?,
                Tool::Directory => directory(source, checkout)?,
            };
            let parsed = match text {
                Ok(text) => self.parse(text).await?,
                Err(refusal) => return Ok(Err(refusal)),
            };
            match parsed {
                Ok(parsed) => objects.extend(parsed),
                Err(error) => return Ok(Err(Refusal::Failed(error))),
            }
        }
        Ok(Ok(objects))
    }

    /// Documents of a text, as Kubernetes and Argo CD read them.
    pub(crate) async fn parse(&self, text: Vec<u8>) -> anyhow::Result<Outcome> {
        let mut command = Command::new(&self.yaml);
        let output = self.run(&mut command, text).await?;
        if let Err(error) = said(&output) {
            return Ok(Err(error));
        }
        let lines = output.stdout.split(|byte| *byte == b'\n');
        let documents: Result<Vec<Value>, _> = lines
            .filter(|line| !line.is_empty())
            .map(serde_json::from_slice)
            .collect();
        Ok(documents.map_err(|error| error.to_string()))
    }

    async fn helm(
        &self,
        case: &Case,
        source: &ApplicationSource,
        checkout: &Checkout,
    ) -> anyhow::Result<Result<Vec<u8>, Refusal>> {
        let scratch = tempfile::tempdir()?;
        let arguments = argo::helm(case, source, checkout, scratch.path())?;
        let folder = checkout.path(source.path());
        let template = {
            let _reading = self.files.read().await;
            self.tool(&self.helm, &folder, &arguments).await?
        };
        let error = match said(&template) {
            Ok(()) => return Ok(Ok(template.stdout)),
            Err(error) => error,
        };
        // As Argo CD does, and only then.
        if !error.contains("missing in charts/ directory") {
            return Ok(Err(Refusal::Failed(error)));
        }
        let _writing = self.files.write().await;
        let kept = Kept::of(&folder)?;
        self.redirect(&folder)?;
        let built = self
            .tool(&self.helm, &folder, &["dependency", "build"])
            .await?;
        let outcome = match said(&built) {
            Ok(()) => {
                let template = self.tool(&self.helm, &folder, &arguments).await?;
                said(&template).map(|()| template.stdout)
            }
            Err(error) => Err(error),
        };
        kept.restore()?;
        Ok(outcome.map_err(Refusal::Failed))
    }

    /// Lets the chart's dependencies be those of the shelf, where it has all of them.
    fn redirect(&self, folder: &Path) -> anyhow::Result<()> {
        let mut chart = shelf::chart_file(folder)?;
        let Some(list) = chart["dependencies"].as_array_mut() else {
            return Ok(());
        };
        let mut redirected = false;
        for of in list {
            let text = |field: &str| of[field].as_str().unwrap_or_default().to_owned();
            let [repository, name, version] = ["repository", "name", "version"].map(text);
            if !repository.contains("://") || repository.starts_with("file://") {
                continue;
            }
            let version = shelf::locked(folder, &name).unwrap_or(version);
            match self.shelf.chart(&repository, &name, &version)? {
                Some(folder) => of["repository"] = format!("file://{}", folder.display()).into(),
                None => return Ok(()),
            }
            redirected = true;
        }
        if redirected {
            std::fs::write(folder.join("Chart.yaml"), serde_json::to_vec(&chart)?)?;
            for lock in ["Chart.lock", "requirements.lock"] {
                if folder.join(lock).exists() {
                    std::fs::remove_file(folder.join(lock))?;
                }
            }
        }
        Ok(())
    }

    async fn kustomize(
        &self,
        case: &Case,
        source: &ApplicationSource,
        checkout: &Checkout,
    ) -> anyhow::Result<Result<Vec<u8>, Refusal>> {
        let folder = checkout.path(source.path());
        let Some(edits) = argo::kustomize_edits(case, source, &checkout.commit) else {
            return Ok(Err(Refusal::NotCompared(
                "kustomize patches or components of an Application",
            )));
        };
        let mut build = vec!["build".to_owned(), ".".to_owned()];
        build.extend(case.build_options.split_whitespace().map(str::to_owned));
        // Charts that it inflates lie beside the overlay afterwards.
        let changes = !edits.is_empty() || !case.build_options.is_empty();
        let (_reading, _writing) = if changes {
            (None, Some(self.files.write().await))
        } else {
            (Some(self.files.read().await), None)
        };
        let kept = changes.then(|| Kept::of(&folder)).transpose()?;
        let mut outcome = Ok(Vec::new());
        for arguments in edits.iter().chain([&build]) {
            let output = self.tool(&self.kustomize, &folder, arguments).await?;
            outcome = said(&output).map(|()| output.stdout);
            if outcome.is_err() {
                break;
            }
        }
        if let Some(kept) = kept {
            kept.restore()?;
        }
        Ok(outcome.map_err(Refusal::Failed))
    }

    async fn tool(
        &self,
        program: &Path,
        folder: &Path,
        arguments: &[impl AsRef<OsStr>],
    ) -> anyhow::Result<Output> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder);
        self.run(&mut command, Vec::new()).await
    }

    async fn run(&self, command: &mut Command, input: Vec<u8>) -> anyhow::Result<Output> {
        let home = self.folder.path();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", home.display());
        let mut child = command
            .env_clear()
            .envs([
                ("HOME", home.as_os_str()),
                ("PATH", OsStr::new(&path)),
                ("KUBECONFIG", OsStr::new("/dev/null")),
                ("HTTP_PROXY", OsStr::new(NO_PROXY_THERE)),
                ("HTTPS_PROXY", OsStr::new(NO_PROXY_THERE)),
                ("GIT_ALLOW_PROTOCOL", OsStr::new("none")),
                ("GIT_TERMINAL_PROMPT", OsStr::new("0")),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let stdin = child.stdin.take();
        let write = async move {
            if let Some(mut stdin) = stdin {
                // One that doesn't read to the end says itself why.
                let _ = stdin.write_all(&input).await;
            }
        };
        let both = async { tokio::join!(write, child.wait_with_output()).1 };
        match tokio::time::timeout(TIME_LIMIT, both).await {
            Ok(output) => output.context("waiting for a tool"),
            Err(_) => Ok(Output {
                status: std::os::unix::process::ExitStatusExt::from_raw(9),
                stdout: Vec::new(),
                stderr: format!("ended after {TIME_LIMIT:?}").into_bytes(),
            }),
        }
    }
}

/// What a tool says when it fails.
fn said(output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    Err(lines
        .collect::<Vec<_>>()
        .join(" | ")
        .chars()
        .take(600)
        .collect())
}

/// Plain manifests, one after another.
fn directory(
    source: &ApplicationSource,
    checkout: &Checkout,
) -> anyhow::Result<Result<Vec<u8>, Refusal>> {
    let given = source.directory.clone().unwrap_or_default();
    let (include, exclude) = (
        given.include.as_deref().unwrap_or_default(),
        given.exclude.as_deref().unwrap_or_default(),
    );
    let is_chosen = |inner: &str| {
        (exclude.is_empty() || !glob::matches(exclude, inner))
            && (include.is_empty() || glob::matches(include, inner))
    };
    let mut text = Vec::new();
    for name in find::below(checkout, source.path()) {
        let file = &name[name.rfind('/').map_or(0, |at| at + 1)..];
        let inner = find::inside(&name, source.path());
        if inner.contains('/') && !given.recurse.unwrap_or(false) {
            continue;
        }
        if !is_chosen(inner) {
            continue;
        }
        if file.ends_with(".jsonnet") {
            return Ok(Err(Refusal::NotCompared("Jsonnet")));
        }
        if !find::is_named(file, &["yaml", "yml", "json"]) {
            continue;
        }
        text.extend_from_slice(b"\n---\n");
        text.extend(std::fs::read(checkout.path(&name))?);
    }
    Ok(Ok(text))
}

/// What a tool may change beside a chart or an overlay, as it was.
struct Kept {
    folder: PathBuf,
    copy: TempDir,
    names: Vec<std::ffi::OsString>,
}

impl Kept {
    /// Files of the folder itself, and those of `charts`.
    fn of(folder: &Path) -> anyhow::Result<Self> {
        let copy = tempfile::tempdir()?;
        let mut names = Vec::new();
        if folder.is_dir() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                names.push(entry.file_name());
                let target = copy.path().join(entry.file_name());
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), target)?;
                } else if entry.file_name() == "charts" && entry.file_type()?.is_dir() {
                    copy_all(&entry.path(), &target)?;
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            copy,
            names,
        })
    }

    fn restore(self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let is_folder = entry.file_type()?.is_dir();
            let is_known = self.names.contains(&entry.file_name());
            if is_folder && (!is_known || entry.file_name() == "charts") {
                std::fs::remove_dir_all(entry.path())?;
            } else if !is_known {
                std::fs::remove_file(entry.path())?;
            }
        }
        copy_all(self.copy.path(), &self.folder)
    }
}
