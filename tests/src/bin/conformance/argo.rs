//! What Argo CD's repository server gives `helm` and `kustomize` for a source (`util/helm`, `util/kustomize` of Argo CD 3).

use std::path::Path;

use api::application::source::{ApplicationSource, Helm, Kustomize};
use serde_json::Value;

use crate::case::Case;
use crate::checkout::Checkout;

/// A source with what the parameter files at its path lay over it (`mergeSourceParameters`).
pub(crate) fn overridden(
    source: &ApplicationSource,
    case: &Case,
    checkout: &Checkout,
) -> anyhow::Result<ApplicationSource> {
    let mut merged = source.clone();
    for name in [
        ".argocd-source.yaml".to_owned(),
        format!(".argocd-source-{}.yaml", case.app),
    ] {
        let Ok(text) = std::fs::read_to_string(checkout.path(source.path()).join(name)) else {
            continue;
        };
        let mut value = serde_json::to_value(&merged)?;
        lay_over(&mut value, serde_saphyr::from_str(&text)?);
        merged = ApplicationSource {
            repo_url: source.repo_url.clone(),
            path: source.path.clone(),
            chart: source.chart.clone(),
            target_revision: source.target_revision.clone(),
            ..serde_json::from_value(value)?
        };
    }
    Ok(merged)
}

/// A merge patch.
fn lay_over(value: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *value = patch;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = value else {
        return;
    };
    for (key, patch) in patch {
        if patch.is_null() {
            fields.remove(&key);
        } else {
            lay_over(fields.entry(key).or_insert(Value::Null), patch);
        }
    }
}

/// `helm template` of a source; what it can't say here is the error.
pub(crate) fn helm(
    case: &Case,
    source: &ApplicationSource,
    checkout: &Checkout,
    scratch: &Path,
) -> anyhow::Result<Vec<String>> {
    let none = Helm::default();
    let helm = source.helm.as_ref().unwrap_or(&none);
    let expand = |text: &str| expand(text, case, source, &checkout.commit);
    let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    let mut arguments = vec!["template".to_owned(), ".".to_owned()];
    let mut push = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
    push(
        "--name-template",
        text(&helm.release_name).unwrap_or_else(|| case.app.clone()),
    );
    push(
        "--namespace",
        text(&helm.namespace).unwrap_or_else(|| case.namespace.clone()),
    );
    if let Some(version) = text(&helm.kube_version) {
        push("--kube-version", version);
    }
    for parameter in helm.parameters.iter().flatten() {
        let flag = if parameter.force_string.unwrap_or(false) {
            "--set-string"
        } else {
            "--set"
        };
        let name = parameter.name.as_deref().unwrap_or_default();
        let value = expand(parameter.value.as_deref().unwrap_or_default());
        push(flag, format!("{}={}", escape(name), escape(&value)));
    }
    let located = |name: &str| -> std::path::PathBuf {
        let name = match name.strip_prefix('$').and_then(|rest| rest.split_once('/')) {
            Some((reference, rest)) if !reference.starts_with("ARGOCD_") => format!("/{rest}"),
            _ => expand(name),
        };
        match name.strip_prefix('/') {
            Some(rooted) => checkout.path(rooted),
            None => checkout.path(source.path()).join(name),
        }
    };
    for parameter in helm.file_parameters.iter().flatten() {
        let name = parameter.name.as_deref().unwrap_or_default();
        let path = located(parameter.path.as_deref().unwrap_or_default());
        push("--set-file", format!("{}={}", escape(name), path.display()));
    }
    for name in helm.value_files.iter().flatten() {
        let path = located(name);
        if helm.ignore_missing_value_files.unwrap_or(false) && !path.exists() {
            continue;
        }
        push("--values", path.display().to_string());
    }
    let own = match (&helm.values_object, text(&helm.values)) {
        (Some(object), _) if !object.is_empty() => Some(serde_json::to_string(object)?),
        (_, text) => text,
    };
    if let Some(own) = own {
        let file = scratch.join("values.yaml");
        std::fs::write(&file, own)?;
        push("--values", file.display().to_string());
    }
    for version in helm.api_versions.iter().flatten() {
        push("--api-versions", version.clone());
    }
    if !helm.skip_crds.unwrap_or(false) {
        arguments.push("--include-crds".to_owned());
    }
    if helm.skip_tests.unwrap_or(false) {
        arguments.push("--skip-tests".to_owned());
    }
    if helm.skip_schema_validation.unwrap_or(false) {
        arguments.push("--skip-schema-validation".to_owned());
    }
    Ok(arguments)
}

/// A change of an overlay's file.
pub(crate) enum Edit {
    /// Arguments of `kustomize`.
    Command(Vec<String>),
    /// What comes after the patches that the overlay has.
    Patches(Vec<Value>),
}

