//! `towline render` and `towline inputs`, with the real engine on repositories in a temporary folder.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const URL: &str = "https://git.example.org/sky/deploy.git";
const PLAIN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n";
const FILES: [(&str, &str); 11] = [
    (
        "plain/b.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: b}\n",
    ),
    ("plain/a.yaml", PLAIN),
    (
        "chart/Chart.yaml",
        "apiVersion: v2\nname: dome\nversion: 1.0.0\n",
    ),
    ("chart/values.yaml", "shutter: closed\n"),
    ("chart/values-north.yaml", "shutter: open\n"),
    (
        "chart/templates/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  shutter: {{ .Values.shutter }}\n",
    ),
    ("base/kustomization.yaml", "resources: [a.yaml]\n"),
    ("base/a.yaml", PLAIN),
    (
        "overlay/kustomization.yaml",
        "resources: [../base]\nnamePrefix: north-\n",
    ),
    ("mile/kustomization.yaml", "namespace: north\n"),
    (
        "broken/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n",
    ),
];

/// A checkout with one commit on `main`, and what is asked of it.
struct World {
    folder: TempDir,
    git: git2::Repository,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main");
        let git = git2::Repository::init_opts(folder.path().join("repo"), &options).unwrap();
        let world = Self { folder, git };
        world.commit(files);
        world
    }

    /// Adds files to those of the last commit.
    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            let path = self.repository().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let mut index = self.git.index().unwrap();
        index
            .add_all(["*"], git2::IndexAddOption::DEFAULT, None)
            .unwrap();
        index.write().unwrap();
        let tree = self.git.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::new("t", "t@example.org", &git2::Time::new(0, 0)).unwrap();
        let head = self
            .git
            .head()
            .ok()
            .map(|head| head.peel_to_commit().unwrap());
        let parents = Vec::from_iter(head.as_ref());
        let commit = self
            .git
            .commit(Some("HEAD"), &who, &who, "files", &tree, &parents)
            .unwrap();
        commit.to_string()
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    /// A file with Applications.
    fn applications(&self, documents: &[Value]) -> PathBuf {
        let texts = documents.iter().map(Value::to_string);
        self.file(
            "applications.yaml",
            &texts.collect::<Vec<_>>().join("\n---\n"),
        )
    }

    fn run(&self, command: &str, file: &Path, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_towline"))
            .arg(command)
            .arg(file)
            .arg("--map")
            .arg(format!("{URL}={}", self.repository().display()))
            .arg("--offline")
            .arg("--cache-dir")
            .arg(self.folder.path().join("cache"))
            .args(more)
            .output()
            .unwrap()
    }

    fn render(&self, documents: &[Value], more: &[&str]) -> Output {
        self.run("render", &self.applications(documents), more)
    }
}

fn application(name: &str, source: impl Into<Value>) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name},
        "spec": {"source": source.into(), "destination": {"namespace": "telescopes"}},
    })
}

fn at(path: &str) -> Value {
    json!({"repoURL": URL, "path": path, "targetRevision": "main"})
}

fn objects(text: &[u8]) -> Vec<Value> {
    serde_saphyr::from_multiple(std::str::from_utf8(text).unwrap()).unwrap()
}

fn names(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    let of = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    objects(&output.stdout).iter().map(of).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn applications_of_each_tool_render_in_the_order_of_the_file() {
    let world = World::new(&FILES);
    let mut last_mile = application("mile", at("chart"));
    last_mile["metadata"]["annotations"] = json!({"towline.dev/last-mile": "mile"});
    let mut chart = at("chart");
    chart["helm"] = json!({"valueFiles": ["values-north.yaml"]});
    let output = world.render(
        &[
            application("plain", at("plain")),
            application("dome", chart),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}}),
            application("overlay", at("overlay")),
            last_mile,
        ],
        &[],
    );
    assert_eq!(
        names(&output),
        ["plain", "b", "dome", "north-plain", "mile"]
    );
    let objects = objects(&output.stdout);
    assert_eq!(objects[2]["data"]["shutter"], "open");
    assert_eq!(objects[4]["metadata"]["namespace"], "north");
    assert!(stderr(&output).ends_with("Secret other is no Application, passed over\n"));
}

