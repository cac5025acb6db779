//! The fields of the `helm` block, and what else Helm looks at.

use renderer::Dependencies;
use serde_json::json;

use crate::helm::{CHART, SHOW, mk_case, same};
use crate::repository::mk_default_engine;

const VALUES: &str = "shutter: closed\nlist: [1, 2]\nnested: {a: 1, b: two}\nbig: 12345678901234567890\nint: 1000000\nfloat: 1e3\n";

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

#[expect(clippy::too_many_lines, reason = "a table")]
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

#[expect(clippy::too_many_lines, reason = "a table")]
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
