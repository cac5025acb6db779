//! Mistakes, each with what is said of it.

use serde_json::json;

use super::{CHART, MAP, Mistake, in_chart, in_overlay, in_template, mistake};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn helm() -> Vec<Mistake> {
    vec![
        mistake(
            "a missing value file",
            json!({"helm": {"valueFiles": ["values-north.yaml"]}}),
            &[CHART],
            "source.helm.valueFiles names app/values-north.yaml, which does not exist at this revision",
        ),
        mistake(
            "a value file that is no YAML",
            json!({"helm": {"valueFiles": ["values-north.yaml"]}}),
            &[CHART, ("app/values-north.yaml", "a: 1\nb: 2\n c: [\n")],
            "failed to parse app/values-north.yaml: cannot unmarshal yaml document: error converting YAML to JSON: yaml: line 3: mapping values are not allowed in this context",
        ),
        in_chart(
            "values that are no YAML",
            &[("app/values.yaml", "a: 1\nb: 2\n c: 3\n")],
            "cannot load app/values.yaml: cannot unmarshal yaml document: error converting YAML to JSON: yaml: line 3: mapping values are not allowed in this context",
        ),
        in_chart(
            "values of a subchart that are no YAML",
            &[
                (
                    "app/charts/lamp/Chart.yaml",
                    "apiVersion: v2\nname: lamp\nversion: 1.0.0\n",
                ),
                ("app/charts/lamp/values.yaml", "a: 1\nb: 2\n c: 3\n"),
            ],
            "cannot load app/charts/lamp/values.yaml: cannot unmarshal yaml document: error converting YAML to JSON: yaml: line 3: mapping values are not allowed in this context",
        ),
        in_chart(
            "values that are a list",
            &[("app/values.yaml", "- a\n")],
            "cannot load app/values.yaml: cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        in_template(
            "a field of nothing",
            "\na: {{ .Values.shutter.speed }}\n",
            "dome/templates/a.yaml:2:13\n  executing \"dome/templates/a.yaml\" at <.Values.shutter.speed>:\n    nil pointer evaluating interface {}.speed",
        ),
        in_template(
            "an unknown function",
            "\na: {{ shutter }}\n",
            "parse error at (dome/templates/a.yaml:2): function \"shutter\" not defined",
        ),
        in_template(
            "a required value",
            "\na: {{ required \"say which shutter\" .Values.shutter }}\n",
            "execution error at (dome/templates/a.yaml:2:6): say which shutter",
        ),
        in_template(
            "a template that fails",
            "\na: {{ fail \"no shutter\" }}\n",
            "execution error at (dome/templates/a.yaml:2:6): no shutter",
        ),
        in_template(
            "an action without end",
            "\na: {{ if true }}\n",
            "parse error at (dome/templates/a.yaml:3): unexpected EOF",
        ),
        in_template(
            "a template that is not there",
            "\na: {{ include \"dome.labels\" . }}\n",
            "dome/templates/a.yaml:2:6\n  executing \"dome/templates/a.yaml\" at <include \"dome.labels\" .>:\n    error calling include:\ntemplate: no template \"dome.labels\" associated with template \"gotpl\"",
        ),
        in_template(
            "output that is no YAML",
            "apiVersion: v1\nkind: A\nmetadata: {name: a\n",
            "dome/templates/a.yaml (line 3 of its output) is not valid YAML: unclosed bracket '{'",
        ),
        in_template(
            "output that is a list",
            "\n- a\n",
            "dome/templates/a.yaml (line 1 of its output) is a sequence, not a mapping: each document must be one Kubernetes object",
        ),
        in_template(
            "output without a kind",
            "apiVersion: v1\nmetadata: {name: a}\n",
            "dome/templates/a.yaml (line 1 of its output) has no kind (name a)",
        ),
        in_template(
            "output without a name",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n",
            "dome/templates/a.yaml (line 1 of its output) has no metadata.name (kind ConfigMap)",
        ),
        in_chart(
            "values against the schema",
            &[
                ("app/values.yaml", "azimuth: north\nshutter: {speed: 7}\n"),
                (
                    "app/values.schema.json",
                    r#"{"required": ["name"], "properties": {"azimuth": {"type": "integer"}, "shutter": {"properties": {"speed": {"maximum": 5}}}}}"#,
                ),
            ],
            "values don't meet the specifications of the schema(s) in the following chart(s):\ndome:\n- at '': missing property 'name'\n- at '/azimuth': got string, want integer\n- at '/shutter/speed': maximum: got another, want 5",
        ),
        mistake(
            "a chart without a name",
            json!({}),
            &[("app/Chart.yaml", "apiVersion: v2\nversion: 1.0.0\n")],
            "app/Chart.yaml: validation: chart.metadata.name is required",
        ),
        mistake(
            "a chart that is no YAML",
            json!({}),
            &[("app/Chart.yaml", "name: [\n")],
            "cannot load app/Chart.yaml: error converting YAML to JSON: yaml: line 1: did not find expected node content",
        ),
        mistake(
            "a missing dependency",
            json!({}),
            &[(
                "app/Chart.yaml",
                "apiVersion: v2\nname: dome\nversion: 1.0.0\ndependencies: [{name: lamp, version: 1.x.x}]\n",
            )],
            "the chart app depends on lamp: it names no repository, and the charts/ folder does not hold it",
        ),
        mistake(
            "a library",
            json!({}),
            &[(
                "app/Chart.yaml",
                "apiVersion: v2\nname: dome\nversion: 1.0.0\ntype: library\n",
            )],
            "library charts are not installable",
        ),
        mistake(
            "a parameter that is no path",
            json!({"helm": {"parameters": [{"name": "a[x]", "value": "x"}]}}),
            &[CHART],
            "the parameter \"a[x]\" cannot be parsed as a path and value of Helm's --set",
        ),
    ]
}

