//! Folders of plain manifests, and Jsonnet by its own command line.

use api::application::directory::JsonnetVar;
use api::application::source::ApplicationSource;

use crate::argo;
use crate::case::Case;
use crate::checkout::Checkout;
use crate::{find, glob};

/// What a folder is made of, in order.
pub(crate) enum Part {
    Text(Vec<u8>),
    /// The arguments of `jsonnet`.
    Jsonnet(Vec<String>),
}

pub(crate) fn parts(
    case: &Case,
    source: &ApplicationSource,
    checkout: &Checkout,
) -> anyhow::Result<Vec<Part>> {
    let given = source.directory.clone().unwrap_or_default();
    let (include, exclude) = (
        given.include.as_deref().unwrap_or_default(),
        given.exclude.as_deref().unwrap_or_default(),
    );
    let is_chosen = |inner: &str| {
        (exclude.is_empty() || !glob::matches(exclude, inner))
            && (include.is_empty() || glob::matches(include, inner))
    };
    let mut parts = Vec::new();
    for name in find::below(checkout, source.path()) {
        let file = &name[name.rfind('/').map_or(0, |at| at + 1)..];
        let inner = find::inside(&name, source.path());
        if inner.contains('/') && !given.recurse.unwrap_or(false) {
            continue;
        }
        if !is_chosen(inner) {
            continue;
        }
        if find::is_named(file, &["jsonnet"]) {
            parts.push(Part::Jsonnet(jsonnet(case, source, checkout, &name)));
        } else if find::is_named(file, &["yaml", "yml", "json"]) {
            let mut text = b"\n---\n".to_vec();
            text.extend(std::fs::read(checkout.path(&name))?);
            parts.push(Part::Text(text));
        }
    }
    Ok(parts)
}

fn jsonnet(
    case: &Case,
    source: &ApplicationSource,
    checkout: &Checkout,
    name: &str,
) -> Vec<String> {
    let given = source.directory.as_ref();
    let options = given
        .and_then(|given| given.jsonnet.clone())
        .unwrap_or_default();
    let text = |path: &str| checkout.path(path).display().to_string();
    let mut arguments = vec!["-J".to_owned(), text(source.path())];
    for library in options.libs.iter().flatten() {
        arguments.extend(["-J".to_owned(), text(library.trim_start_matches('/'))]);
    }
    let mut variables = |kind: &str, given: &Option<Vec<JsonnetVar>>| {
        for variable in given.iter().flatten() {
            let is_code = variable.code.unwrap_or(false);
            let flag = if is_code { "code" } else { "str" };
            let value = argo::expand(&variable.value, case, source, &checkout.commit);
            let assignment = format!("{}={value}", variable.name);
            arguments.extend([format!("--{kind}-{flag}"), assignment]);
        }
    };
    variables("tla", &options.tlas);
    variables("ext", &options.ext_vars);
    arguments.push(text(name));
    arguments
}