/// What Argo CD does to an overlay's file before it builds.
pub(crate) fn kustomize_edits(
    case: &Case,
    source: &ApplicationSource,
    checkout: &Checkout,
) -> anyhow::Result<Vec<Edit>> {
    let none = Kustomize::default();
    let given = source.kustomize.as_ref().unwrap_or(&none);
    let set = |field: Option<bool>| field.unwrap_or(false);
    let expand = |text: &str| expand(text, case, source, &checkout.commit);
    let mut edits = Vec::new();
    let mut edit = |words: &[&str], more: Vec<String>| edits.push(command(words, more));
    let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    if let Some(prefix) = text(&given.name_prefix) {
        edit(&["set", "nameprefix", "--"], vec![prefix]);
    }
    if let Some(suffix) = text(&given.name_suffix) {
        edit(&["set", "namesuffix", "--"], vec![suffix]);
    }
    if let Some(images) = given.images.as_ref().filter(|images| !images.is_empty()) {
        edit(
            &["set", "image"],
            images.iter().map(|image| expand(image)).collect(),
        );
    }
    if let Some(replicas) = given
        .replicas
        .as_ref()
        .filter(|replicas| !replicas.is_empty())
    {
        let count = |count: &api::application::kustomize::Count| {
            serde_json::to_value(count).map_or_else(
                |_| String::new(),
                |count| match count {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                },
            )
        };
        let replica = |replica: &api::application::source::KustomizeReplica| {
            format!("{}={}", replica.name, count(&replica.count))
        };
        edit(&["set", "replicas"], replicas.iter().map(replica).collect());
    }
    if let Some(labels) = given
        .common_labels
        .as_ref()
        .filter(|labels| !labels.is_empty())
    {
        let mut more = Vec::new();
        for (flag, is_set) in [
            ("--force", given.force_common_labels),
            ("--without-selector", given.label_without_selector),
            ("--include-templates", given.label_include_templates),
        ] {
            if set(is_set) {
                more.push(flag.to_owned());
            }
        }
        more.extend(
            labels
                .iter()
                .map(|(name, value)| format!("{name}:{}", expand(value))),
        );
        edit(&["add", "label"], more);
    }
    if let Some(annotations) = given
        .common_annotations
        .as_ref()
        .filter(|map| !map.is_empty())
    {
        let mut more = Vec::new();
        if set(given.force_common_annotations) {
            more.push("--force".to_owned());
        }
        let value = |value: &str| {
            if set(given.common_annotations_envsubst) {
                expand(value)
            } else {
                value.to_owned()
            }
        };
        more.extend(
            annotations
                .iter()
                .map(|(name, text)| format!("{name}:{}", value(text))),
        );
        edit(&["add", "annotation"], more);
    }
    if let Some(namespace) = text(&given.namespace) {
        edit(&["set", "namespace", "--"], vec![namespace]);
    }
    if let Some(patches) = given.patches.as_ref().filter(|list| !list.is_empty()) {
        let patches = patches.iter().map(serde_json::to_value);
        edits.push(Edit::Patches(patches.collect::<Result<_, _>>()?));
    }
    let is_wanted = |component: &String| {
        !set(given.ignore_missing_components)
            || checkout.path(source.path()).join(component).exists()
    };
    let components = given.components.iter().flatten().filter(|it| is_wanted(it));
    let components: Vec<String> = components.cloned().collect();
    if !components.is_empty() {
        edits.push(command(&["add", "component"], components));
    }
    Ok(edits)
}

fn command(words: &[&str], more: Vec<String>) -> Edit {
    let words = ["edit"].iter().chain(words).map(|word| (*word).to_owned());
    Edit::Command(words.chain(more).collect())
}

/// The build environment's variables.
pub(crate) fn expand(text: &str, case: &Case, source: &ApplicationSource, commit: &str) -> String {
    let target = source.target_revision.as_deref().unwrap_or_default();
    let short = |length: usize| commit.get(..length).unwrap_or(commit);
    let mut expanded = text.to_owned();
    // Longer names first: none of them is then a part of one that is still to come.
    for (name, value) in [
        ("ARGOCD_APP_SOURCE_TARGET_REVISION", target),
        ("ARGOCD_APP_SOURCE_REPO_URL", source.repo_url.as_str()),
        ("ARGOCD_APP_SOURCE_PATH", source.path()),
        ("ARGOCD_APP_REVISION_SHORT_8", short(8)),
        ("ARGOCD_APP_REVISION_SHORT", short(7)),
        ("ARGOCD_APP_REVISION", commit),
        ("ARGOCD_APP_PROJECT_NAME", case.project.as_str()),
        ("ARGOCD_APP_NAMESPACE", case.namespace.as_str()),
        ("ARGOCD_APP_NAME", case.app.as_str()),
    ] {
        expanded = expanded.replace(&format!("${{{name}}}"), value);
        expanded = expanded.replace(&format!("${name}"), value);
    }
    expanded
}

/// `cleanSetParameters`: a comma is Helm's separator unless it is escaped, or stands in a list.
fn escape(text: &str) -> String {
    if text.starts_with('{') && text.ends_with('}') {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    let mut last = ' ';
    for letter in text.chars() {
        if letter == ',' && last != '\\' {
            escaped.push('\\');
        }
        escaped.push(letter);
        last = letter;
    }
    escaped
}
