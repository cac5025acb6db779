//! Charts against the real `helm`: what Argo CD would run, and what a job comes to.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use bus::message::cluster::Capabilities;
use bus::message::need::Need;
use renderer::{Database, Dependencies, ReadLimits, Tree};
use serde_json::{Value, json};

use crate::repository::{Engine, Repository, mk_default_engine};

/// One chart at `dome`, how Argo CD's fields say it, and how it says it to Helm.
struct Case {
    name: &'static str,
    helm: Value,
    files: Vec<(&'static str, String)>,
    arguments: Vec<String>,
}

fn mk_case(
    name: &'static str,
    helm: Value,
    files: &[(&'static str, &str)],
    arguments: &[&str],
) -> Case {
    let owned = |(path, text): &(&'static str, &str)| (*path, (*text).to_owned());
    Case {
        name,
        helm,
        files: files.iter().map(owned).collect(),
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
    }
}

impl Case {
    fn plain(&self) -> Vec<(&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect()
    }

    /// The case's files on disk.
    fn on_disk(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in &self.files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }
}

async fn helm(chart: &Path, arguments: &[String]) -> Result<String, String> {
    let helm = deploy::locate(deploy::Component::Helm).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(helm)
        .args(arguments)
        .current_dir(chart)
        .env("HELM_CACHE_HOME", home.path())
        .env("HELM_CONFIG_HOME", home.path())
        .env("HELM_DATA_HOME", home.path())
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

/// As Argo CD does it: template, and if a dependency is missing, build and template again.
async fn real(case: &Case, folder: &Path) -> Result<String, String> {
    let chart = folder.join("dome");
    let mut arguments: Vec<String> = [
        "template",
        ".",
        "--name-template",
        "dome",
        "--namespace",
        "telescopes",
        "--kube-version",
        "1.37.2",
        "--include-crds",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(case.arguments.iter().cloned());
    match helm(&chart, &arguments).await {
        Err(error) if error.contains("missing in charts/ directory") => {
            helm(&chart, &["dependency".to_owned(), "build".to_owned()]).await?;
            helm(&chart, &arguments).await
        }
        other => other,
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        kube_version: "v1.37.2".to_owned(),
        api_versions: vec!["sky/v1/Dome".to_owned()],
    }
}

/// What Helm printed, as objects.
async fn objects(engine: &Engine, text: &str) -> Vec<Value> {
    let repository = Repository::new();
    let job = repository.job(
        json!({"repoURL": "r", "path": "out"}),
        &[("out/out.yaml", text)],
    );
    sorted(engine.render(job).await.unwrap().objects)
}

fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(ToString::to_string);
    objects
}

async fn same(engine: &Engine, case: &Case, dependencies: Dependencies) {
    let folder = case.on_disk();
    let expected = real(case, folder.path()).await;
    let repository = Repository::new();
    let source = json!({"repoURL": "r", "path": "dome", "helm": case.helm});
    let mut job = repository.job(source, &case.plain());
    job.capabilities = Some(capabilities());
    job.dependencies = dependencies;
    let ours = engine.render(job).await;
    match (expected, ours) {
        (Ok(text), Ok(rendered)) => {
            assert!(
                !rendered.objects.is_empty() || text.trim().is_empty(),
                "{}: nothing",
                case.name
            );
            assert_eq!(
                sorted(rendered.objects),
                objects(engine, &text).await,
                "{}",
                case.name
            );
        }
        (Err(_), Err(_)) => {}
        (Ok(text), Err(error)) => panic!("{}: only Helm renders: {error}\n{text}", case.name),
        (Err(error), Ok(_)) => panic!("{}: only Helm fails: {error}", case.name),
    }
}

const CHART: &str = "apiVersion: v2\nname: dome\nversion: 1.0.0\n";
const VALUES: &str = "shutter: closed\nlist: [1, 2]\nnested: {a: 1, b: two}\nbig: 12345678901234567890\nint: 1000000\nfloat: 1e3\n";
const SHOW: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\ndata:\n  values: {{ .Values | toJson | quote }}\n  release: {{ .Release | toJson | quote }}\n";

fn mk_plain() -> Vec<(&'static str, &'static str)> {
    vec![
        ("dome/Chart.yaml", CHART),
        ("dome/values.yaml", VALUES),
        ("dome/templates/show.yaml", SHOW),
        (
            "dome/templates/NOTES.txt",
            "{{ fail \"notes are not rendered by template\" | trunc 0 }}",
        ),
    ]
}

fn with<'a>(more: &[(&'static str, &'a str)]) -> Vec<(&'static str, &'a str)> {
    let mut files: Vec<(&'static str, &'a str)> = mk_plain();
    files.retain(|(path, _)| !path.ends_with("NOTES.txt"));
    files.extend(more);
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_helm_block_give_what_helm_gives() {
    let engine = mk_default_engine().await;
    let env = [
        ("dome/one.yaml", "shutter: open\nnested: {a: 2}\n"),
        ("dome/two.yaml", "nested: {a: 3, c: null}\nlist: [9]\n"),
        ("shared/three.yaml", "nested: {b: null}\n"),
        ("dome/empty.yaml", "# nothing\n"),
        ("dome/text.txt", "line 1\nline, 2: {x}\n"),
    ];
    let cases = [
        mk_case("nothing set", json!({}), &with(&env), &[]),
        mk_case(
            "value files, the last one wins",
            json!({"valueFiles": ["one.yaml", "two.yaml", "/shared/three.yaml", "empty.yaml"]}),
            &with(&env),
            &[
                "--values",
                "one.yaml",
                "--values",
                "two.yaml",
                "--values",
                "../shared/three.yaml",
                "--values",
                "empty.yaml",
            ],
        ),
        mk_case(
            "values over value files",
            json!({"valueFiles": ["one.yaml"], "values": "nested: {a: 9}\nx: 0o17\ny: 017\nz: yes\n"}),
            &with(&[
                ("dome/one.yaml", "nested: {a: 1}"),
                (
                    "values-of-the-source",
                    "nested: {a: 9}\nx: 0o17\ny: 017\nz: yes\n",
                ),
            ]),
            &[
                "--values",
                "one.yaml",
                "--values",
                "../values-of-the-source",
            ],
        ),
        mk_case(
            "valuesObject over values",
            json!({"values": "shutter: never\n", "valuesObject": {"shutter": "ajar", "n": 1.0, "big": 9_007_199_254_740_993_i64}}),
            &with(&[(
                "object",
                r#"{"shutter": "ajar", "n": 1.0, "big": 9007199254740993}"#,
            )]),
            &["--values", "../object"],
        ),
        mk_case(
            "parameters",
            json!({"parameters": [
                {"name": "a.b", "value": "true"}, {"name": "s", "value": "true", "forceString": true},
                {"name": "csv", "value": "1,2"}, {"name": "l", "value": "{x,y}"}, {"name": "list[1]", "value": "7"},
                {"name": "nested.a", "value": "null"}, {"name": "esc\\.aped", "value": "0123"},
                {"name": "dup", "value": "1"}, {"name": "dup", "value": "2"},
            ]}),
            &with(&[]),
            &[
                "--set",
                "a.b=true",
                "--set-string",
                "s=true",
                "--set",
                "csv=1\\,2",
                "--set",
                "l={x,y}",
                "--set",
                "list[1]=7",
                "--set",
                "nested.a=null",
                "--set",
                "esc\\.aped=0123",
                "--set",
                "dup=2",
            ],
        ),
        mk_case(
            "file parameters",
            json!({"fileParameters": [{"name": "text", "path": "text.txt"}, {"name": "n.t", "path": "/shared/three.yaml"}]}),
            &with(&env),
            &[
                "--set-file",
                "text=text.txt",
                "--set-file",
                "n.t=../shared/three.yaml",
            ],
        ),
        mk_case(
            "release name and namespace",
            json!({"releaseName": "other", "namespace": "elsewhere"}),
            &with(&[]),
            &["--name-template", "other", "--namespace", "elsewhere"],
        ),
        mk_case(
            "a release name that is none",
            json!({"releaseName": "Other_"}),
            &with(&[]),
            &["--name-template", "Other_"],
        ),
        mk_case(
            "a value file that is missing",
            json!({"valueFiles": ["none.yaml"]}),
            &with(&[]),
            &["--values", "none.yaml"],
        ),
        mk_case("notes are left out", json!({}), &mk_plain(), &[]),
    ];
    for case in &cases {
        same(&engine, case, Dependencies::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_helm_looks_at_counts_alike() {
    let engine = mk_default_engine().await;
    let capabilities = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  kube: {{ .Capabilities.KubeVersion.Version }}\n  minor: {{ .Capabilities.KubeVersion.Minor | quote }}\n  has: {{ .Capabilities.APIVersions.Has \"sky/v1/Dome\" | quote }}\n  core: {{ .Capabilities.APIVersions.Has \"apps/v1\" | quote }}\n  helm: {{ .Capabilities.HelmVersion.Version }}\n";
    let schema = r#"{"type": "object", "properties": {"shutter": {"enum": ["closed", "open"]}}}"#;
    let tests = [
        (
            "dome/crds/crd.yaml",
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: domes.sky}\n---\n# empty\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: mounts.sky}\n",
        ),
        (
            "dome/templates/tests/test.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: test\n  annotations: {helm.sh/hook: test}\n",
        ),
        (
            "dome/templates/hook.yaml",
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: hook\n  annotations: {helm.sh/hook: 'pre-install,test', helm.sh/hook-weight: '5'}\n",
        ),
        (
            "dome/templates/_helpers.tpl",
            "{{ define \"x\" }}x{{ end }}",
        ),
        (
            "dome/templates/empty.yaml",
            "{{ if false }}a: 1{{ end }}\n---\n",
        ),
    ];
    let yaml = "apiVersion: v1\nkind: List\nitems:\n- &one\n  apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: one}\n  data: {on: 'yes', oct: '0755'}\n- <<: *one\n  metadata: {name: two, labels: {n: \"1\"}}\n---\napiVersion: v1\nkind: Thing\nmetadata: {name: t}\nspec: {mode: 0755, yes: no, big: 12345678901234567890, f: 1.50, e: 1e3, null: ~, t: 2020-01-01}\n";
    let lookup = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: l}\ndata:\n  found: {{ lookup \"v1\" \"Secret\" \"a\" \"b\" | toJson | quote }}\n  list: {{ (lookup \"v1\" \"Secret\" \"a\" \"\").items | toJson | quote }}\n  dns: {{ getHostByName \"localhost\" | quote }}\n";
    let cases = [
        mk_case(
            "capabilities",
            json!({}),
            &with(&[("dome/templates/c.yaml", capabilities)]),
            &["--api-versions", "sky/v1/Dome"],
        ),
        mk_case(
            "capabilities of the source",
            json!({"kubeVersion": "v1.30.4-eks-1", "apiVersions": ["a/v1/B"]}),
            &with(&[("dome/templates/c.yaml", capabilities)]),
            &["--kube-version", "1.30.4", "--api-versions", "a/v1/B"],
        ),
        mk_case(
            "a kube version that does not fit",
            json!({"kubeVersion": "1.20.0"}),
            &[
                (
                    "dome/Chart.yaml",
                    "apiVersion: v2\nname: dome\nversion: 1.0.0\nkubeVersion: '>=1.25-0'\n",
                ),
                ("dome/templates/show.yaml", SHOW),
            ],
            &["--kube-version", "1.20.0"],
        ),
        mk_case("crds, hooks and tests", json!({}), &with(&tests), &[]),
        mk_case(
            "without crds",
            json!({"skipCrds": true}),
            &with(&tests),
            &["--include-crds=false"],
        ),
        mk_case(
            "without tests",
            json!({"skipTests": true}),
            &with(&tests),
            &["--skip-tests"],
        ),
        mk_case(
            "a schema that is met",
            json!({"values": "shutter: open"}),
            &with(&[
                ("dome/values.schema.json", schema),
                ("values", "shutter: open"),
            ]),
            &["--values", "../values"],
        ),
        mk_case(
            "a schema that is not met",
            json!({"values": "shutter: no"}),
            &with(&[
                ("dome/values.schema.json", schema),
                ("values", "shutter: no"),
            ]),
            &["--values", "../values"],
        ),
        mk_case(
            "a schema that is not asked",
            json!({"values": "shutter: ajar", "skipSchemaValidation": true}),
            &with(&[
                ("dome/values.schema.json", schema),
                ("values", "shutter: ajar"),
            ]),
            &["--values", "../values", "--skip-schema-validation"],
        ),
        mk_case(
            "YAML of all sorts",
            json!({}),
            &with(&[("dome/templates/y.yaml", yaml)]),
            &[],
        ),
        mk_case(
            "lookup and DNS find nothing",
            json!({}),
            &with(&[("dome/templates/l.yaml", lookup)]),
            &[],
        ),
        mk_case(
            "files",
            json!({}),
            &with(&[
                ("dome/conf/a.txt", "a"),
                ("dome/conf/b.md", "b"),
                ("dome/.helmignore", "*.md\n"),
                (
                    "dome/templates/f.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: f}\ndata:\n{{ (.Files.Glob \"conf/*\").AsConfig | indent 2 }}\n",
                ),
            ]),
            &[],
        ),
        mk_case(
            "a library",
            json!({}),
            &[
                (
                    "dome/Chart.yaml",
                    "apiVersion: v2\nname: dome\nversion: 1.0.0\ntype: library\n",
                ),
                ("dome/templates/show.yaml", SHOW),
            ],
            &[],
        ),
        mk_case(
            "a template that fails",
            json!({}),
            &with(&[(
                "dome/templates/x.yaml",
                "{{ required \"say x\" .Values.x }}",
            )]),
            &[],
        ),
    ];
    for case in &cases {
        same(&engine, case, Dependencies::default()).await;
    }
}

const LIBRARY: [(&str, &str); 4] = [
    (
        "lib/Chart.yaml",
        "apiVersion: v2\nname: lib\nversion: 0.3.1\n",
    ),
    (
        "lib/values.yaml",
        "enabled: true\ndeep: {a: 1}\nexports: {data: {exported: 1}}\nglobal: {g: lib}\n",
    ),
    (
        "lib/templates/l.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Chart.Name }}-{{ .Release.Name }}'}\ndata: {v: {{ .Values | toJson | quote }}}\n",
    ),
    ("lib/README.md", "x"),
];

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_the_same_repository_are_built_in_as_helm_does() {
    let engine = mk_default_engine().await;
    let case = |name, dependencies: &str, more: &[(&'static str, &str)], values: &str| {
        let chart = format!("{CHART}dependencies:\n{dependencies}");
        let mut files: Vec<(&'static str, &str)> = vec![
            ("dome/Chart.yaml", &chart),
            ("dome/templates/show.yaml", SHOW),
            ("dome/values.yaml", "global: {g: dome}\n"),
            ("values", values),
        ];
        files.extend(LIBRARY);
        files.extend(more);
        mk_case(
            name,
            json!({"values": values}),
            &files,
            &["--values", "../values"],
        )
    };
    let lib = "- {name: lib, version: 0.x, repository: 'file://../lib'}\n";
    let sub = "apiVersion: v2\nname: mid\nversion: 1.0.0\ndependencies: [{name: lib, version: '*', repository: 'file://../lib'}]\n";
    let cases = [
        case("a folder beside", lib, &[], "a: 1"),
        case(
            "an alias and the chart itself",
            "- {name: lib, version: 0.x, repository: 'file://../lib', alias: one}\n- {name: lib, version: '>=0.3.0', repository: 'file://../lib', alias: two}\n",
            &[],
            "one: {deep: {a: 5}}",
        ),
        case(
            "off by condition",
            "- {name: lib, version: 0.x, repository: 'file://../lib', condition: lib.enabled}\n",
            &[],
            "lib: {enabled: false}",
        ),
        case(
            "off by tag",
            "- {name: lib, version: 0.x, repository: 'file://../lib', tags: [extra]}\n",
            &[],
            "tags: {extra: false}",
        ),
        case(
            "a condition over a tag",
            "- {name: lib, version: 0.x, repository: 'file://../lib', tags: [extra], condition: lib.enabled}\n",
            &[],
            "tags: {extra: false}",
        ),
        case(
            "imported values",
            "- {name: lib, version: 0.x, repository: 'file://../lib', import-values: [data, {child: deep, parent: taken}]}\n",
            &[],
            "a: 1",
        ),
        case(
            "a version that is not there",
            "- {name: lib, version: ^1.0.0, repository: 'file://../lib'}\n",
            &[],
            "a: 1",
        ),
        case(
            "a folder that is not there",
            "- {name: lib, version: '*', repository: 'file://../nowhere'}\n",
            &[],
            "a: 1",
        ),
        case(
            "a name that the folder's chart does not have",
            "- {name: other, version: '*', repository: 'file://../lib'}\n",
            &[],
            "a: 1",
        ),
        case(
            "a dependency's own dependency is not built",
            "- {name: mid, version: '*', repository: 'file://../mid'}\n",
            &[
                ("mid/Chart.yaml", sub),
                (
                    "mid/templates/m.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mid}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "a dependency's vendored dependency is",
            "- {name: mid, version: '*', repository: 'file://../mid'}\n",
            &[
                ("mid/Chart.yaml", sub),
                ("mid/charts/lib/Chart.yaml", LIBRARY[0].1),
                ("mid/charts/lib/templates/l.yaml", LIBRARY[2].1),
            ],
            "a: 1",
        ),
        case(
            "no repository, in charts/",
            "- {name: here, version: 1.x}\n- {name: lib, version: '*', repository: 'file://../lib'}\n",
            &[
                (
                    "dome/charts/here/Chart.yaml",
                    "apiVersion: v2\nname: here\nversion: 1.2.0\n",
                ),
                (
                    "dome/charts/here/templates/h.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: here}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "no repository, not in charts/",
            "- {name: here, version: 1.x}\n",
            &[],
            "a: 1",
        ),
        case(
            "vendored in another version",
            lib,
            &[
                (
                    "dome/charts/lib/Chart.yaml",
                    "apiVersion: v2\nname: lib\nversion: 9.0.0\n",
                ),
                (
                    "dome/charts/lib/templates/h.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vendored}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "a chart in charts/ that nobody declares",
            lib,
            &[
                (
                    "dome/charts/stray/Chart.yaml",
                    "apiVersion: v2\nname: stray\nversion: 9.0.0\n",
                ),
                (
                    "dome/charts/stray/templates/h.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stray}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "the dependency ignores files of its own",
            "- {name: lib, version: 0.x, repository: 'file://../lib'}\n",
            &[
                ("lib/.helmignore", "ignored.yaml\n"),
                (
                    "lib/templates/ignored.yaml",
                    "kind: {{ fail \"not ignored\" }}",
                ),
            ],
            "a: 1",
        ),
        case(
            "what the chart ignores is not ignored in a dependency",
            lib,
            &[("dome/.helmignore", "l.yaml\n")],
            "a: 1",
        ),
        case(
            "a library chart",
            "- {name: lib, version: '*', repository: 'file://../library'}\n",
            &[
                (
                    "library/Chart.yaml",
                    "apiVersion: v2\nname: lib\nversion: 1.0.0\ntype: library\n",
                ),
                ("library/templates/_h.tpl", "{{ define \"h\" }}h{{ end }}"),
                ("library/templates/no.yaml", "kind: No"),
                (
                    "dome/templates/use.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ include \"h\" . }}'}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "a lock that does not fit",
            lib,
            &[(
                "dome/Chart.lock",
                "dependencies:\n- {name: lib, version: 0.3.1, repository: 'file://../lib'}\ndigest: sha256:0\n",
            )],
            "a: 1",
        ),
        case(
            "a lock whose version has gone",
            lib,
            &[(
                "dome/Chart.lock",
                "dependencies:\n- name: lib\n  repository: file://../lib\n  version: 0.1.0\ndigest: sha256:0\n",
            )],
            "a: 1",
        ),
    ];
    for case in &cases {
        same(&engine, case, Dependencies::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_helm_wrote_fits() {
    let engine = mk_default_engine().await;
    let chart = format!(
        "{CHART}dependencies:\n- name: lib\n  version: '>=0.1.0 <1.0.0'\n  repository: file://../lib\n  alias: a\n  condition: a.b,c.d\n  tags: [x, y]\n  import-values: [data, {{child: deep, parent: taken}}]\n"
    );
    let mut files = vec![
        ("dome/Chart.yaml", chart.as_str()),
        ("dome/templates/show.yaml", SHOW),
    ];
    files.extend(LIBRARY);
    let mut case = mk_case("a lock", json!({}), &files, &[]);
    let folder = case.on_disk();
    let update = ["dependency".to_owned(), "update".to_owned()];
    helm(&folder.path().join("dome"), &update).await.unwrap();
    let lock = std::fs::read_to_string(folder.path().join("dome/Chart.lock")).unwrap();
    case.files.push(("dome/Chart.lock", lock));
    same(&engine, &case, Dependencies::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetched_chart_is_built_in_like_a_package() {
    let engine = mk_default_engine().await;
    let chart = format!(
        "{CHART}dependencies:\n- {{name: lib, version: ^0.3.0, repository: 'https://charts.example', alias: far}}\n"
    );
    // A vendored one stands for the package that Helm would have downloaded.
    let mut files: Vec<(&'static str, &str)> = vec![
        ("dome/Chart.yaml", &chart),
        ("dome/templates/show.yaml", SHOW),
    ];
    let vendored = [
        ("dome/charts/lib/Chart.yaml", LIBRARY[0].1),
        ("dome/charts/lib/values.yaml", LIBRARY[1].1),
        ("dome/charts/lib/templates/l.yaml", LIBRARY[2].1),
    ];
    files.extend(vendored);
    let packaged = mk_case("vendored", json!({}), &files, &[]);
    let folder = packaged.on_disk();
    let expected = real(&packaged, folder.path()).await.unwrap();

    let repository = Repository::new();
    let bare: Vec<_> = packaged
        .plain()
        .into_iter()
        .filter(|(path, _)| !path.contains("charts/"))
        .collect();
    let mut job = repository.job(json!({"repoURL": "r", "path": "dome"}), &bare);
    job.capabilities = Some(capabilities());
    let need = Need::Chart {
        repository: "https://charts.example".to_owned(),
        name: "lib".to_owned(),
        version: "^0.3.0".to_owned(),
    };
    let far = Repository::new();
    let own: Vec<_> = LIBRARY
        .iter()
        .map(|(path, text)| (path.trim_start_matches("lib/"), *text))
        .collect();
    let (_, tree) = far.commit(&own);
    let database = Arc::new(Database::open(far.path()).unwrap());
    let tree = Tree::new(database, &tree, ReadLimits::DEFAULT).unwrap();
    job.dependencies = Dependencies::new([(need, Arc::new(tree))]);
    let rendered = engine.render(job).await.unwrap();
    assert_eq!(sorted(rendered.objects), objects(&engine, &expected).await);
}
