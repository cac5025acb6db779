//! An overlay by the real `kustomize`, as Argo CD would run it, and by a job: for the tables of `kustomize_block`,
//! `kustomize_overlays` and `kustomize_charts`.

use std::path::Path;
use std::process::Stdio;

use bus::message::cluster::Capabilities;
use serde_json::{Value, json};

use crate::repository::{Engine, Repository};

pub(crate) type Files = Vec<(&'static str, &'static str)>;

pub(crate) const OVERLAY: &str = "over/kustomization.yaml";
pub(crate) const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: guider, labels: {a: b}}
spec:
  replicas: 1
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
      - {name: main, image: 'guider:1.0', env: [{name: A, value: b}], envFrom: [{configMapRef: {name: env}}]}
      - {name: side, image: 'registry.example/side@sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3'}
";
pub(crate) const STATEFUL: &str = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: main, image: store}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {resources: {requests: {storage: 1Gi}}}}]
";
pub(crate) const COMPONENT: &str =
    "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: part-\n";

pub(crate) fn base() -> Files {
    vec![
        (
            OVERLAY,
            "resources: [deployment.yaml, stateful.yaml]\nconfigMapGenerator: [{name: env, literals: [a=b]}]\n",
        ),
        ("over/deployment.yaml", DEPLOYMENT),
        ("over/stateful.yaml", STATEFUL),
    ]
}

pub(crate) fn with(overlay: &'static str, more: &[(&'static str, &'static str)]) -> Files {
    let mut files = base();
    files[0].1 = overlay;
    files.extend(more);
    files
}

async fn kustomize(folder: &Path, arguments: &[String]) -> Result<String, String> {
    let kustomize = deploy::locate(deploy::Component::Kustomize).await.unwrap();
    let output = tokio::process::Command::new(kustomize)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    value.as_array().into_iter().flatten().map(text).collect()
}

fn pairs(value: &Value) -> Vec<String> {
    let pair = |(name, value): (&String, &Value)| format!("{name}:{}", value.as_str().unwrap());
    value.as_object().into_iter().flatten().map(pair).collect()
}

/// The commands that Argo CD runs for a block, but for patches, which it writes into the file.
fn edits(block: &Value, overlay: &Path) -> Vec<Vec<String>> {
    let mut edits: Vec<Vec<String>> = Vec::new();
    let mut edit = |words: &[&str], arguments: Vec<String>| {
        if !arguments.is_empty() {
            let words = words.iter().map(|&word| word.to_owned());
            edits.push(words.chain(arguments).collect());
        }
    };
    let one = |name: &str| -> Vec<String> {
        let value = block[name].as_str().map(str::to_owned);
        value.into_iter().collect()
    };
    let flag = |name: &str, flag: &'static str| {
        let set = block[name].as_bool().unwrap_or(false);
        set.then_some(flag)
    };
    edit(&["edit", "set", "nameprefix", "--"], one("namePrefix"));
    edit(&["edit", "set", "namesuffix", "--"], one("nameSuffix"));
    edit(&["edit", "set", "image"], texts(&block["images"]));
    let replicas = block["replicas"].as_array().into_iter().flatten();
    let replicas = replicas.map(|replica| {
        let count = replica["count"].to_string();
        let name = replica["name"].as_str().unwrap();
        format!("{name}={}", count.trim_matches('"'))
    });
    edit(&["edit", "set", "replicas"], replicas.collect());
    let mut words = vec!["edit", "add", "label"];
    words.extend(flag("forceCommonLabels", "--force"));
    words.extend(flag("labelWithoutSelector", "--without-selector"));
    words.extend(flag("labelIncludeTemplates", "--include-templates"));
    edit(&words, pairs(&block["commonLabels"]));
    let mut words = vec!["edit", "add", "annotation"];
    words.extend(flag("forceCommonAnnotations", "--force"));
    edit(&words, pairs(&block["commonAnnotations"]));
    edit(&["edit", "set", "namespace", "--"], one("namespace"));
    let mut components = texts(&block["components"]);
    if block["ignoreMissingComponents"] == true {
        components.retain(|component| overlay.join(component).exists());
    }
    edit(&["edit", "add", "component"], components);
    edits
}

async fn real(block: &Value, options: &str, folder: &Path) -> Result<String, String> {
    let overlay = folder.join("over");
    for arguments in edits(block, &overlay) {
        kustomize(&overlay, &arguments).await?;
    }
    if block["patches"].is_array() {
        // As Argo CD: what is there stays, and the new ones are put behind it.
        let file = folder.join(OVERLAY);
        let mut text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("patches:"), "the test only adds them");
        text += "\npatches: ";
        text += &block["patches"].to_string();
        std::fs::write(&file, text).unwrap();
    }
    let mut arguments = vec!["build".to_owned(), "over".to_owned()];
    arguments.extend(options.split_whitespace().map(str::to_owned));
    if options.contains("--enable-helm") {
        let helm = deploy::locate(deploy::Component::Helm).await.unwrap();
        let cluster = "--helm-kube-version 1.37.2 --helm-api-versions sky/v1/Dome --helm-command";
        arguments.extend(cluster.split_whitespace().map(str::to_owned));
        arguments.push(helm.display().to_string());
    }
    kustomize(folder, &arguments).await
}

pub(crate) async fn same(engine: &Engine, name: &str, block: Value, options: &str, files: &Files) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let expected = real(&block, options, folder.path()).await;
    let repository = Repository::new();
    let mut job = repository.job(
        json!({"repoURL": "r", "path": "over", "kustomize": block}),
        files,
    );
    options.clone_into(&mut job.rendering.kustomize_build_options);
    job.capabilities = Some(Capabilities {
        kube_version: "v1.37.2".to_owned(),
        api_versions: vec!["sky/v1/Dome".to_owned()],
    });
    match (expected, engine.render(job).await) {
        (Ok(text), Ok(rendered)) => {
            let printed = repository.job(
                json!({"repoURL": "r", "path": "out"}),
                &[("out/out.yaml", &text)],
            );
            let printed = engine.render(printed).await.unwrap().objects;
            assert!(
                !printed.is_empty() || text.trim().is_empty(),
                "{name}: nothing"
            );
            assert_eq!(sorted(rendered.objects), sorted(printed), "{name}");
        }
        (Err(_), Err(_)) => {}
        (Ok(text), Err(error)) => panic!("{name}: only Kustomize builds: {error}\n{text}"),
        (Err(error), Ok(_)) => panic!("{name}: only Kustomize fails: {error}"),
    }
}

fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(ToString::to_string);
    objects
}
