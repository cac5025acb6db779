package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/engine"
)

func TestWhatARenderDoesToItsChartIsNotThereInTheNext(t *testing.T) {
	files := map[string]string{
		"values.yaml": "list: [a]\nmap: {a: {b: 1}}\ninner: {}\n",
		"Chart.yaml": "apiVersion: v2\nname: dome\nversion: 1.0.0\nannotations: {a: b}\n" +
			"dependencies: [{name: inner, version: 1.0.0, condition: inner.enabled, tags: [x]}]\n",
		"templates/a.yaml": `{{ toJson .Values }}{{ toJson .Chart }}` +
			`{{ $_ := set .Values.map.a "c" 2 }}{{ $_ := set .Values "new" .Release.Name }}{{ $_ := unset .Values "list" }}{{ $_ := set .Chart "Name" "x" }}`,
		"charts/inner/Chart.yaml":       "apiVersion: v2\nname: inner\nversion: 1.0.0\n",
		"charts/inner/values.yaml":      "deep: {a: 1}\n",
		"charts/inner/templates/a.yaml": `{{ toJson .Values }}{{ $_ := set .Values.deep "a" .Release.Name }}`,
	}
	w := startWorker(t, nil)
	first := text(t, w.render(Request{Helm: mkChart(files)}))
	off := mkChart(files)
	off.ReleaseName = "other"
	off.Values = []File{{Name: "values", Data: []byte("inner: {enabled: false}\nmap: {a: {z: 1}}\n")}}
	w.render(Request{Helm: off})
	if again := text(t, w.render(Request{Helm: mkChart(files)})); again != first {
		t.Errorf("%s\ninstead of\n%s", again, first)
	}
	if !strings.Contains(first, `"deep":{"a":1}`) {
		t.Error(first)
	}
}

func TestChartsThatDifferInOneFileAreToldApart(t *testing.T) {
	w := startWorker(t, nil)
	for _, value := range []string{"1", "2", "1", "3"} {
		files := map[string]string{"values.yaml": "a: " + value, "templates/a.yaml": "a: {{ .Values.a }}" + value}
		if got := text(t, w.render(Request{Helm: mkChart(files)})); !strings.Contains(got, "a: "+value+value) {
			t.Errorf("%s for %s", got, value)
		}
	}
}

func TestASchemaIsAppliedToEveryRenderOfAChart(t *testing.T) {
	w := startWorker(t, nil)
	files := map[string]string{
		"values.schema.json": `{"properties": {"a": {"type": "integer"}}}`,
		"templates/a.yaml":   "a: {{ .Values.a }}",
	}
	for _, value := range []string{"1", "text", "2", "text"} {
		request := mkChart(files)
		request.Values = []File{{Name: "values", Data: []byte("a: " + value)}}
		reply := w.render(Request{Helm: request})
		if failed := reply.Error != nil && reply.Error.Kind == ErrorSchema; failed != (value == "text") {
			t.Errorf("%s: %+v", value, reply)
		}
	}
}