pub(super) fn kustomize() -> Vec<Mistake> {
    vec![
        in_overlay("a kustomization that is no YAML", "resources:\n- a.yaml\n b: [\n", "invalid Kustomization: yaml: line 3: mapping values are not allowed in this context (after reading app/kustomization.yaml)"),
        in_overlay("an unknown field", "resources: [a.yaml]\nresource: [b.yaml]\n", "invalid Kustomization: json: unknown field \"resource\" (after reading app/kustomization.yaml)"),
        in_overlay("a missing resource", "resources: [a.yaml, b.yaml]\n", "accumulating resources: accumulation err='accumulating resources from 'b.yaml': lstat app/b.yaml: file does not exist': must build at directory: not a valid directory: lstat app/b.yaml: file does not exist (after reading app/a.yaml)"),
        in_overlay(
            "a patch without its target",
            "resources: [a.yaml]\npatches: [{patch: \"apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: b}\\n\"}]\n",
            "no resource matches strategic merge patch \"ConfigMap.v1.[noGrp]/b.[noNs]\": no matches for Id ConfigMap.v1.[noGrp]/b.[noNs]; failed to find unique target for patch ConfigMap.v1.[noGrp]/b.[noNs] (after reading app/a.yaml)",
        ),
        in_overlay(
            "a patch of a field that is not there",
            "resources: [a.yaml]\npatches: [{target: {kind: ConfigMap}, patch: '[{\"op\": \"replace\", \"path\": \"/data/x\", \"value\": 1}]'}]\n",
            "replace operation does not apply: doc is missing path: /data/x: missing value (after reading app/a.yaml)",
        ),
        in_overlay("the same object twice", "resources: [a.yaml, ../b]\n", "accumulating resources: accumulation err='accumulating resources from '../b': 'b' must resolve to a file': recursed merging from path 'b': may not add resource with an already registered id: ConfigMap.v1.[noGrp]/a.[noNs] (after reading b/a.yaml)"),
        in_overlay("a base without a kustomization", "resources: [../c]\n", "accumulating resources: accumulation err='accumulating resources from '../c': 'c' must resolve to a file': couldn't make target for path 'c': unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory 'c'"),
        in_overlay("a literal without a value", "configMapGenerator: [{name: a, literals: [abc]}]\n", "loading KV pairs: literal sources: invalid literal source, expected key=value (after reading app/kustomization.yaml)"),
        in_overlay("a file that is not there", "configMapGenerator: [{name: a, files: [x.txt]}]\n", "loading KV pairs: file sources: [x.txt]: lstat app/x.txt: file does not exist (after reading app/kustomization.yaml)"),
        in_overlay("a replacement without its source", "resources: [a.yaml]\nreplacements: [{source: {kind: Secret}, targets: [{select: {kind: ConfigMap}, fieldPaths: [data.a]}]}]\n", "nothing selected by Secret.[noVer].[noGrp]/[noName].[noNs] (after reading app/a.yaml)"),
    ]
    .into_iter()
    .map(|mut mistake| {
        mistake.files.extend([
            ("b/kustomization.yaml", "resources: [a.yaml]\n"),
            ("b/a.yaml", MAP),
            ("c/a.yaml", MAP),
        ]);
        mistake
    })
    .collect()
}

pub(super) fn plain() -> Vec<Mistake> {
    vec![
        mistake(
            "a missing path",
            json!({}),
            &[("b/a.yaml", MAP)],
            "the path app does not exist at this revision",
        ),
        mistake(
            "a manifest that is no YAML",
            json!({}),
            &[(
                "app/a.yaml",
                "apiVersion: v1\nkind: A\nmetadata:\n  name: a\n b: c\n",
            )],
            "app/a.yaml:5 is not valid YAML: while parsing a block mapping, did not find expected key",
        ),
        mistake(
            "a manifest that is no JSON",
            json!({}),
            &[("app/a.json", "{\n  \"kind\": \"A\",\n}\n")],
            "app/a.json is not valid JSON: trailing comma at line 3 column 1",
        ),
        mistake(
            "Jsonnet that is none",
            json!({}),
            &[("app/a.jsonnet", "{\n  kind: 'A'\n  b: 1,\n}\n")],
            "app/a.jsonnet:3: Expected a comma before next field",
        ),
        mistake(
            "a missing import",
            json!({}),
            &[("app/a.jsonnet", "\nimport 'lib.libsonnet'\n")],
            "app/a.jsonnet:2: the import \"lib.libsonnet\" is neither beside the file nor in the libraries",
        ),
        mistake(
            "an unknown variable",
            json!({}),
            &[("app/a.jsonnet", "{\n  kind: shutter,\n}\n")],
            "app/a.jsonnet:2: Unknown variable: shutter",
        ),
        mistake(
            "Jsonnet that fails",
            json!({}),
            &[("app/a.jsonnet", "local a = {};\n\n{\n  kind: a.b,\n}\n")],
            "app/a.jsonnet:4: Field does not exist: b",
        ),
        mistake(
            "a parameter file that does not fit",
            json!({}),
            &[
                ("app/.argocd-source.yaml", "helm:\n  valueFiles: a\n"),
                ("app/a.yaml", MAP),
            ],
            "the parameter file app/.argocd-source.yaml is not valid: invalid type: string, expected a sequence",
        ),
        mistake(
            "options of several tools",
            json!({"helm": {"releaseName": "a"}, "kustomize": {"namePrefix": "a"}}),
            &[CHART],
            "the source sets options of several tools (kustomize, helm); keep one of them",
        ),
    ]
}
