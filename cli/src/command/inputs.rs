//! `towline inputs`: what a render read. A commit that changes none of it doesn't render the application again.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use bus::message::render::PseudoInput;
use renderer::Job;

use crate::offline::{self, OfflineArgs, Outcome};

/// Options of `towline inputs`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InputsArgs {
    #[command(flatten)]
    offline: OfflineArgs,
}

/// One line per input: object id, path. A render that failed has inputs too: a change of them may mend it.
pub(crate) async fn inputs(args: &InputsArgs) -> anyhow::Result<ExitCode> {
    offline::render_all(&args.offline, |outcome| {
        let Some(job) = &outcome.job else {
            return Ok(());
        };
        std::io::stdout()
            .write_all(lines(outcome, job).as_bytes())
            .context("writing to stdout")
    })
    .await
}

fn lines(outcome: &Outcome, job: &Job) -> String {
    let several = job.sources.len() > 1;
    let number = |index: u32| {
        if several {
            format!("{} ", index + 1)
        } else {
            String::new()
        }
    };
    let mut text = format!("# {}\n", outcome.instance);
    for input in job.inputs() {
        let object = input.object.as_deref().unwrap_or("absent");
        let path = if input.path.is_empty() {
            "."
        } else {
            &input.path
        };
        // Writing to a String doesn't fail.
        let _ = writeln!(text, "{object} {}{path}", number(input.source));
    }
    let values = outcome
        .rendered
        .iter()
        .flat_map(|rendered| &rendered.values);
    for value in values {
        let _ = match value {
            PseudoInput::Revision { source } => {
                let of = job.sources.get(*source as usize);
                let commit = of.map_or("absent", |source| source.revision.as_str());
                writeln!(text, "{commit} {}$ARGOCD_APP_REVISION", number(*source))
            }
            PseudoInput::Capabilities(digest) => {
                writeln!(text, "{digest} .Capabilities")
            }
            PseudoInput::Setting { name, value } => {
                writeln!(text, "{value} argocd-cm {name:?}")
            }
        };
    }
    text
}
