//! `towline health`: how a running Towline would find the objects in files. What a cluster has now (`kubectl get -o yaml`), a customization
//! before it goes into `argocd-cm`, a test of one.
#![expect(clippy::print_stderr, reason = "what is wrong goes to stderr")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use applier::health::{Assessment, Customizations};
use bus::clock;
use serde::Serialize;
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::local;
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

/// All objects of a file in their order, those of lists too.
fn each_object(
    file: &Path,
    then: &mut impl FnMut(&Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let text = local::text(file).with_context(|| format!("reading {}", file.display()))?;
    let parsing = || format!("parsing {}", file.display());
    if text.trim_start().starts_with('{') {
        // Objects of JSON may follow each other without anything between.
        for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            one(&document.with_context(parsing)?, then)?;
        }
        return Ok(());
    }
    for (line, document) in documents(&text) {
        // The parser's own message shows the lines around, which may hold a secret.
        let parsed = serde_saphyr::from_str_with_options(document, as_argo_cd());
        let document: Value = parsed.map_err(|error| {
            let at = error.location().map_or(1, |location| location.line());
            anyhow!(
                "{}:{} is not valid YAML",
                file.display(),
                u64::from(line) + at - 1
            )
        })?;
        one(&document, then)?;
    }
    Ok(())
}

/// Of a key that is there twice the last one counts.
fn as_argo_cd() -> serde_saphyr::Options {
    serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins }
}

fn one(
    document: &Value,
    then: &mut impl FnMut(&Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let is_list = document["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    match document["items"].as_array() {
        Some(items) if is_list => items.iter().try_for_each(then),
        _ if document.is_null() => Ok(()),
        _ => then(document),
    }
}

/// The documents of a text, each with the number of its first line. At the beginning of a line `---` is always a border: within a text of
/// several lines YAML forbids it there.
fn documents(text: &str) -> Vec<(u32, &str)> {
    let mut found = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let (mut at, mut line) = (0, 1);
    for part in text.split_inclusive('\n') {
        let border = part
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if border {
            found.push((start_line, &text[start..at]));
            (start, start_line) = (at, line);
        }
        at += part.len();
        line += 1;
    }
    found.push((start_line, &text[start..]));
    let is_empty = |text: &str| {
        text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line == "---" || line.starts_with('#')
        })
    };
    found.retain(|(_, document)| !is_empty(document));
    found
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_where_yaml_does_and_keep_their_lines() {
        let text = "# first\n---\na: 1\ntext: |\n  ---\n  ----\n--- \nb: 2\n---\n\n---\n# nothing\n--- # a comment\nc: 3\n---text: 4\n";
        let found: Vec<_> = documents(text)
            .into_iter()
            .map(|(line, text)| (line, text.trim()))
            .collect();
        assert_eq!(
            found,
            [
                (2, "---\na: 1\ntext: |\n  ---\n  ----"),
                (7, "--- \nb: 2"),
                (13, "--- # a comment\nc: 3\n---text: 4"),
            ]
        );
        assert_eq!(documents("a: 1"), [(1, "a: 1")]);
        assert_eq!(documents(""), []);
    }
}
