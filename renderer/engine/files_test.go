package main

import (
	"slices"
	"testing"
)

// beside are files of a chart that lie beside its own parts.
var beside = map[string]string{
	"files/a.txt":        "one\ntwo\n",
	"files/b.json":       "{}",
	"files/deep/c.txt":   "\ufefflater",
	"files/secret/d.txt": "ignored",
	"values-north.yaml":  "north: 1",
	"values-south.yaml":  "south: 1",
}

func chartThat(template string) *Helm {
	return mkChart(map[string]string{
		".helmignore":           "files/secret/\n",
		"LICENSE":               "free",
		"templates/config.yaml": template,
	})
}

// onDemand renders with the files asked for, and whole with all of them given.
func onDemand(t *testing.T, template string) (Reply, []string) {
	t.Helper()
	w := startWorker(t, beside)
	chart := chartThat(template)
	chart.FilesOnDemand = true
	return w.render(Request{Helm: chart}), w.asked
}

func whole(t *testing.T, template string) Reply {
	t.Helper()
	chart := chartThat(template)
	for name, data := range beside {
		chart.Files = append(chart.Files, File{Name: name, Data: []byte(data)})
	}
	return startWorker(t, nil).render(Request{Helm: chart})
}

func TestATemplateIsGivenTheFilesThatItAsksForAndNoOthers(t *testing.T) {
	for template, asks := range map[string][]string{
		`a: {{ .Files.Get "files/a.txt" | quote }}`:                                                    {"files/a.txt"},
		`a: {{ printf "values-%s.yaml" "north" | .Files.Get | quote }}`:                                {"values-north.yaml"},
		`a: {{ $.Files.GetBytes "files/deep/c.txt" | toString | quote }}`:                              {"files/deep/c.txt"},
		`{{ range .Files.Lines "files/a.txt" }}[{{ . }}]{{ end }}`:                                     {"files/a.txt"},
		`a: {{ .Files.Get "no/such" | quote }}{{ .Files.Get "no/such" }}`:                              {"no/such"},
		`a: {{ .Files.Get "files/secret/d.txt" | quote }}`:                                             nil,
		`a: {{ .Files.Get "LICENSE" | quote }}`:                                                        nil,
		`{{ (.Files.Glob "files/*.txt").AsConfig }}`:                                                   {"{files false .txt}", "files/a.txt"},
		`{{ (.Files.Glob "files/**").AsSecrets }}`:                                                     {"{files true }", "files/a.txt", "files/b.json", "files/deep/c.txt"},
		`{{ range $name, $data := .Files.Glob "values-*" }}{{ $name }}={{ toString $data }} {{ end }}`: {"{ false }", "values-north.yaml", "values-south.yaml"},
		`{{ range $name, $_ := .Files.Glob "**.json" }}{{ $.Files.Get $name }}{{ end }}`:               {"{ true .json}", "files/b.json"},
		`{{ len (.Files.Glob "files/[ab].*") }}`:                                                       {"{files false }", "files/a.txt", "files/b.json"},
		`{{ len (.Files.Glob "{files,x}/a.txt") }}`:                                                    {"{ true }", "files/a.txt"},
		// Helm takes what it can't read for everything.
		`{{ len (.Files.Glob "files/[") }}`:                                                  {"{ true }", "files/a.txt", "files/b.json", "files/deep/c.txt", "values-north.yaml", "values-south.yaml"},
		`{{ define "a" }}{{ .Files.Get "files/a.txt" }}{{ end }}{{ include "a" . | quote }}`: {"files/a.txt"},
		`{{ tpl "{{ .Files.Get \"files/b.json\" }}" . }}`:                                    {"files/b.json"},
		`{{ with .Files.Get "files/b.json" }}{{ . }}{{ end }}`:                               {"files/b.json"},
		// Scopes are copied, joined and passed on without a look at the files.
		`{{ $copy := deepCopy . }}{{ $copy.Release.Name }}`:                                       nil,
		`{{ $both := mergeOverwrite (dict "more" 1) . }}{{ $both.more }}{{ $both.Release.Name }}`: nil,
		`{{ $both := merge (dict "Values" (dict "a" 1)) . }}{{ $both.Values.a }}`:                 nil,
		`{{ $part := pick . "Values" "Release" }}{{ toJson $part }}{{ keys . | len }}`:            nil,
		`{{ $both := merge (dict "x" 1) . }}{{ $both.Files.Get "files/b.json" }}`:                 {"files/b.json"},
	} {
		reply, asked := onDemand(t, template)
		if got, want := text(t, reply), text(t, whole(t, template)); got != want {
			t.Errorf("%s:\n%s\ninstead of\n%s", template, got, want)
		}
		slices.Sort(asked)
		slices.Sort(asks)
		if !slices.Equal(asked, asks) {
			t.Errorf("%s asks for %q instead of %q", template, asked, asks)
		}
	}
}

func TestATemplateThatTakesTheFilesForAMapIsToBeGivenAllOfThem(t *testing.T) {
	for _, template := range []string{
		`{{ .Files.AsConfig }}`, `{{ .Files.AsSecrets }}`, `{{ toYaml . }}`, `{{ toJson $ }}`, `{{ toToml . }}`, `{{ toYamlPretty . }}`,
		`{{ printf "%v" . | sha256sum }}`, `{{ . }}`, `{{ toString . | len }}`, `{{ range $name, $value := . }}{{ $value | toString | len }}{{ end }}`,
		`{{ $all := .Files }}{{ $all | toJson }}`, `{{ range $name, $_ := .Files }}{{ $name }}{{ end }}`, `{{ len .Files }}`,
		`{{ index .Files "files/a.txt" }}`, `{{ $copy := deepCopy . }}{{ $copy.Files.Get "files/a.txt" }}`,
	} {
		reply, _ := onDemand(t, template)
		if reply.Error == nil || (reply.Error.Kind != ErrorFiles && reply.Error.Kind != ErrorTemplate) {
			t.Errorf("%s: %+v", template, reply)
		}
	}
}
