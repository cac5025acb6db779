//! Files → Applications.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use api::Application;
use serde_json::Value;

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// An Application, or what is wrong with it.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) instance: String,
    pub(super) application: Result<Application, String>,
}

/// The Applications of the files, in their order. What is something else is passed over with a note.
pub(super) fn read(files: &[PathBuf], control_namespace: &str) -> anyhow::Result<Vec<Named>> {
    let mut found = Vec::new();
    for file in files {
        let text = text(file).with_context(|| format!("reading {}", file.display()))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .with_context(|| format!("parsing {}", file.display()))?;
        for document in documents {
            collect(document, file, control_namespace, &mut found)?;
        }
    }
    if found.is_empty() {
        bail!("no Application in what was given");
    }
    Ok(found)
}

/// A file's text; `-` is standard input.
pub(crate) fn text(file: &Path) -> anyhow::Result<String> {
    let reader: Box<dyn std::io::Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file)?)
    };
    let mut text = String::new();
    let length = reader.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_FILE {
        bail!("it is longer than {MAX_FILE} bytes");
    }
    Ok(text)
}

fn collect(
    document: Value,
    file: &Path,
    control_namespace: &str,
    found: &mut Vec<Named>,
) -> anyhow::Result<()> {
    if document.is_null() {
        return Ok(());
    }
    let field = |pointer| {
        let text = document.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (kind, version) = (field("/kind"), field("/apiVersion"));
    let (namespace, name) = (field("/metadata/namespace"), field("/metadata/name"));
    if matches!(kind.as_str(), "List" | "ApplicationList") {
        let items = match document {
            Value::Object(mut list) => list.remove("items"),
            _ => None,
        };
        for item in items.iter().filter_map(Value::as_array).flatten() {
            collect(item.clone(), file, control_namespace, found)?;
        }
        return Ok(());
    }
    let group = version.split('/').next().unwrap_or_default();
    if kind != Application::KIND || group != api::GROUP {
        let what = if kind.is_empty() { "document" } else { &kind };
        let what = [what, &name].join(" ");
        crate::output::note(&format!(
            "{}: {} is no Application, passed over",
            file.display(),
            what.trim_end()
        ));
        return Ok(());
    }
    // It becomes a file's name.
    if name.is_empty() || format!("{namespace}{name}").contains(['/', '\\', '\0']) {
        bail!(
            "{}: an Application has no name, or one that can't be: {name:?}",
            file.display()
        );
    }
    found.push(Named {
        instance: api::tracking::instance_name(&namespace, &name, control_namespace),
        name,
        application: serde_json::from_value(document).map_err(|error| error.to_string()),
    });
    Ok(())
}
