//! Mistakes made of values that may be secrets, or beside them: in value files, parameters, patches, literals, variables, manifests.

use serde_json::json;

use super::{CHART, Mistake, in_chart, in_overlay, mistake};

/// Mistakes that are made of secrets, or lie beside them.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn secrets() -> Vec<Mistake> {
    let values = |what, values, template| {
        in_chart(
            what,
            Vec::leak(vec![
                ("app/values.yaml", values),
                ("app/templates/a.yaml", template),
            ]),
            "",
        )
    };
    let text = "password: hunter2\n";
    let mut mistakes = vec![
        values("no YAML", "password: hunter2\n- hunter2\n", ""),
        values("an unclosed quote", "a: 'hunter2\n", ""),
        values("an unknown anchor", "a: hunter2\nb: *missing\n", ""),
        values("a tag", "a: !!int hunter2\n", ""),
        values(
            "a number of text",
            text,
            "a: {{ atoi .Values.password | mustToJson }}{{ fail \"x\" }}",
        ),
        values(
            "a range",
            text,
            "{{ range .Values.password }}{{ end }}{{ .Values.password.a.b }}",
        ),
        values("a field of it", text, "{{ .Values.password.a }}"),
        values("an index of it", text, "{{ index .Values.password \"a\" }}"),
        values(
            "a template of it",
            "password: '{{ hunter2 }}'\n",
            "{{ tpl .Values.password . }}",
        ),
        values(
            "a template that fails",
            "password: '{{ .Values.a.b.c }} hunter2'\n",
            "{{ tpl .Values.password . }}",
        ),
        values(
            "a date",
            text,
            "{{ mustToDate \"2006-01-02\" .Values.password }}",
        ),
        values(
            "a duration",
            text,
            "{{ mustDateModify .Values.password now }}",
        ),
        values(
            "a pattern",
            "password: 'hunter2['\n",
            "{{ mustRegexMatch .Values.password \"a\" }}",
        ),
        values(
            "a version",
            text,
            "{{ semverCompare .Values.password \"1.0.0\" }}",
        ),
        values(
            "an address",
            "password: \"http://hunter2\\x7f\"\n",
            "{{ urlParse .Values.password }}",
        ),
        values(
            "base64",
            text,
            "{{ .Values.password | b64dec | fromJson | len }}{{ .Values.password.x }}",
        ),
        values("JSON", text, "{{ mustFromJson .Values.password }}"),
        values("output", text, "a: {{ .Values.password }}: hunter2\n"),
        values("output that is a text", text, "{{ .Values.password }}\n"),
        values("a tag in output", text, "a: !!int {{ .Values.password }}\n"),
        values("a name", text, "{{ include .Values.password.a . }}"),
        values(
            "a comparison",
            text,
            "{{ if lt .Values.password 3 }}{{ end }}",
        ),
        values(
            "a kind",
            text,
            "apiVersion: v1\nkind: [{{ .Values.password }}]\nmetadata: {name: a}\n",
        ),
    ];
    for (what, schema) in [
        ("a type", r#"{"type": "integer"}"#),
        ("a pattern", r#"{"pattern": "^[0-9]+$"}"#),
        ("one of", r#"{"enum": ["a", "b"]}"#),
        ("a constant", r#"{"const": "a"}"#),
        ("a length", r#"{"maxLength": 3}"#),
        ("not this", r#"{"not": {"type": "string"}}"#),
    ] {
        let schema =
            Box::leak(format!("{{\"properties\": {{\"password\": {schema}}}}}").into_boxed_str());
        let files = vec![
            ("app/values.yaml", text),
            ("app/values.schema.json", &*schema),
        ];
        mistakes.push(in_chart(what, Vec::leak(files), ""));
    }
    for (what, schema) in [
        ("a maximum", r#"{"maximum": 5}"#),
        ("a minimum", r#"{"minimum": 99999}"#),
        ("a multiple", r#"{"multipleOf": 7}"#),
        ("a number in one of", r#"{"enum": [1]}"#),
    ] {
        let schema =
            Box::leak(format!("{{\"properties\": {{\"pin\": {schema}}}}}").into_boxed_str());
        let files = vec![
            ("app/values.yaml", "pin: 27182\n"),
            ("app/values.schema.json", &*schema),
        ];
        mistakes.push(in_chart(what, Vec::leak(files), ""));
    }
    for (what, source) in [
        (
            "values of the source",
            json!({"helm": {"values": "a: hunter2: b"}}),
        ),
        (
            "values of the source that are a text",
            json!({"helm": {"values": "hunter2"}}),
        ),
        (
            "a parameter",
            json!({"helm": {"parameters": [{"name": "a[x]", "value": "hunter2"}]}}),
        ),
        (
            "a parameter's list",
            json!({"helm": {"parameters": [{"name": "a", "value": "{hunter2"}, {"name": "b[", "value": "hunter2"}]}}),
        ),
    ] {
        mistakes.push(mistake(what, source, &[CHART], ""));
    }
    for (what, kustomization) in [
        (
            "a literal",
            "secretGenerator: [{name: a, literals: [hunter2]}]\n",
        ),
        (
            "a patch that is no YAML",
            "resources: [a.yaml]\npatches: [{patch: 'a: hunter2: b'}]\n",
        ),
        (
            "a patch without an object",
            "resources: [a.yaml]\npatches: [{patch: 'a: hunter2'}]\n",
        ),
        (
            "a patch and a path",
            "resources: [a.yaml]\npatches: [{patch: 'a: hunter2', path: x.yaml}]\n",
        ),
        (
            "a JSON patch without a target",
            "resources: [a.yaml]\npatches: [{patch: '[{\"op\": \"add\", \"path\": \"/a\", \"value\": \"hunter2\"}]'}]\n",
        ),
        (
            "a JSON patch that does not fit",
            "resources: [a.yaml]\npatches: [{target: {kind: ConfigMap}, patch: '[{\"op\": \"replace\", \"path\": \"/data/a/b\", \"value\": \"hunter2\"}]'}]\n",
        ),
        (
            "a test in a JSON patch",
            "resources: [a.yaml]\npatches: [{target: {kind: ConfigMap}, patch: '[{\"op\": \"test\", \"path\": \"/metadata/name\", \"value\": \"hunter2\"}]'}]\n",
        ),
        (
            "a patch without its target",
            "resources: [a.yaml]\npatches: [{patch: \"apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: b}\\ndata: {a: hunter2}\\n\"}]\n",
        ),
        (
            "several patches",
            "resources: [a.yaml]\npatches: [{target: {kind: ConfigMap}, patch: \"kind: A\\ndata: {a: hunter2}\\n---\\nkind: B\\ndata: {a: hunter2}\\n\"}]\n",
        ),
        (
            "an old patch",
            "resources: [a.yaml]\npatchesStrategicMerge: ['a: hunter2']\n",
        ),
        (
            "an old JSON patch",
            "resources: [a.yaml]\npatchesJson6902: [{patch: '[{\"op\": \"add\", \"path\": \"/a\", \"value\": \"hunter2\"}]'}]\n",
        ),
        ("a resource without a name", "resources: [nameless.yaml]\n"),
        ("a resource without a kind", "resources: [kindless.yaml]\n"),
        (
            "a resource of lists",
            "resources: [listed.yaml]\nlabels: [{pairs: {a: b}}]\n",
        ),
        ("a list with a gap", "resources: [gap.yaml]\n"),
        (
            "a generator's options",
            "secretGenerator: [{name: a, literals: hunter2}]\n",
        ),
        (
            "a label that is none",
            "resources: [a.yaml]\ncommonLabels: {a: [hunter2]}\n",
        ),
        (
            "a replacement",
            "resources: [a.yaml]\nreplacements: [{source: {kind: ConfigMap, fieldPath: data.a, options: {delimiter: x, index: 9}}, targets: [{select: {kind: ConfigMap}, fieldPaths: [data.b]}]}]\n",
        ),
        (
            "an address with a password",
            "resources: ['https://me:hunter2@/x']\n",
        ),
    ] {
        let mut mistake = in_overlay(what, kustomization, "");
        mistake.files.extend([
            ("app/x.yaml", "data: {a: hunter2}\n"),
            ("app/secret.env", "hunter2 hunter2\n"),
            ("app/key.pem", "-----BEGIN hunter2-----\nhunter2=\n"),
            ("app/nameless.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {annotations: {a: hunter2}}\nstringData: {a: hunter2}\n"),
            ("app/kindless.yaml", "apiVersion: v1\nmetadata: {name: a, annotations: {a: hunter2}}\n"),
            ("app/listed.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: b, labels: hunter2}\nstringData: {a: hunter2}\n"),
            ("app/gap.yaml", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b}, data: [null]}\n- null\n- {stringData: {a: hunter2}}\n"),
        ]);
        mistake.files[1].1 =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: hunter2}\n";
        mistakes.push(mistake);
    }
    for (what, source, text) in [
        ("Jsonnet's number", json!({}), "std.parseInt('hunter2')"),
        ("Jsonnet's JSON", json!({}), "std.parseJson('hunter2')"),
        (
            "a variable as code",
            json!({"directory": {"jsonnet": {"extVars": [{"name": "a", "value": "{ hunter2 'hunter2' }", "code": true}]}}}),
            "std.extVar('a')",
        ),
        (
            "a variable as a name",
            json!({"directory": {"jsonnet": {"extVars": [{"name": "a", "value": "hunter2", "code": true}]}}}),
            "std.extVar('a')",
        ),
        (
            "an argument as code",
            json!({"directory": {"jsonnet": {"tlas": [{"name": "a", "value": "hunter2", "code": true}]}}}),
            "function(a) a",
        ),
        (
            "a variable that is no object",
            json!({"directory": {"jsonnet": {"extVars": [{"name": "a", "value": "hunter2"}]}}}),
            "std.extVar('a')",
        ),
        (
            "a field of a variable",
            json!({"directory": {"jsonnet": {"extVars": [{"name": "a", "value": "hunter2"}]}}}),
            "std.extVar('a').b",
        ),
    ] {
        mistakes.push(mistake(
            what,
            source,
            Vec::leak(vec![("app/a.jsonnet", text)]),
            "",
        ));
    }
    for (what, files) in [
        (
            "a manifest",
            vec![(
                "app/a.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: hunter2: b}\n",
            )],
        ),
        (
            "a manifest's tag",
            vec![(
                "app/a.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: !!int hunter2}\n",
            )],
        ),
        (
            "a manifest's binary",
            vec![(
                "app/a.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: !!binary hunter2%}\n",
            )],
        ),
        (
            "a manifest's anchor",
            vec![(
                "app/a.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: hunter2, b: *c}\n",
            )],
        ),
        (
            "a JSON manifest",
            vec![(
                "app/a.json",
                "{\"kind\": \"Secret\", \"data\": {\"a\": \"hunter2\" \"hunter2\"}}",
            )],
        ),
        (
            "a manifest without a name",
            vec![(
                "app/a.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {}\nstringData: {a: hunter2}\n",
            )],
        ),
        (
            "a name that is a number",
            vec![(
                "app/a.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: 27182}\nstringData: {a: hunter2}\n",
            )],
        ),
        (
            "a parameter file",
            vec![("app/.argocd-source.yaml", "helm: hunter2\n")],
        ),
        (
            "a parameter file that is no YAML",
            vec![("app/.argocd-source.yaml", "helm: hunter2: a\n")],
        ),
    ] {
        mistakes.push(mistake(what, json!({}), Vec::leak(files), ""));
    }
    mistakes
}
