//! What is rendered: files in a folder for the real tools, the same in a snapshot for ours.

use std::path::{Path, PathBuf};

use anyhow::Context;
use api::application::source::ApplicationSource;
use serde_json::json;

use super::chart;
use super::theirs::{Command, RealTools};
use crate::fleet;

/// A repository's files, by path.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) files: Files,
    /// What an Application says of it.
    pub(crate) source: ApplicationSource,
    /// The annotation `towline.dev/last-mile`.
    pub(crate) last_mile: Option<String>,
    /// What somebody would run by hand, one after another, in `folder`.
    pub(crate) commands: Vec<Command>,
    pub(crate) folder: PathBuf,
    /// Median, in seconds.
    pub(crate) wanted: Option<f64>,
}

/// Every case, its files written below `scratch`. `large` is a chart of somebody's in the place of the large one of ours.
pub(crate) async fn all(
    tools: &RealTools,
    scratch: &Path,
    large: Option<&Path>,
) -> anyhow::Result<Vec<Case>> {
    let created = scratch.join("created");
    std::fs::create_dir(&created)?;
    tools.create_chart(&created, "dome").await?;
    let created = read(&created.join("dome"), "apps/dome")?;
    let large = match large {
        Some(folder) => read(folder, "apps/large")?,
        None => chart::large("apps/large"),
    };
    let mut last_mile = created.clone();
    last_mile.extend(files(LAST_MILE));
    let plain = fleet::files(1)?;
    let plain = plain.into_iter().map(|(path, text)| (path, text.into()));
    let mut cases = vec![
        Case {
            name: "chart of `helm create`",
            source: helm("apps/dome")?,
            files: created,
            last_mile: None,
            commands: vec![Command::Template("apps/dome")],
            folder: PathBuf::new(),
            wanted: Some(0.0025),
        },
        Case {
            name: "chart of argo-cd's size",
            source: helm("apps/large")?,
            files: large,
            last_mile: None,
            commands: vec![Command::Template("apps/large")],
            folder: PathBuf::new(),
            wanted: Some(0.060),
        },
        Case {
            name: "Kustomize overlay",
            source: source(&json!({"path": "overlays/summit"}))?,
            files: files(OVERLAY),
            last_mile: None,
            commands: vec![Command::Build("overlays/summit")],
            folder: PathBuf::new(),
            wanted: Some(0.009),
        },
        Case {
            name: "chart with a last mile",
            source: helm("apps/dome")?,
            files: last_mile,
            last_mile: Some("overlays/dome".to_owned()),
            commands: vec![
                Command::TemplateInto("apps/dome", "by-hand/dome/chart.yaml"),
                Command::Build("by-hand/dome"),
            ],
            folder: PathBuf::new(),
            wanted: None,
        },
        Case {
            name: "plain folder of 3 objects",
            source: source(&json!({"path": format!("apps/{}", fleet::name(0))}))?,
            files: plain.collect(),
            last_mile: None,
            commands: Vec::new(),
            folder: PathBuf::new(),
            wanted: None,
        },
    ];
    for (number, case) in cases.iter_mut().enumerate() {
        case.folder = scratch.join(format!("case-{number}"));
        write(&case.folder, &case.files)?;
    }
    Ok(cases)
}

fn helm(path: &str) -> anyhow::Result<ApplicationSource> {
    source(&json!({"path": path, "helm": {"parameters": [{"name": "replicaCount", "value": "2"}]}}))
}

fn source(value: &serde_json::Value) -> anyhow::Result<ApplicationSource> {
    let mut value = value.clone();
    value["repoURL"] = "https://git.example.org/bench.git".into();
    Ok(serde_json::from_value(value)?)
}

fn files(given: &[(&str, &str)]) -> Files {
    let files = given.iter();
    files
        .map(|&(path, text)| (path.to_owned(), text.into()))
        .collect()
}

