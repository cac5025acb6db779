//! `towline health`: how a running Towline would find the objects in files. What a cluster has now (`kubectl get -o yaml`), a customization
//! before it goes into `argocd-cm`, a test of one.
#![expect(clippy::print_stderr, reason = "what is wrong goes to stderr")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use applier::health::{Assessment, Customizations};
use bus::clock;
use serde::Serialize;
use serde_json::Value;

use crate::manifests::each_object;
use crate::output;

/// The longest line that is printed for a person, in characters.
const MAX_LINE: usize = 400;

/// Options of `towline health`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// YAML or JSON with any number of objects; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The ConfigMap argocd-cm, whose health customizations count
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, short, value_enum, default_value_t)]
    output: Lines,
}

/// How a line says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Lines {
    #[default]
    Text,
    Json,
}

/// A line of JSON. Both are empty where the object's kind has no health.
#[derive(Serialize)]
struct Line<'a> {
    status: &'a str,
    message: &'a str,
}

/// Prints a line for each object. Fails where something can't be read, and after all lines where a customization was no good.
pub(crate) fn health(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let customizations = match &args.config {
        Some(file) => Customizations::read(&config(file)?),
        None => Customizations::default(),
    };
    let mut code = ExitCode::SUCCESS;
    for problem in customizations.problems() {
        eprintln!("error: {problem}");
        code = ExitCode::FAILURE;
    }
    let now = i64::try_from(clock::now_ms() / 1000).unwrap_or(i64::MAX);
    for file in &args.files {
        each_object(file, &mut |object| {
            let assessment = customizations.assess(object, now);
            print(&assessment, args.output)?;
            if let Some(warning) = &assessment.warning {
                eprintln!("error: {warning}");
                code = ExitCode::FAILURE;
            }
            Ok(())
        })?;
    }
    Ok(code)
}

fn print(assessment: &Assessment, lines: Lines) -> anyhow::Result<()> {
    let (status, message) = assessment.health.as_ref().map_or(("", ""), |health| {
        (health.status.as_str(), health.message.as_str())
    });
    match lines {
        Lines::Json => {
            let line = serde_json::to_string(&Line { status, message })?;
            output::line(format_args!("{line}"));
        }
        Lines::Text => {
            let status = if status.is_empty() { "-" } else { status };
            let message: Vec<&str> = message.split_whitespace().collect();
            let line: String = format!("{status:<12}{}", message.join(" "))
                .chars()
                .take(MAX_LINE)
                .collect();
            output::line(format_args!("{}", line.trim_end()));
        }
    }
    Ok(())
}

/// The data of ConfigMap `argocd-cm`, or of the only ConfigMap that there is.
fn config(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut maps = Vec::new();
    each_object(file, &mut |object| {
        if object["kind"] == "ConfigMap" {
            maps.push(object.clone());
        }
        Ok(())
    })?;
    let named = maps
        .iter()
        .position(|map| map["metadata"]["name"] == "argocd-cm");
    let map = match named {
        Some(at) => &maps[at],
        None if maps.len() == 1 => &maps[0],
        None => bail!("{} has no ConfigMap argocd-cm", file.display()),
    };
    let data = match &map["data"] {
        Value::Null => BTreeMap::new(),
        data => serde_json::from_value(data.clone())
            .with_context(|| format!("{}: data isn't made of texts", file.display()))?,
    };
    Ok(data)
}