// Each template with what Helm's own engine makes of it, be it an error.
func TestTemplatesComeToWhatHelmsEngineMakesOfThem(t *testing.T) {
	helpers := `{{ define "name" }}{{ .Release.Name }}{{ end }}{{ define "loop" }}{{ include "loop" . }}{{ end }}{{ define "empty" }}{{ end }}`
	for _, template := range []string{
		`a: {{ include "name" . }}`,
		`a: {{ .Values.none }}b: {{ .Values.none.deeper }}`,
		`a: {{ index .Values "list" 1 }}`,
		`a: {{ .Values.list.nope }}`,
		`a: {{ nope }}`,
		`a: {{ if }}`,
		`a: {{ break }}`,
		`{{ range .Values.list }}{{ break }}{{ end }}`,
		`{{ define "name" }}overridden{{ end }}{{ include "name" . }}`,
		`{{ define "empty" }}full{{ end }}{{ include "empty" . }}`,
		`{{ define "gotpl" }}x{{ end }}{{ template "gotpl" }}`,
		`{{ block "blocked" . }}b{{ end }}`,
		`{{ include "loop" . }}`,
		`{{ include "nowhere" . }}`,
		`{{ template "nowhere" . }}`,
		`{{ required "it is needed" .Values.none }}`,
		`{{ fail "as it should" }}`,
		`{{ tpl "plain <no value> text" . }}`,
		`{{ tpl "" . }}`,
		`{{ tpl "  \n" . }}`,
		`{{ tpl "}}" . }}`,
		`{{ tpl "{{ .Release.Name }}" . }}`,
		`{{ tpl "{{ define \"in\" }}x{{ end }}{{ include \"in\" . }}{{ tpl \"{{ include \\\"in\\\" . }} and plain\" . }}" . }}`,
		`{{ tpl "{{ nope }}" . }}`,
		`{{ tpl "{{ .Values.list.nope }}" . }}`,
		`{{ lookup "v1" "Pod" "a" "b" }}{{ getHostByName "localhost" }}`,
		`{{ .Template.Name }} {{ .Template.BasePath }}`,
		`{{/* only a comment */}}`,
		`{{ toYaml .Values }}`,
		`{{ printf "%v" .Values.none }}`,
	} {
		mk := func() (*chart.Chart, common.Values) {
			c := &chart.Chart{
				Metadata: &chart.Metadata{Name: "dome", Version: "1.0.0", APIVersion: "v2"},
				Templates: []*common.File{
					{Name: "templates/_helpers.tpl", Data: []byte(helpers)},
					{Name: "templates/a.yaml", Data: []byte(template)},
				},
				Values: map[string]any{"list": []any{"x", "y"}},
			}
			scope, err := util.ToRenderValues(c, nil, common.ReleaseOptions{Name: "north", Namespace: "n"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c, scope
		}
		c, scope := mk()
		want, wantErr := engine.Engine{}.RenderWithContext(context.Background(), c, scope)
		// The second time what was parsed is found.
		for range 2 {
			c, scope = mk()
			got, err := renderChart(c, scope, nil)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || (err == nil && !reflect.DeepEqual(got, want)) {
				t.Errorf("%s\ncomes to %q, %v\ninstead of %q, %v", template, got, err, want, wantErr)
			}
		}
	}
}

func TestAFreshChartSharesNothingThatHelmChanges(t *testing.T) {
	made := &chart.Chart{
		Metadata: &chart.Metadata{
			Name: "a", Sources: []string{"s"}, Keywords: []string{"k"}, Annotations: map[string]string{"a": "b"},
			Maintainers: []*chart.Maintainer{{Name: "m"}},
			Dependencies: []*chart.Dependency{{
				Name: "d", Tags: []string{"t"}, ImportValues: []any{"x", map[string]any{"child": "c"}},
			}},
		},
		Values: map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": 1}}}, "none": nil},
	}
	made.AddDependency(&chart.Chart{Metadata: &chart.Metadata{Name: "d"}, Values: map[string]any{"x": 1}})
	own := fresh(made)
	if !reflect.DeepEqual(own, made) {
		t.Fatalf("%+v", own)
	}
	own.Metadata.Sources[0], own.Metadata.Keywords[0], own.Metadata.Annotations["a"] = "", "", ""
	own.Metadata.Maintainers[0].Name = ""
	own.Metadata.Dependencies[0].Enabled = true
	own.Metadata.Dependencies[0].Tags[0] = ""
	own.Metadata.Dependencies[0].ImportValues[1].(map[string]any)["child"] = ""
	own.Values["a"].(map[string]any)["b"].([]any)[0].(map[string]any)["c"] = 2
	own.Dependencies()[0].Metadata.Name = ""
	own.Dependencies()[0].Values["x"] = 2
	for _, changed := range []bool{
		made.Metadata.Sources[0] == "", made.Metadata.Keywords[0] == "", made.Metadata.Annotations["a"] == "",
		made.Metadata.Maintainers[0].Name == "", made.Metadata.Dependencies[0].Enabled, made.Metadata.Dependencies[0].Tags[0] == "",
		made.Metadata.Dependencies[0].ImportValues[1].(map[string]any)["child"] == "",
		made.Values["a"].(map[string]any)["b"].([]any)[0].(map[string]any)["c"] == 2,
		made.Dependencies()[0].Metadata.Name == "", made.Dependencies()[0].Values["x"] == 2,
	} {
		if changed {
			t.Errorf("%+v", made)
		}
	}
}

func TestAShelfKeepsWhatWasAskedForLastWithinItsLimit(t *testing.T) {
	shelf := newShelf(100)
	for _, name := range []string{"a", "b", "c"} {
		shelf.put(name, name, 30)
	}
	shelf.get("a")
	shelf.put("d", "d", 30)
	shelf.put("large", "large", 60)
	for name, there := range map[string]bool{"a": true, "b": false, "c": true, "d": true, "large": false} {
		if _, ok := shelf.get(name); ok != there {
			t.Errorf("%s is there: %v", name, ok)
		}
	}
	shelf.put("a", "other", 10)
	if found, _ := shelf.get("a"); found != "other" || shelf.size != 70 {
		t.Errorf("%v, %d bytes", found, shelf.size)
	}
	shelf.clear()
	if _, ok := shelf.get("a"); ok || shelf.size != 0 {
		t.Error("something is left")
	}
}

func TestGarbageIsAllowedByWhatLives(t *testing.T) {
	for live, want := range map[uint64]int{0: 2400, 4 << 20: 600, 12 << 20: 200, 20 << 20: 200, 64 << 20: 100, 256 << 20: 25} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes: %d %%", live, got)
		}
	}
}
