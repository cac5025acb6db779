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
use tests::shelf::{self, Shelf};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::RwLock;

use crate::argo::{self, Edit};
use crate::case::{Case, Outcome};
use crate::checkout::Checkout;
use crate::find::{self, Tool};
use crate::folder::{self, Part};
use crate::kept::Kept;

/// How long one process may take.
const TIME_LIMIT: Duration = Duration::from_mins(2);
/// Nobody listens there: what needs the network fails at once.
const NO_PROXY_THERE: &str = "http://127.0.0.1:9";

pub(crate) struct RealTools {
    helm: PathBuf,
    kustomize: PathBuf,
    yaml: PathBuf,
    /// If there is one.
    jsonnet: Option<PathBuf>,
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
    pub(crate) async fn find(shelf: Arc<Shelf>, jsonnet: Option<&Path>) -> anyhow::Result<Self> {
        let components = [Component::Helm, Component::Kustomize, Component::YamlReader];
        deploy::prepare(&components).await?;
        let folder = tempfile::tempdir()?;
        let helm = deploy::locate(Component::Helm).await?;
        std::os::unix::fs::symlink(&helm, folder.path().join("helm"))?;
        Ok(Self {
            helm,
            kustomize: deploy::locate(Component::Kustomize).await?,
            yaml: deploy::locate(Component::YamlReader).await?,
            jsonnet: jsonnet.map(Path::to_owned),
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
            if source.plugin.is_some() {
                return Ok(Err(Refusal::NotCompared("a plugin: not supported")));
            }
            if !checkout.path(source.path()).is_dir() {
                let error = format!("{}: app path does not exist", source.path());
                return Ok(Err(Refusal::Failed(error)));
            }
            let source = &argo::overridden(source, case, checkout)?;
            let text = match find::tool(source, checkout) {
                Tool::Helm => self.helm(case, source, checkout).await?,
                Tool::Kustomize if is_of_another_version(source) => {
                    return Ok(Err(Refusal::NotCompared("another version of Kustomize")));
                }
                Tool::Kustomize => self.kustomize(case, source, checkout).await?,
                Tool::Directory => self.directory(case, source, checkout).await?,
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

    /// As somebody runs the tools by hand: what they print is read to its end, and nothing is done with it.
    pub(crate) async fn print(&self, case: &Case, checkout: &Checkout) -> anyhow::Result<usize> {
        let mut length = 0;
        for source in &case.sources {
            let source = &argo::overridden(source, case, checkout)?;
            let text = match find::tool(source, checkout) {
                Tool::Helm => self.helm(case, source, checkout).await?,
                Tool::Kustomize => self.kustomize(case, source, checkout).await?,
                Tool::Directory => continue,
            };
            match text {
                Ok(text) => length += text.len(),
                Err(Refusal::Failed(error)) => anyhow::bail!("{}: {error}", case.name),
                Err(Refusal::NotCompared(reason)) => anyhow::bail!("{}: {reason}", case.name),
            }
        }
        Ok(length)
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
        if !lacks_charts(&error) {
            return Ok(Err(Refusal::Failed(error)));
        }
        let _writing = self.files.write().await;
        let kept = Kept::of(&folder)?;
        let outcome = match self.build_dependencies(&folder).await? {
            Ok(()) => {
                let template = self.tool(&self.helm, &folder, &arguments).await?;
                said(&template).map(|()| template.stdout)
            }
            Err(error) => Err(error),
        };
        kept.restore()?;
        Ok(outcome.map_err(Refusal::Failed))
    }

    /// Puts what a chart depends on into its folder, for good.
    pub(crate) async fn prepare(
        &self,
        case: &Case,
        checkout: &Checkout,
    ) -> anyhow::Result<Result<(), String>> {
        for source in &case.sources {
            let source = &argo::overridden(source, case, checkout)?;
            if find::tool(source, checkout) != Tool::Helm {
                continue;
            }
            let scratch = tempfile::tempdir()?;
            let arguments = argo::helm(case, source, checkout, scratch.path())?;
            let folder = checkout.path(source.path());
            let template = self.tool(&self.helm, &folder, &arguments).await?;
            let built = match said(&template) {
                Err(error) if lacks_charts(&error) => self.build_dependencies(&folder).await?,
                other => other,
            };
            if let Err(error) = built {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    async fn build_dependencies(&self, folder: &Path) -> anyhow::Result<Result<(), String>> {
        self.redirect(folder)?;
        let arguments = ["dependency", "build"];
        Ok(said(&self.tool(&self.helm, folder, &arguments).await?))
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
        let edits = argo::kustomize_edits(case, source, checkout)?;
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
        for edit in edits.iter().chain([&Edit::Command(build)]) {
            outcome = match edit {
                Edit::Command(arguments) => {
                    let output = self.tool(&self.kustomize, &folder, arguments).await?;
                    said(&output).map(|()| output.stdout)
                }
                Edit::Patches(patches) => self.add_patches(&folder, patches).await?,
            };
            if outcome.is_err() {
                break;
            }
        }
        if let Some(kept) = kept {
            kept.restore()?;
        }
        Ok(outcome.map_err(Refusal::Failed))
    }

    /// There is no command for this: Argo CD changes the file.
    async fn add_patches(
        &self,
        folder: &Path,
        patches: &[Value],
    ) -> anyhow::Result<Result<Vec<u8>, String>> {
        let files = find::KUSTOMIZATIONS.map(|name| folder.join(name));
        let Some(file) = files.iter().find(|file| file.is_file()) else {
            return Ok(Err("kustomization file not found in the path".to_owned()));
        };
        let mut documents = match self.parse(std::fs::read(file)?).await? {
            Ok(documents) => documents,
            Err(error) => return Ok(Err(error)),
        };
        let Some(Value::Object(overlay)) = documents.first_mut() else {
            return Ok(Err("the kustomization is no map".to_owned()));
        };
        let list = overlay
            .entry("patches")
            .or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = list else {
            return Ok(Err("the kustomization's patches are no list".to_owned()));
        };
        list.extend_from_slice(patches);
        std::fs::write(file, serde_saphyr::to_string(&overlay)?)?;
        Ok(Ok(Vec::new()))
    }

    /// Plain manifests, one after another.
    async fn directory(
        &self,
        case: &Case,
        source: &ApplicationSource,
        checkout: &Checkout,
    ) -> anyhow::Result<Result<Vec<u8>, Refusal>> {
        let mut all = Vec::new();
        for part in folder::parts(case, source, checkout)? {
            let arguments = match part {
                Part::Text(text) => {
                    all.extend(text);
                    continue;
                }
                Part::Jsonnet(arguments) => arguments,
            };
            let Some(program) = &self.jsonnet else {
                return Ok(Err(Refusal::NotCompared("Jsonnet")));
            };
            let output = self
                .tool(program, &checkout.path(source.path()), &arguments)
                .await?;
            if let Err(error) = said(&output) {
                return Ok(Err(Refusal::Failed(error)));
            }
            // One object or a list of them.
            let objects = match serde_json::from_slice(&output.stdout)? {
                Value::Array(objects) => objects,
                object => vec![object],
            };
            for object in objects {
                all.extend(format!("\n---\n{object}\n").into_bytes());
            }
        }
        Ok(Ok(all))
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

/// Whether the source asks for a Kustomize that isn't the one here: Argo CD runs what its settings name so.
fn is_of_another_version(source: &ApplicationSource) -> bool {
    let kustomize = source.kustomize.as_ref();
    let version = kustomize.and_then(|kustomize| kustomize.version.as_deref());
    version.is_some_and(|version| !version.is_empty() && !version.starts_with("v5."))
}

/// Argo CD builds a chart's dependencies when Helm says this, and only then.
fn lacks_charts(error: &str) -> bool {
    error.contains("missing in charts/ directory")
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