#[test]
fn one_that_fails_is_told_and_fails_the_command_but_not_its_neighbours() {
    let world = World::new(&FILES);
    let folder = world.folder.path().join("out");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("broken.yaml"), "of an earlier run").unwrap();
    let apps = [
        application("broken", at("broken")),
        application("plain", at("plain")),
        application(
            "elsewhere",
            json!({"repoURL": "https://other.example.org/a", "path": "a"}),
        ),
        application(
            "gone",
            json!({"repoURL": URL, "path": "plain", "targetRevision": "v9"}),
        ),
    ];
    let output = world.render(&apps, &["-o", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert_eq!(
        objects(&std::fs::read(folder.join("plain.yaml")).unwrap()).len(),
        2
    );
    assert!(!folder.join("broken.yaml").exists());
    let said = stderr(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("broken: ComparisonError: broken at "),
        "{said}"
    );
    assert!(
        lines[0].contains("broken/a.yaml:3 is not valid YAML"),
        "{said}"
    );
    assert!(
        lines[1].contains("--map 'https://other.example.org/a=DIR'"),
        "{said}"
    );
    assert!(
        lines[2].starts_with("gone: ComparisonError: the revision in ")
            && lines[2].ends_with("there is no branch, tag or commit \"v9\""),
        "{said}"
    );
}

#[test]
fn a_revision_of_the_command_line_wins_and_uncommitted_files_do_not_count() {
    let world = World::new(&FILES);
    world.commit(&[("plain/c.yaml", &PLAIN.replace("plain", "c"))]);
    let head = world.git.revparse_single("HEAD").unwrap();
    let who = git2::Signature::new("t", "t@example.org", &git2::Time::new(0, 0)).unwrap();
    world
        .git
        .tag("v2", &head, &who, "annotated", false)
        .unwrap();
    std::fs::write(
        world.repository().join("plain/d.yaml"),
        PLAIN.replace("plain", "d"),
    )
    .unwrap();
    let apps = [application("plain", at("plain"))];
    assert_eq!(names(&world.render(&apps, &[])), ["plain", "b", "c"]);
    assert_eq!(
        names(&world.render(&apps, &["--revision", "HEAD~1"])),
        ["plain", "b"]
    );
    assert_eq!(
        names(&world.render(&apps, &["--revision", "v2"])),
        ["plain", "b", "c"]
    );
}

#[test]
fn a_target_revision_means_what_it_means_to_a_running_towline() {
    let world = World::new(&FILES);
    let tag = |name: &str| {
        let head = world.git.revparse_single("HEAD").unwrap();
        let who = git2::Signature::new("t", "t@example.org", &git2::Time::new(0, 0)).unwrap();
        world.git.tag(name, &head, &who, "annotated", false)
    };
    tag("v1.2.0").unwrap();
    world.commit(&[("plain/c.yaml", &PLAIN.replace("plain", "c"))]);
    tag("v1.10.0").unwrap();
    tag("v2.0.0").unwrap();
    world.commit(&[("plain/d.yaml", &PLAIN.replace("plain", "d"))]);
    let render = |target: &str| {
        let mut source = at("plain");
        source["targetRevision"] = json!(target);
        world.render(&[application("plain", source)], &[])
    };
    for (target, expected) in [
        ("1.x", vec!["plain", "b", "c"]),
        ("v1.2.0", vec!["plain", "b"]),
        ("main", vec!["plain", "b", "c", "d"]),
        ("", vec!["plain", "b", "c", "d"]),
    ] {
        assert_eq!(names(&render(target)), expected, "{target}");
    }
    for odd in ["main~1", "a:main", "3.x", "main^{tree}"] {
        let output = render(odd);
        assert_eq!(output.status.code(), Some(1), "{odd}");
        let text = stderr(&output);
        let told = format!("there is no branch, tag or commit {odd:?}");
        assert!(text.trim_end().ends_with(&told), "{text}");
    }
}

#[test]
fn a_branch_that_a_checkout_knows_from_its_origin_only_is_found() {
    let world = World::new(&FILES);
    let head = world.git.head().unwrap().peel_to_commit().unwrap();
    let git = &world.git;
    git.reference("refs/remotes/origin/main", head.id(), false, "fetched")
        .unwrap();
    git.set_head_detached(head.id()).unwrap();
    git.find_branch("main", git2::BranchType::Local)
        .unwrap()
        .delete()
        .unwrap();
    let output = world.render(&[application("plain", at("plain"))], &[]);
    assert_eq!(names(&output), ["plain", "b"]);
}

#[test]
fn a_link_out_of_the_repository_is_refused_unless_the_command_line_allows_it() {
    let world = World::new(&FILES);
    std::os::unix::fs::symlink("/etc/hosts", world.repository().join("plain/hosts")).unwrap();
    world.commit(&[]);
    let file = world.applications(&[
        application("plain", at("plain")),
        application("chart", at("chart")),
    ]);
    let output = world.run("render", &file, &[]);
    assert_eq!(output.status.code(), Some(1));
    let rendered = objects(&output.stdout);
    assert_eq!(rendered.len(), 1);
    assert_eq!(rendered[0]["metadata"]["name"], "chart");
    let text = stderr(&output);
    assert!(
        text.contains("plain/hosts is a link to \"/etc/hosts\", out of the repository"),
        "{text}"
    );
    let output = world.run("render", &file, &["--allow-oob-symlinks"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_chart_sees_the_cluster_that_the_command_line_describes() {
    let world = World::new(&[
        FILES[2],
        (
            "chart/templates/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  kube: {{ .Capabilities.KubeVersion.Version }}\n  has: {{ .Capabilities.APIVersions.Has \"sky/v1/Dome\" | quote }}\n",
        ),
    ]);
    let apps = [application("dome", at("chart"))];
    let output = world.render(
        &apps,
        &[
            "--kube-version",
            "1.33.4",
            "--api-versions",
            "sky/v1,sky/v1/Dome",
        ],
    );
    let data = &objects(&output.stdout)[0]["data"];
    assert_eq!(*data, json!({"kube": "v1.33.4", "has": "true"}));
    let output = world.render(&apps, &[]);
    assert_eq!(
        objects(&output.stdout)[0]["data"]["has"],
        "false",
        "{output:?}"
    );
}

#[test]
fn what_is_printed_means_the_same_when_it_is_read_again() {
    let awkward = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
        "data": {
            "yes": "no", "octal": "0755", "sexagesimal": "1:30", "float": "1e3", "null": "null", "tilde": "~", "empty": "",
            "spaces": "  lead and trail  ", "lines": "a\n  b\n\nc\n", "no-end": "a\nb", "ends": "a\n\n\n", "tabs": "a\t\nb ",
            "long": "word ".repeat(60), "marks": "---\n# {{ }} : - & *", "date": "2026-11-24", "unicode": "é\u{2028}\u{7f}",
        },
        "numbers": [0, -1, 9_007_199_254_740_993_i64, u64::MAX, 1.5, 1e30, true, null, [], {}],
    });
    let world = World::new(&[("a/a.json", &awkward.to_string())]);
    let apps = [application("a", at("a"))];
    let first = world.render(&apps, &[]);
    assert!(first.status.success(), "{first:?}");
    world.commit(&[("b/b.yaml", std::str::from_utf8(&first.stdout).unwrap())]);
    let second = world.render(&[application("a", at("b"))], &[]);
    assert_eq!(
        std::str::from_utf8(&first.stdout).unwrap(),
        std::str::from_utf8(&second.stdout).unwrap()
    );
    assert_eq!(objects(&second.stdout)[0]["data"], awkward["data"]);
}

#[test]
fn inputs_are_listed_by_source_with_what_was_not_there() {
    let world = World::new(&FILES);
    let app = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "dome"},
        "spec": {"destination": {}, "sources": [
            {"repoURL": URL, "path": "chart", "helm": {
                "valueFiles": ["$values/chart/values-north.yaml", "values-none.yaml"],
                "ignoreMissingValueFiles": true,
                "parameters": [{"name": "commit", "value": "$ARGOCD_APP_REVISION"}],
            }},
            {"repoURL": URL, "ref": "values"},
        ]},
    });
    let output = world.run("inputs", &world.applications(&[app]), &[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let commit = world.git.revparse_single("HEAD").unwrap().id();
    let file = world
        .git
        .revparse_single("HEAD:chart/values-north.yaml")
        .unwrap()
        .id();
    for line in [
        "# dome".to_owned(),
        "absent 1 chart/values-none.yaml".to_owned(),
        format!("{file} 2 chart/values-north.yaml"),
        format!("{commit} 1 $ARGOCD_APP_REVISION"),
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{text}\nshould have {line}"
        );
    }
}

