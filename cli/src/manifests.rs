//! Objects in files, as people have them: YAML of any number of documents, JSON, lists.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::message::diff::Question;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::local;

/// All objects of a file in their order, those of lists too.
pub(crate) fn each_object(
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

/// Objects as the monitor takes them.
pub(crate) fn pack(objects: &[Value]) -> anyhow::Result<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(objects)?)?;
    let packed = STANDARD.encode(encoder.finish()?);
    if packed.len() > Question::MAX_MANIFESTS {
        bail!(
            "they are over {} KiB packed, which is more than can be sent",
            Question::MAX_MANIFESTS / 1024
        );
    }
    Ok(packed)
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
