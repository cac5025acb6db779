//! Which cases there are in a checkout.

use std::collections::BTreeSet;

use api::Application;
use api::application::source::ApplicationSource;
use api::git_url;
use serde_json::{Value, json};

use crate::case::{Case, Kind};
use crate::checkout::Checkout;

/// Longest file that is searched for Applications, in bytes.
const MAX_FILE: u64 = 1 << 20;
pub(crate) const KUSTOMIZATIONS: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What Argo CD renders a source with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Helm,
    Kustomize,
    Directory,
}

pub(crate) fn tool(source: &ApplicationSource, checkout: &Checkout) -> Tool {
    let has = |name: &str| checkout.has(joined(source.path(), name).as_str());
    if source.kustomize.is_some() {
        Tool::Kustomize
    } else if source.helm.is_some() {
        Tool::Helm
    } else if source.directory.is_some() {
        Tool::Directory
    } else if KUSTOMIZATIONS.iter().any(|name| has(name)) {
        Tool::Kustomize
    } else if has("Chart.yaml") {
        Tool::Helm
    } else {
        Tool::Directory
    }
}

/// Charts with each of their value files, overlays, and folders with Jsonnet. `options`: each overlay also with what an
/// Application can say of one.
pub(crate) fn charts_and_overlays(checkout: &Checkout, options: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let charts: BTreeSet<&str> = folders(checkout, &["Chart.yaml"]).collect();
    for folder in &charts {
        // A chart within a chart is rendered with it.
        let is_inner = folder.rmatch_indices("charts/").any(|(at, _)| {
            let outer = folder[..at].trim_end_matches('/');
            (at == 0 || folder.as_bytes()[at - 1] == b'/') && charts.contains(outer)
        });
        if is_inner {
            continue;
        }
        cases.push(chart(folder, None));
        let values = below(checkout, folder).filter(|file| is_values(inside(file, folder)));
        cases.extend(values.map(|file| chart(folder, Some(inside(&file, folder)))));
    }
    let overlays: BTreeSet<&str> = folders(checkout, &KUSTOMIZATIONS).collect();
    for folder in overlays {
        let inflates = KUSTOMIZATIONS.iter().any(|name| {
            std::fs::read_to_string(checkout.path(&joined(folder, name)))
                .is_ok_and(|text| text.contains("helmChart") || text.contains("HelmChart"))
        });
        let build_options = if inflates { "--enable-helm" } else { "" };
        let mut push = |name: String, options: Value| {
            let spec = json!({"path": folder, "kustomize": options});
            cases.push(Case {
                build_options: build_options.to_owned(),
                ..case(Kind::Overlay, name, "overlay", spec)
            });
        };
        push(folder.to_owned(), json!({}));
        if options {
            push(format!("{folder} with options"), overlay_options());
        }
    }
    let jsonnet = checkout
        .files
        .iter()
        .filter(|name| is_named(name, &["jsonnet"]));
    let folder = |name: &str| {
        name.rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned()
    };
    let folders: BTreeSet<String> = jsonnet.map(|name| folder(name)).collect();
    for folder in folders {
        let spec = json!({"path": folder, "directory": {}});
        cases.push(case(Kind::Jsonnet, folder, "folder", spec));
    }
    cases
}

/// Something of each option of an Application, but for those that need names of objects.
fn overlay_options() -> Value {
    let patch =
        "apiVersion: v1\nkind: Any\nmetadata:\n  name: any\n  annotations:\n    patched: 'yes'\n";
    json!({
        "namePrefix": "before-",
        "nameSuffix": "-after",
        "namespace": "elsewhere",
        "images": ["nginx=registry.example.org/nginx:9", "busybox:1.2.3"],
        "commonLabels": {"conformance": "$ARGOCD_APP_NAME", "second": "2"},
        "forceCommonLabels": true,
        "labelWithoutSelector": true,
        "labelIncludeTemplates": true,
        "commonAnnotations": {"example.org/path": "$ARGOCD_APP_SOURCE_PATH"},
        "forceCommonAnnotations": true,
        "commonAnnotationsEnvsubst": true,
        "patches": [
            {"target": {"kind": "Deployment|Service|ConfigMap"}, "patch": patch},
            {"target": {"kind": "Deployment"}, "patch": "- {op: add, path: /spec/replicas, value: 7}"},
        ],
        "components": ["../there/is/none"],
        "ignoreMissingComponents": true,
    })
}