#[test]
fn a_file_url_needs_no_map_and_a_file_without_application_is_an_error() {
    let world = World::new(&FILES);
    let url = format!("file://{}", world.repository().display());
    let output = world.render(
        &[application(
            "plain",
            json!({"repoURL": url, "path": "plain"}),
        )],
        &[],
    );
    assert_eq!(names(&output), ["plain", "b"]);
    let output = world.render(&[json!({"kind": "Secret"})], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).ends_with("error: no Application in what was given\n"));
}

#[test]
fn a_remote_base_is_taken_from_its_map_at_the_revision_that_it_names() {
    let world = World::new(&FILES);
    let overlay = format!("resources: ['{URL}//base?ref=main']\nnameSuffix: -far\n");
    world.commit(&[("far/kustomization.yaml", &overlay)]);
    let apps = [application("far", at("far"))];
    assert_eq!(names(&world.render(&apps, &[])), ["plain-far"]);
    let output = world.run("inputs", &world.applications(&apps), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let tree = world.git.revparse_single("HEAD^{tree}").unwrap().id();
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with(&format!("{tree} the repository ")),
        "{text}"
    );
}

#[test]
fn everything_that_is_needed_and_not_here_is_named_with_what_to_do() {
    let world = World::new(&[
        (
            "chart/Chart.yaml",
            "apiVersion: v2\nname: dome\nversion: 1.0.0\ndependencies:\n- {name: redis, version: 1.0.0, repository: 'https://charts.example.org'}\n",
        ),
        (
            "overlay/kustomization.yaml",
            "resources: ['https://git.example.org/other/base.git//a?ref=v1']\n",
        ),
    ]);
    let chart = json!({"repoURL": "https://charts.example.org", "chart": "redis", "targetRevision": "1.0.0"});
    let apps = [
        application("dome", at("chart")),
        application("overlay", at("overlay")),
        application("redis", chart),
    ];
    let output = world.render(&apps, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for part in [
        "dome: ComparisonError: what is needed beside the sources can't be had:",
        "  the chart redis 1.0.0 of https://charts.example.org: with --offline only what an earlier run fetched counts",
        "--map 'https://git.example.org/other/base.git=DIR'",
        "redis: ComparisonError: chart redis of https://charts.example.org: with --offline only what",
    ] {
        assert!(said.contains(part), "{said}\nshould have {part}");
    }
}

#[test]
fn applications_that_a_chart_makes_render_from_the_file_that_it_renders_to() {
    let template = format!(
        "{{{{- range .Values.apps }}}}\n---\napiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: {{{{ . }}}}\n  namespace: teams\nspec:\n  project: default\n  destination: {{namespace: {{{{ . }}}}}}\n  source:\n    repoURL: {URL}\n    path: {{{{ . }}}}\n    targetRevision: main\n{{{{- end }}}}\n"
    );
    let world = World::new(&FILES);
    world.commit(&[
        (
            "environments/Chart.yaml",
            "apiVersion: v2\nname: environments\nversion: 1.0.0\n",
        ),
        ("environments/values-north.yaml", "apps: [plain, chart]\n"),
        ("environments/templates/apps.yaml", &template),
    ]);
    let mut source = at("environments");
    source["helm"] = json!({"valueFiles": ["values-north.yaml"]});
    let folder = world.folder.path().join("out");
    let output = world.render(
        &[application("north", source)],
        &["-o", folder.to_str().unwrap()],
    );
    assert!(output.status.success(), "{output:?}");
    let children = world.folder.path().join("children");
    let output = world.run(
        "render",
        &folder.join("north.yaml"),
        &["-o", children.to_str().unwrap()],
    );
    assert!(output.status.success(), "{output:?}");
    let mut files: Vec<_> = std::fs::read_dir(&children)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["teams_chart.yaml", "teams_plain.yaml"]);
}

#[test]
fn inputs_are_a_list_for_programs_too() {
    let world = World::new(&FILES);
    let file = world.applications(&[application("overlay", at("overlay"))]);
    let output = world.run("inputs", &file, &["-o", "json"]);
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read[0]["application"], "overlay");
    assert_eq!(read[0]["sources"][0]["repository"], URL);
    let paths = read[0]["files"].as_array().unwrap().iter();
    let paths: Vec<_> = paths.map(|input| input["p"].as_str().unwrap()).collect();
    assert!(paths.contains(&"base/kustomization.yaml"), "{read}");
}
