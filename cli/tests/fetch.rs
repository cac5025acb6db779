//! `towline render` of what isn't on this machine: from a Helm repository and Git hosts that speak the real protocols.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
#![expect(dead_code, reason = "hosts that other tests ask for more")]

#[path = "../../watcher/tests/support/charts.rs"]
mod charts;
#[path = "../../watcher/tests/login/gate.rs"]
mod gate;
#[path = "../../watcher/tests/support/http.rs"]
mod http;

use std::path::{Path, PathBuf};
use std::process::Output;

use charts::Charts;
use gate::{Gate, Kind};
use http::Git;
use serde_json::{Value, json};
use tempfile::TempDir;

const PLAIN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n";

/// Applications, and a cache of its own.
struct World(TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.0.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    async fn render(&self, sources: &[Value], more: &[&str]) -> Output {
        let documents = sources.iter().enumerate().map(|(number, source)| {
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
                "metadata": {"name": format!("app{number}")},
                "spec": {"source": source, "destination": {"namespace": "telescopes"}},
            })
            .to_string()
        });
        let text = documents.collect::<Vec<_>>().join("\n---\n");
        let file = self.file("applications.yaml", &text);
        tokio::process::Command::new(env!("CARGO_BIN_EXE_towline"))
            .arg("render")
            .arg(file)
            .arg("--cache-dir")
            .arg(self.0.path().join("cache"))
            .args(more)
            .output()
            .await
            .unwrap()
    }
}

fn names(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let of = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    objects.iter().map(of).collect()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_map_answers_is_fetched_and_offline_it_is_had_from_the_cache() {
    let mut charts = Charts::serve().await;
    charts.publish("web", "1.0.0");
    charts.publish("web", "1.2.0");
    let git = Git::serve().await;
    let (host, repository) = (charts.url(), git.url());
    git.commit(&[
        ("plain/a.yaml", PLAIN),
        (
            "chart/Chart.yaml",
            &format!(
                "apiVersion: v2\nname: dome\nversion: 1.0.0\ndependencies:\n- {{name: web, version: ~1.0, repository: '{host}'}}\n"
            ),
        ),
        (
            "chart/templates/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 'charts-{{ len .Values.entries }}'}\n",
        ),
        (
            "overlay/kustomization.yaml",
            &format!("resources: ['{repository}//base?ref=main']\nnamePrefix: far-\n"),
        ),
        ("base/kustomization.yaml", "resources: [a.yaml]\n"),
        ("base/a.yaml", PLAIN),
    ]);
    let at = |path: &str| json!({"repoURL": repository, "path": path, "targetRevision": "main"});
    let mut with_file = at("chart");
    with_file["helm"] = json!({"valueFiles": [format!("{host}/index.yaml")]});
    let sources = [
        json!({"repoURL": host, "chart": "web", "targetRevision": "1.x"}),
        at("plain"),
        with_file,
        at("overlay"),
    ];
    let world = World::new();
    let first = world.render(&sources, &[]).await;
    assert_eq!(
        names(&first),
        ["web", "plain", "web", "charts-1", "far-plain"]
    );
    let requests = git.requests();
    charts.stop().await;
    let offline = world.render(&sources, &["--offline"]).await;
    assert_eq!(names(&offline), names(&first));
    assert_eq!(git.requests(), requests);

    let other = World::new().render(&sources, &["--offline"]).await;
    assert_eq!(other.status.code(), Some(1));
    assert!(other.stdout.is_empty());
    for missing in [
        format!("app0: ComparisonError: chart web of {host}: with --offline"),
        format!("app1: ComparisonError: {repository}: with --offline"),
        format!("--map '{repository}=DIR'"),
    ] {
        assert!(
            stderr(&other).contains(&missing),
            "{other:?}\nshould have {missing}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository_is_fetched_as_the_secrets_say_and_nothing_shows_them() {
    // The gate is a client, too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let git = Git::serve().await;
    git.commit(&[("plain/a.yaml", PLAIN)]);
    // ada:canary
    let gate = Gate::start(Kind::Closed(
        git.address,
        "Basic YWRhOmNhbmFyeQ==".to_owned(),
    ))
    .await;
    let world = World::new();
    let source = [json!({"repoURL": gate.url(), "path": "plain"})];
    let secret = |password: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: team\n  labels: {{argocd.argoproj.io/secret-type: repo-creds}}\n\
             stringData: {{url: 'http://{}/team', username: ada, password: {password}}}\n",
            gate.address
        )
    };
    let right = world.file("right.yaml", &secret("canary"));
    let wrong = world.file("wrong.yaml", &secret("canary2"));
    let with = |file: &Path| ["--repositories".to_owned(), file.display().to_string()];

    let anonymous = world.render(&source, &[]).await;
    assert_eq!(anonymous.status.code(), Some(1));
    let refused = world
        .render(&source, &with(&wrong).each_ref().map(String::as_str))
        .await;
    assert_eq!(refused.status.code(), Some(1));
    let granted = world
        .render(&source, &with(&right).each_ref().map(String::as_str))
        .await;
    assert_eq!(names(&granted), ["plain"]);
    for output in [&anonymous, &refused, &granted] {
        assert!(!format!("{output:?}").contains("canary"), "{output:?}");
    }
    // What one login got is nobody else's.
    let nobody = world.render(&source, &["--offline"]).await;
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(!holds(&world.0.path().join("cache"), "canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapped_repository_is_not_asked_for_and_the_others_keep_their_revision() {
    let git = Git::serve().await;
    git.commit(&[("values/base.yaml", "a: 1\n"), ("plain/a.yaml", PLAIN)]);
    let here = tempfile::tempdir().unwrap();
    let bare = git2::Repository::init_bare(here.path()).unwrap();
    let blob = bare
        .blob(PLAIN.replace("plain", "mapped").as_bytes())
        .unwrap();
    let mut tree = bare.treebuilder(None).unwrap();
    tree.insert("a.yaml", blob, 0o100_644).unwrap();
    let tree = bare.find_tree(tree.write().unwrap()).unwrap();
    let who = git2::Signature::new("t", "t@example.org", &git2::Time::new(0, 0)).unwrap();
    bare.commit(Some("refs/heads/topic"), &who, &who, "files", &tree, &[])
        .unwrap();
    let mapped = "https://git.example.org/mapped";
    let sources = [
        json!({"repoURL": mapped, "path": ".", "targetRevision": "main"}),
        json!({"repoURL": git.url(), "path": "plain", "targetRevision": "main"}),
    ];
    let map = format!("{mapped}={}", here.path().display());
    let output = World::new()
        .render(&sources, &["--map", &map, "--revision", "topic"])
        .await;
    assert_eq!(names(&output), ["mapped", "plain"]);
}