/// One chart with one of the value files beside it.
pub(crate) fn chart(folder: &str, values: Option<&str>) -> Case {
    let name = match values {
        Some(values) => format!("{folder} with {values}"),
        None => folder.to_owned(),
    };
    let files: Vec<&str> = values.into_iter().collect();
    let spec = json!({"path": folder, "helm": {"valueFiles": files}});
    case(Kind::Chart, name, "release", spec)
}

fn case(kind: Kind, name: String, app: &str, mut spec: Value) -> Case {
    spec["repoURL"] = json!("https://git.example.org/repository");
    Case {
        kind,
        name: if name.is_empty() {
            ".".to_owned()
        } else {
            name
        },
        app: app.to_owned(),
        namespace: "conformance".to_owned(),
        project: "default".to_owned(),
        // Made of strings above.
        sources: serde_json::from_value(spec).into_iter().collect(),
        build_options: String::new(),
    }
}

/// Value files as chart collections and environments name them.
pub(crate) fn is_values(inner: &str) -> bool {
    let is_yaml = is_named(inner, &["yaml", "yml"]);
    let is_for_tests = inner
        .strip_prefix("ci/")
        .is_some_and(|name| !name.contains('/'));
    let is_of_environment = !inner.contains('/') && inner.starts_with("values-");
    is_yaml && (is_for_tests || is_of_environment)
}

/// The texts that may hold Applications.
pub(crate) fn candidates(checkout: &Checkout) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for name in &checkout.files {
        if !is_named(name, &["yaml", "yml"]) {
            continue;
        }
        let path = checkout.path(name);
        let is_small = path.metadata().is_ok_and(|data| data.len() <= MAX_FILE);
        if let Some(text) = is_small.then(|| std::fs::read(&path).ok()).flatten() {
            let text_of = String::from_utf8_lossy(&text);
            if text_of.contains("argoproj.io/") && text_of.contains("kind: Application") {
                found.push((name.clone(), text));
            }
        }
    }
    found
}

/// The Application of an object, as a case; none if it isn't one, or takes files from elsewhere.
pub(crate) fn application(object: &Value, origin: &str, urls: &[String]) -> Option<Case> {
    if object["kind"] != Application::KIND
        || !object["apiVersion"].as_str()?.starts_with("argoproj.io/")
    {
        return None;
    }
    let application: Application = serde_json::from_value(object.clone()).ok()?;
    let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
    let sources = application.spec.sources().to_vec();
    let ours = |source: &ApplicationSource| {
        let url = git_url::host_and_path(&source.repo_url);
        source.chart().is_none() && urls.iter().any(|ours| git_url::host_and_path(ours) == url)
    };
    if sources.is_empty() || !sources.iter().all(ours) {
        return None;
    }
    Some(Case {
        kind: Kind::Application,
        name: format!("{name} of {origin}"),
        app: name,
        namespace: application.spec.destination.namespace().to_owned(),
        project: application.spec.project().to_owned(),
        sources,
        build_options: String::new(),
    })
}

/// Whether a file's name ends in one of these.
pub(crate) fn is_named(file: &str, extensions: &[&str]) -> bool {
    let (_, extension) = file.rsplit_once('.').unwrap_or_default();
    extensions.contains(&extension)
}

/// Folders that have a file of one of these names.
fn folders<'a>(checkout: &'a Checkout, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
    checkout.files.iter().filter_map(|file| {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        names.contains(&name).then_some(folder)
    })
}

/// Every file below a folder.
pub(crate) fn below(checkout: &Checkout, folder: &str) -> impl Iterator<Item = String> {
    let prefix = joined(folder, "");
    let start = checkout.files.partition_point(|file| *file < prefix);
    checkout.files[start..]
        .iter()
        .take_while(move |file| file.starts_with(&prefix))
        .cloned()
}

/// The path of a file within a folder that holds it.
pub(crate) fn inside<'a>(file: &'a str, folder: &str) -> &'a str {
    file.get(joined(folder, "").len()..).unwrap_or(file)
}

fn joined(folder: &str, name: &str) -> String {
    let folder = folder.trim_start_matches("./").trim_end_matches('/');
    if folder.is_empty() || folder == "." {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
