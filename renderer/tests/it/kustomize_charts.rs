//! Charts of an overlay, by Helm's library here and by the helm program there.

use serde_json::json;

use crate::kustomize_cli::{Files, OVERLAY, same};
use crate::repository::mk_default_engine;

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[tokio::test(flavor = "multi_thread")]
async fn charts_of_an_overlay_give_what_kustomize_gives_with_the_helm_program() {
    let engine = mk_default_engine().await;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-{{ .Chart.Name }}\n  namespace: {{ .Release.Namespace }}\ndata:\n  values: {{ .Values | toJson | quote }}\n  release: {{ .Release | toJson | quote }}\n  kube: {{ .Capabilities.KubeVersion.Version }}\n  api: {{ .Capabilities.APIVersions.Has \"sky/v1/Dome\" | quote }}\n  file: {{ .Files.Get \"extra.txt\" | quote }}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: {{ .Release.Name }}-plain}\n";
    for (name, overlay) in [
        ("nothing said", "helmCharts: [{name: dome}]\n"),
        ("a name", "helmCharts: [{name: dome, releaseName: north}]\n"),
        (
            "a namespace",
            "helmCharts: [{name: dome, namespace: sky}]\n",
        ),
        (
            "the overlay's namespace",
            "namespace: over\nhelmCharts: [{name: dome}]\n",
        ),
        (
            "both namespaces",
            "namespace: over\nhelmCharts: [{name: dome, namespace: sky}]\n",
        ),
        (
            "a name made by a template",
            "helmCharts: [{name: dome, nameTemplate: '{{ \"a b\" | replace \" \" \"-\" }}'}]\n",
        ),
        (
            "a name and a template",
            "helmCharts: [{name: dome, releaseName: a, nameTemplate: b}]\n",
        ),
        (
            "definitions",
            "helmCharts: [{name: dome, includeCRDs: true}]\n",
        ),
        (
            "without tests",
            "helmCharts: [{name: dome, skipTests: true}]\n",
        ),
        (
            "without hooks",
            "helmCharts: [{name: dome, skipHooks: true}]\n",
        ),
        (
            "for another cluster",
            "helmCharts: [{name: dome, kubeVersion: 1.30.0, apiVersions: [other/v1]}]\n",
        ),
        (
            "values beside it",
            "helmCharts: [{name: dome, valuesFile: v.yaml}]\n",
        ),
        (
            "values out of the overlay",
            "helmCharts: [{name: dome, valuesFile: ../v.yaml}]\n",
        ),
        (
            "values that are not there",
            "helmCharts: [{name: dome, valuesFile: nowhere.yaml}]\n",
        ),
        (
            "more values",
            "helmCharts: [{name: dome, additionalValuesFiles: [v.yaml, w.yaml]}]\n",
        ),
        (
            "inline values",
            "helmCharts: [{name: dome, valuesInline: {a: 2, list: [9], nested: {b: null}}}]\n",
        ),
        (
            "inline values, merged",
            "helmCharts: [{name: dome, valuesMerge: merge, valuesInline: {a: 2, new: x, nested: {c: 1}}}]\n",
        ),
        (
            "inline values instead",
            "helmCharts: [{name: dome, valuesMerge: replace, valuesInline: {a: 2}}]\n",
        ),
        (
            "inline values over a file",
            "helmCharts: [{name: dome, valuesFile: v.yaml, valuesInline: {a: 3}, additionalValuesFiles: [w.yaml]}]\n",
        ),
        (
            "an unknown way to merge",
            "helmCharts: [{name: dome, valuesMerge: magic, valuesInline: {a: 2}}]\n",
        ),
        (
            "a home of its own",
            "helmGlobals: {chartHome: ../home}\nhelmCharts: [{name: moved, valuesInline: {a: 1}, valuesMerge: replace}]\n",
        ),
        (
            "a chart with version in its home",
            "helmCharts: [{name: dome, version: 1.0.0, repo: 'https://charts.example', releaseName: v}]\n",
        ),
        (
            "a chart that is not there",
            "helmCharts: [{name: nowhere}]\n",
        ),
        ("no name", "helmCharts: [{releaseName: a}]\n"),
        (
            "the field of old",
            "helmChartInflationGenerator: [{chartName: dome, releaseName: old, valuesLocal: {a: 7}}]\n",
        ),
        ("a generator", "generators: [g.yaml]\n"),
        (
            "an overlay on a base with charts",
            "resources: [../base]\nnamespace: outer\nnamePrefix: p-\n",
        ),
        (
            "a patch on what a chart makes",
            "helmCharts: [{name: dome, releaseName: a}]\npatches: [{target: {kind: ConfigMap}, patch: '- {op: remove, path: /data/values}'}]\nimages: [{name: probe, newTag: '2'}]\n",
        ),
        (
            "a name of the chart's and the overlay's",
            "resources: [sa.yaml]\nhelmCharts: [{name: dome}]\n",
        ),
        (
            "a chart that fails",
            "helmCharts: [{name: dome, valuesInline: {fail: true}}]\n",
        ),
        (
            "where it comes from",
            "helmCharts: [{name: dome}]\nbuildMetadata: [originAnnotations]\n",
        ),
        (
            "two of one chart",
            "helmCharts: [{name: dome, releaseName: a, skipHooks: true}, {name: dome, releaseName: b, namespace: two, skipHooks: true}]\nsortOptions: {order: fifo}\n",
        ),
    ] {
        let mut files: Files = vec![
            (OVERLAY, overlay),
            ("over/v.yaml", "a: 5\nlist: [1, 2]\n"),
            ("v.yaml", "a: 6\n"),
            ("over/w.yaml", "nested: {b: 9}\n"),
            (
                "over/sa.yaml",
                "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: release-name-plain}\n",
            ),
            (
                "over/g.yaml",
                "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: g}\nname: dome\nreleaseName: g\nvaluesInline: {a: 8}\n",
            ),
            (
                "base/kustomization.yaml",
                "helmCharts: [{name: dome, releaseName: base}]\nhelmGlobals: {chartHome: charts}\n",
            ),
        ];
        for home in [
            "over/charts/dome",
            "over/charts/dome-1.0.0/dome",
            "base/charts/dome",
            "home/moved",
        ] {
            let leaked = |name: &str| -> &'static str { format!("{home}/{name}").leak() };
            files.extend([
                (leaked("Chart.yaml"), "apiVersion: v2\nname: dome\nversion: 1.0.0\n"),
                (leaked("values.yaml"), "# a comment\na: 1\nlist: [3]\nnested: {b: 1, c: 2}\n"),
                (leaked("extra.txt"), "extra"),
                (leaked("crds/c.yaml"), "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: domes.sky}\nspec: {scope: Cluster}\n"),
                (leaked("templates/a.yaml"), template),
                (leaked("templates/fail.yaml"), "{{ if .Values.fail }}{{ fail \"told to\" }}{{ end }}"),
                (leaked("templates/hook.yaml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: before, annotations: {helm.sh/hook: pre-install}}\nspec: {containers: [{name: a, image: 'probe:1'}]}\n"),
                (leaked("templates/test.yaml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: probe, annotations: {helm.sh/hook: test}}\n"),
                (leaked("templates/NOTES.txt"), "never shown"),
            ]);
        }
        same(&engine, name, json!({}), "--enable-helm", &files).await;
    }
}
