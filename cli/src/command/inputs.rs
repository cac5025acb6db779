//! `towline inputs`: what a render read. A commit that changes none of it doesn't render the application again.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use api::git_url;
use bus::message::desired::{Setting, Tool};
use bus::message::need::Need;
use bus::message::render::{Input, PseudoInput};
use serde::Serialize;

use crate::local::{self, LocalArgs, Outcome};
use crate::output::{self, Format};

/// Options of `towline inputs`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InputsArgs {
    #[command(flatten)]
    local: LocalArgs,
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// What one application's render read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    application: String,
    /// In the order of the specification.
    sources: Vec<ReadSource>,
    files: Vec<Input>,
    values: Vec<PseudoInput>,
    needs: Vec<ReadNeed>,
}

#[derive(Serialize)]
struct ReadSource {
    repository: String,
    revision: String,
}

/// Something beside the sources; without tree if it wasn't there.
#[derive(Serialize)]
struct ReadNeed {
    need: Need,
    tree: Option<String>,
}

/// Prints it; a render that failed has inputs too: a change of them may mend it.
pub(crate) async fn inputs(args: &InputsArgs) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    let code = local::render_all(&args.local, |outcome| {
        let Some(read) = read(outcome) else {
            return Ok(());
        };
        if args.output == Format::Table {
            return std::io::stdout()
                .write_all(lines(&read).as_bytes())
                .context("writing to stdout");
        }
        all.push(read);
        Ok(())
    })
    .await?;
    if args.output != Format::Table {
        output::print(args.output, &all, || ())?;
    }
    Ok(code)
}

fn read(outcome: &Outcome) -> Option<Read> {
    let job = outcome.job.as_ref()?;
    let trees = job.dependencies.trees();
    let needs = job.dependencies.needs().into_iter().map(|need| {
        let tree = trees.iter().find(|(had, _)| **had == need);
        ReadNeed {
            tree: tree.map(|(_, tree)| tree.clone()),
            need,
        }
    });
    let sources = job.sources.iter().map(|source| ReadSource {
        repository: git_url::without_credentials(&source.spec.repo_url),
        revision: source.revision.clone(),
    });
    Some(Read {
        application: outcome.instance.clone(),
        sources: sources.collect(),
        files: job.inputs(),
        values: (outcome.rendered.iter())
            .flat_map(|rendered| rendered.values.clone())
            .collect(),
        needs: needs.collect(),
    })
}

/// What a setting is called in `argocd-cm`.
const fn key(setting: Setting) -> &'static str {
    match setting {
        Setting::KustomizeBuildOptions => "kustomize.buildOptions",
        Setting::ValuesFileSchemes => "helm.valuesFileSchemes",
        Setting::Disabled(Tool::Helm) => "helm.enable",
        Setting::Disabled(Tool::Kustomize) => "kustomize.enable",
        Setting::Disabled(Tool::Jsonnet) => "jsonnet.enable",
    }
}

/// One line per input: object id, number of the source if there are several, path.
fn lines(read: &Read) -> String {
    let number = |index: u32| {
        if read.sources.len() > 1 {
            format!("{} ", index + 1)
        } else {
            String::new()
        }
    };
    let mut text = format!("# {}\n", read.application);
    // Writing to a String doesn't fail.
    for input in &read.files {
        let object = input.object.as_deref().unwrap_or("absent");
        let path = match input.path.as_str() {
            "" => ".",
            path => path,
        };
        let _ = writeln!(text, "{object} {}{path}", number(input.source));
    }
    for value in &read.values {
        let _ = match value {
            PseudoInput::Revision { source } => {
                let of = read.sources.get(*source as usize);
                let commit = of.map_or("absent", |source| source.revision.as_str());
                writeln!(text, "{commit} {}$ARGOCD_APP_REVISION", number(*source))
            }
            PseudoInput::Capabilities(digest) => writeln!(text, "{digest} .Capabilities"),
            PseudoInput::Setting { name, value } => {
                writeln!(text, "{value} {} of argocd-cm", key(*name))
            }
        };
    }
    for needed in &read.needs {
        let tree = needed.tree.as_deref().unwrap_or("absent");
        let _ = writeln!(text, "{tree} {}", renderer::describe(&needed.need));
    }
    text
}
