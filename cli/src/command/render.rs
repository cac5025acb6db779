//! `towline render`: what a running Towline would make of an Application's sources, without one.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::local::{self, LocalArgs, Outcome};

/// Options of `towline render`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    local: LocalArgs,
    /// Write one file per application here, instead of all to stdout
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Prints the objects as they are before the applier marks them as the application's.
pub(crate) async fn render(args: &RenderArgs) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("creating {}", folder.display()))?;
    }
    let mut written = BTreeSet::new();
    local::render_all(&args.local, |outcome| match &args.output {
        Some(_) if !written.insert(outcome.instance.clone()) => bail!(
            "two Applications are named {}: give each a folder of its own",
            outcome.instance
        ),
        Some(folder) => write(folder, outcome),
        None => print(outcome),
    })
    .await
}

fn print(outcome: &Outcome) -> anyhow::Result<()> {
    let Ok(rendered) = &outcome.rendered else {
        return Ok(());
    };
    std::io::stdout()
        .write_all(yaml(&rendered.values_of_objects()?)?.as_bytes())
        .context("writing to stdout")
}

/// A file of an earlier run doesn't outlive a render that fails.
fn write(folder: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    let file = folder.join(format!("{}.yaml", outcome.instance));
    match &outcome.rendered {
        Ok(rendered) => std::fs::write(&file, yaml(&rendered.values_of_objects()?)?),
        Err(_) if file.exists() => std::fs::remove_file(&file),
        Err(_) => Ok(()),
    }
    .with_context(|| format!("writing {}", file.display()))
}

fn yaml(objects: &[Value]) -> anyhow::Result<String> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(object).context("writing an object as YAML")?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}
