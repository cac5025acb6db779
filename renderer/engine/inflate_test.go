package main

import (
	"strings"
	"testing"
)

var domeChart = map[string]string{
	"Chart.yaml":            "apiVersion: v2\nname: dome\nversion: 1.0.0\n",
	"values.yaml":           "shutter: closed\nnested: {one: 1, two: [a]}\n",
	"crds/crd.yaml":         "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: domes.sky\n",
	"templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\ndata:\n  shutter: {{ .Values.shutter }}\n  nested: {{ .Values.nested | toJson | quote }}\n  kube: {{ .Capabilities.KubeVersion.Version }}\n  api: {{ .Capabilities.APIVersions.Has \"sky/v1\" | quote }}\n",
	"templates/hook.yaml":   "apiVersion: v1\nkind: Pod\nmetadata:\n  name: before\n  annotations:\n    helm.sh/hook: pre-install\n",
	"templates/test.yaml":   "apiVersion: v1\nkind: Pod\nmetadata:\n  name: probe\n  annotations:\n    helm.sh/hook: test\n",
	"templates/NOTES.txt":   "never shown",
}

func withChart(folder, overlay string) map[string]string {
	files := map[string]string{"over/kustomization.yaml": overlay}
	for name, data := range domeChart {
		files[folder+"/"+name] = data
	}
	return files
}

func TestAChartOfTheOverlayIsInflated(t *testing.T) {
	for name, test := range map[string]struct {
		overlay string
		says    []string
		not     []string
		other   map[string]string
		cluster bool
	}{
		"with nothing said": {
			overlay: "helmCharts: [{name: dome}]\n",
			says:    []string{"name: release-name", "shutter: closed", "name: before", "name: probe", `api: "false"`},
			not:     []string{"CustomResourceDefinition", "never shown", "namespace: telescopes"},
		},
		"in the overlay's namespace": {
			overlay: "namespace: telescopes\nhelmCharts: [{name: dome, releaseName: north}]\n",
			says:    []string{"name: north\n  namespace: telescopes"},
		},
		"under its own options": {
			overlay: "helmCharts: [{name: dome, nameTemplate: '{{ \"north\" | upper | lower }}', namespace: sky, includeCRDs: true, skipTests: true, kubeVersion: 1.30.1, apiVersions: [sky/v1]}]\n",
			says:    []string{"name: north", "CustomResourceDefinition", "name: before", "kube: v1.30.1", `api: "true"`},
			not:     []string{"name: probe"},
		},
		"without hooks": {
			overlay: "helmCharts: [{name: dome, skipHooks: true}]\n",
			not:     []string{"name: probe", "name: before"},
		},
		"with inline values over its own": {
			overlay: "helmCharts: [{name: dome, valuesInline: {shutter: open, nested: {two: [b]}}}]\n",
			says:    []string{"shutter: open", `{"one":1,"two":["b"]}`},
		},
		"with inline values under its own": {
			overlay: "helmCharts: [{name: dome, valuesMerge: merge, valuesInline: {shutter: open, more: 1}}]\n",
			says:    []string{"shutter: closed"},
		},
		"with values from files": {
			overlay: "helmCharts: [{name: dome, valuesFile: v.yaml, additionalValuesFiles: [w.yaml]}]\n",
			other:   map[string]string{"over/v.yaml": "shutter: ajar\n", "over/w.yaml": "nested: {one: 2}\n"},
			says:    []string{"shutter: ajar", `{"one":2,"two":["a"]}`},
		},
		"by a generator's file": {
			overlay: "generators: [g.yaml]\n",
			other:   map[string]string{"over/g.yaml": "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: g}\nname: dome\nreleaseName: south\n"},
			says:    []string{"name: south"},
		},
		"by the old field": {
			overlay: "helmChartInflationGenerator: [{chartName: dome, releaseName: old}]\n",
			says:    []string{"name: old"},
		},
		"for the cluster's version": {
			overlay: "helmCharts: [{name: dome}]\n", cluster: true,
			says: []string{"kube: v1.34.2", `api: "true"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := withChart("over/charts/dome", test.overlay)
			for name, data := range test.other {
				files[name] = data
			}
			request := &Kustomize{Root: "over", BuildOptions: "--enable-helm --helm-command helm3"}
			if test.cluster {
				request.KubeVersion, request.APIVersions = "1.34.2", []string{"sky/v1"}
			}
			got := text(t, startWorker(t, files).render(Request{Kustomize: request}))
			for _, wanted := range test.says {
				if !strings.Contains(got, wanted) {
					t.Errorf("%q is not in\n%s", wanted, got)
				}
			}
			for _, unwanted := range test.not {
				if strings.Contains(got, unwanted) {
					t.Errorf("%q is in\n%s", unwanted, got)
				}
			}
		})
	}
}

func TestAChartIsFetchedIntoItsHome(t *testing.T) {
	w := startWorker(t, map[string]string{
		"over/kustomization.yaml": "helmCharts: [{name: dome, repo: 'oci://registry.example/charts/', version: 1.x.x, releaseName: north, devel: true}]\n",
	})
	w.remotes = map[string]map[string]string{`dome of oci://registry.example/charts, version "1.x.x"`: domeChart}
	got := text(t, w.render(Request{Kustomize: &Kustomize{Root: "over", BuildOptions: "--enable-helm"}}))
	if !strings.Contains(got, "shutter: closed") {
		t.Errorf("got %s", got)
	}
	if _, there := w.files["over/charts/dome-1.x.x/dome/Chart.yaml"]; !there {
		t.Error("it is not where Kustomize would have it")
	}
}

func TestAChartThatIsNowhereIsTold(t *testing.T) {
	for overlay, says := range map[string]string{
		"helmCharts: [{name: dome}]\n": "no repo specified for pull, no chart found",
		"helmCharts: [{name: dome, repo: 'https://x.example', valuesMerge: sometimes}]": "valuesMerge must be one of",
		"helmGlobals: {chartHome: ../../../etc}\nhelmCharts: [{name: dome}]\n":          "leaves the repository",
	} {
		reply := startWorker(t, map[string]string{"over/kustomization.yaml": overlay}).
			render(Request{Kustomize: &Kustomize{Root: "over", BuildOptions: "--enable-helm"}})
		if reply.Error == nil || !strings.Contains(reply.Error.Message, says) {
			t.Errorf("%s: got %+v", overlay, reply.Error)
		}
	}
}
