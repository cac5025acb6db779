//! The real `helm` and `kustomize`, a process for each command, their output read to its end.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use deploy::Component;

use super::case::Case;

pub(crate) struct RealTools {
    helm: PathBuf,
    kustomize: PathBuf,
}

/// One process. Paths are from the case's folder.
pub(crate) enum Command {
    /// `helm template` of a chart.
    Template(&'static str),
    /// The same into a file.
    TemplateInto(&'static str, &'static str),
    /// `kustomize build` of a folder.
    Build(&'static str),
}

impl RealTools {
    pub(crate) async fn find() -> anyhow::Result<Self> {
        deploy::prepare(&[Component::Helm, Component::Kustomize]).await?;
        Ok(Self {
            helm: deploy::locate(Component::Helm).await?,
            kustomize: deploy::locate(Component::Kustomize).await?,
        })
    }

    /// What `helm create` writes.
    pub(crate) async fn create_chart(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        output(&self.helm, folder, &["create", name]).await?;
        Ok(())
    }
}

/// Runs a case's commands, one after another.
pub(crate) async fn once(tools: &RealTools, case: &Case) -> anyhow::Result<()> {
    for command in &case.commands {
        let (program, arguments) = match command {
            Command::Template(chart) | Command::TemplateInto(chart, _) => {
                let chart = format!("./{chart}");
                let arguments = ["template", "dome", &chart, "--namespace", "summit"];
                let more = ["--include-crds", "--set", "replicaCount=2"];
                let all = arguments.into_iter().chain(more).map(str::to_owned);
                (&tools.helm, all.collect::<Vec<_>>())
            }
            Command::Build(folder) => (
                &tools.kustomize,
                vec!["build".to_owned(), (*folder).to_owned()],
            ),
        };
        let text = output(program, &case.folder, &arguments).await?;
        anyhow::ensure!(!text.is_empty(), "{} printed nothing", shown(command));
        if let Command::TemplateInto(_, file) = command {
            std::fs::write(case.folder.join(file), text)?;
        }
    }
    Ok(())
}

pub(crate) fn shown(command: &Command) -> String {
    match command {
        Command::Template(_) | Command::TemplateInto(..) => "helm template".to_owned(),
        Command::Build(_) => "kustomize build".to_owned(),
    }
}

async fn output(
    program: &Path,
    folder: &Path,
    arguments: &[impl AsRef<std::ffi::OsStr>],
) -> anyhow::Result<Vec<u8>> {
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("KUBECONFIG", "/dev/null")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {}", program.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "{} failed: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