/// Every file below a folder, as if it were at `at`.
fn read(folder: &Path, at: &str) -> anyhow::Result<Files> {
    let mut found = Files::new();
    let entries = std::fs::read_dir(folder);
    for entry in entries.with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let path = format!("{at}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            found.extend(read(&entry.path(), &path)?);
        } else {
            found.push((path, std::fs::read(entry.path())?));
        }
    }
    found.sort();
    Ok(found)
}

fn write(folder: &Path, files: &Files) -> anyhow::Result<()> {
    for (path, data) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, data).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// An overlay over the chart's output; and the same as somebody would write it who runs both tools by hand.
const LAST_MILE: &[(&str, &str)] = &[
    (
        "overlays/dome/kustomization.yaml",
        "namespace: summit\ncommonAnnotations: {telescope: main}\npatches:\n  - path: replicas.yaml\n    target: {kind: Deployment}\n",
    ),
    (
        "overlays/dome/replicas.yaml",
        "- {op: replace, path: /spec/replicas, value: 3}\n",
    ),
    (
        "by-hand/dome/kustomization.yaml",
        "resources: [chart.yaml]\nnamespace: summit\ncommonAnnotations: {telescope: main}\npatches:\n  - path: replicas.yaml\n    target: {kind: Deployment}\n",
    ),
    (
        "by-hand/dome/replicas.yaml",
        "- {op: replace, path: /spec/replicas, value: 3}\n",
    ),
];

/// A base of six objects and an overlay that does what overlays do: names, labels, images, patches, generated configuration.
const OVERLAY: &[(&str, &str)] = &[
    (
        "base/kustomization.yaml",
        "resources: [deployment.yaml, service.yaml, account.yaml, ingress.yaml, scaler.yaml]\n\
         configMapGenerator:\n  - name: dome\n    files: [dome.conf]\n",
    ),
    (
        "base/dome.conf",
        "shutter = closed\nwind-limit = 15\nazimuth-rate = 2.5\n",
    ),
    (
        "base/deployment.yaml",
        r"apiVersion: apps/v1
kind: Deployment
metadata: {name: dome}
spec:
  replicas: 1
  selector: {matchLabels: {app: dome}}
  template:
    metadata: {labels: {app: dome}}
    spec:
      serviceAccountName: dome
      containers:
        - name: dome
          image: registry.example.org/dome:1.0
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /ready, port: http}}
          resources: {requests: {cpu: 100m, memory: 64Mi}}
          volumeMounts: [{name: configuration, mountPath: /etc/dome}]
      volumes: [{name: configuration, configMap: {name: dome}}]
",
    ),
    (
        "base/service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: dome}\nspec: {selector: {app: dome}, ports: [{name: http, port: 80, targetPort: http}]}\n",
    ),
    (
        "base/account.yaml",
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: dome}\n",
    ),
    (
        "base/ingress.yaml",
        r"apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: dome}
spec:
  rules:
    - host: dome.example.org
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: dome, port: {name: http}}}}]}
",
    ),
    (
        "base/scaler.yaml",
        r"apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: dome}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: dome}
  minReplicas: 1
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
",
    ),
    (
        "overlays/summit/kustomization.yaml",
        r"namespace: summit
namePrefix: summit-
resources: [../../base]
labels: [{pairs: {site: summit}, includeSelectors: true}]
images: [{name: registry.example.org/dome, newTag: '1.4'}]
configMapGenerator:
  - name: dome
    behavior: merge
    literals: [site=summit]
patches:
  - path: resources.yaml
  - target: {kind: Ingress}
    patch: '- {op: replace, path: /spec/rules/0/host, value: dome.summit.example.org}'
",
    ),
    (
        "overlays/summit/resources.yaml",
        r"apiVersion: apps/v1
kind: Deployment
metadata: {name: dome}
spec:
  replicas: 2
  template:
    spec:
      containers: [{name: dome, resources: {limits: {memory: 128Mi}}}]
",
    ),
];
