package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

func TestMain(m *testing.M) {
	update := os.Getenv("UPDATE_GOLDEN")
	confine()
	os.Setenv("UPDATE_GOLDEN", update)
	os.Exit(m.Run())
}

// worker is a served engine with a renderer's side that answers from a map of files.
type worker struct {
	t        *testing.T
	requests io.WriteCloser
	replies  *bufio.Reader
	files    map[string]string
	asked    []string
	// eachAsked means that a folder doesn't come with its kustomization.
	eachAsked bool
	// remotes are files by the name of the need that they are fetched for; needs is what was asked for.
	remotes map[string]map[string]string
	needs   []string
}

func startWorker(t *testing.T, files map[string]string) *worker {
	t.Helper()
	requestReader, requestWriter := io.Pipe()
	replyReader, replyWriter := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- serve(&channel{in: bufio.NewReader(requestReader), out: replyWriter}) }()
	t.Cleanup(func() {
		requestWriter.Close()
		if err := <-done; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
	return &worker{t: t, requests: requestWriter, replies: bufio.NewReader(replyReader), files: files}
}

func (w *worker) render(request Request) Reply {
	w.t.Helper()
	w.write(request)
	for {
		var reply Reply
		w.read(&reply)
		switch {
		case reply.Read != nil:
			w.asked = append(w.asked, reply.Read.Path)
			w.write(w.answer(reply.Read.Path))
		case reply.Mount != nil:
			w.write(w.mount(reply.Mount))
		case reply.List != nil:
			w.write(w.list(reply.List.Path))
		case reply.Chart != nil:
			w.write(w.chart(reply.Chart.Path))
		case reply.ChartFile != nil:
			w.asked = append(w.asked, reply.ChartFile.Path)
			w.write(w.answer(reply.ChartFile.Path))
		case reply.ChartNames != nil:
			w.asked = append(w.asked, fmt.Sprint(*reply.ChartNames))
			w.write(w.chartNames(reply.ChartNames))
		default:
			return reply
		}
	}
}

// mount lays the files that stand under a need's name in remotes over a place.
func (w *worker) mount(mount *Mount) Answer {
	key := mount.Need.key()
	w.needs = append(w.needs, key)
	remote, ok := w.remotes[key]
	if !ok {
		return Answer{Kind: AnswerAbsent}
	}
	for name, data := range remote {
		w.files[path.Join(mount.At, name)] = data
	}
	return Answer{Kind: AnswerDirectory, Path: mount.At}
}

func (w *worker) list(folder string) Answer {
	names := map[string]bool{}
	for name := range w.files {
		if relative, inside := strings.CutPrefix(name, folder+"/"); inside {
			first, _, _ := strings.Cut(relative, "/")
			names[first] = true
		}
	}
	return Answer{Kind: AnswerNames, Names: slices.Sorted(maps.Keys(names))}
}

func (w *worker) chart(folder string) Answer {
	answer := Answer{Kind: AnswerChart}
	for name, data := range w.files {
		if relative, inside := strings.CutPrefix(name, folder+"/"); inside {
			answer.Files = append(answer.Files, File{Name: relative, Data: []byte(data)})
		}
	}
	return answer
}

func (w *worker) chartNames(look *ChartNames) Answer {
	answer := Answer{Kind: AnswerNames}
	for name := range w.files {
		relative := strings.TrimPrefix(name, look.Folder+"/")
		inside := look.Folder == "" || relative != name
		if inside && strings.HasSuffix(name, look.Ending) && (look.Deep || !strings.Contains(relative, "/")) {
			answer.Names = append(answer.Names, name)
		}
	}
	return answer
}

func (w *worker) answer(name string) Answer {
	if data, ok := w.files[name]; ok {
		if target, link := strings.CutPrefix(data, "-> "); link {
			return w.answer(path.Join(path.Dir(name), target))
		}
		return Answer{Kind: AnswerFile, Path: name, Data: []byte(data)}
	}
	for file := range w.files {
		if name == "" || strings.HasPrefix(file, name+"/") {
			return Answer{Kind: AnswerDirectory, Path: name, Holds: w.held(name)}
		}
	}
	return Answer{Kind: AnswerAbsent}
}

// held are the answers for an overlay's kustomization, unless they are to be asked for.
func (w *worker) held(folder string) map[string]*Answer {
	if w.eachAsked {
		return nil
	}
	held := map[string]*Answer{}
	found := false
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		answer := w.answer(path.Join(folder, name))
		found = found || answer.Kind == AnswerFile
		held[name] = &answer
	}
	if !found {
		return nil
	}
	return held
}

func (w *worker) write(v any) {
	var whole framed
	switch v := v.(type) {
	case Request:
		whole = &v
	case Answer:
		whole = &v
	}
	var contents []byte
	for _, file := range whole.files() {
		file.Size = len(file.Data)
		contents = append(contents, file.Data...)
	}
	var buffer bytes.Buffer
	if err := encode(&buffer, whole); err != nil {
		w.t.Fatal(err)
	}
	body := append(append(buffer.Bytes(), 0), contents...)
	binary.BigEndian.PutUint32(body, uint32(len(body)-4))
	if _, err := w.requests.Write(body); err != nil {
		w.t.Fatal(err)
	}
}

func (w *worker) read(reply *Reply) {
	var head [4]byte
	if _, err := io.ReadFull(w.replies, head[:]); err != nil {
		w.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(w.replies, body); err != nil {
		w.t.Fatal(err)
	}
	text, contents, _ := bytes.Cut(body, []byte{0})
	if err := json.Unmarshal(text, reply); err != nil {
		w.t.Fatal(err)
	}
	if reply.OK != nil {
		for index := range reply.OK.Documents {
			document := &reply.OK.Documents[index]
			document.Text, contents = string(contents[:document.Size]), contents[document.Size:]
		}
	}
}

func mkChart(extra map[string]string) *Helm {
	files := map[string]string{
		"Chart.yaml":            "apiVersion: v2\nname: dome\nversion: 1.0.0\n",
		"values.yaml":           "shutter: closed\nazimuth: 0\n",
		"crds/crd.yaml":         "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: domes.sky\n",
		"templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\ndata:\n  shutter: {{ .Values.shutter | quote }}\n  azimuth: {{ .Values.azimuth | quote }}\n  kube: {{ .Capabilities.KubeVersion.Version }}\n",
		"templates/test.yaml":   "apiVersion: v1\nkind: Pod\nmetadata:\n  name: probe\n  annotations:\n    helm.sh/hook: test\n",
		"templates/NOTES.txt":   "never shown",
	}
	for name, data := range extra {
		files[name] = data
	}
	chart := &Helm{ReleaseName: "north", Namespace: "telescopes", KubeVersion: "v1.33.4-vendor.7"}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		chart.Files = append(chart.Files, File{Name: name, Data: []byte(files[name])})
	}
	return chart
}

func text(t *testing.T, reply Reply) string {
	t.Helper()
	if reply.Error != nil {
		t.Fatalf("%s: %s", reply.Error.Kind, reply.Error.Message)
	}
	var all strings.Builder
	for _, document := range reply.OK.Documents {
		all.WriteString("# " + string(document.Kind) + " " + document.Source + "\n" + document.Text)
	}
	return all.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name + ".golden.yaml"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", file, got)
	}
}

func TestAChartIsRenderedWithItsParameters(t *testing.T) {
	w := startWorker(t, nil)
	chart := mkChart(nil)
	chart.Values = []File{{Name: "extra.yaml", Data: []byte("shutter: open\n")}, {Name: "empty.yaml"}}
	chart.Parameters = []Parameter{{Name: "azimuth", Value: "1,5"}, {Name: "azimuth", Value: "90"}}
	golden(t, "helm", text(t, w.render(Request{Helm: chart})))
}

func TestAnOverlayReadsItsBaseThroughTheRenderer(t *testing.T) {
	w := startWorker(t, map[string]string{
		"apps/base/kustomization.yaml":  "resources: [service.yaml]\n",
		"apps/base/service.yaml":        "apiVersion: v1\nkind: Service\nmetadata: {name: guider}\n",
		"apps/north/kustomization.yaml": "resources: [../base]\nnamespace: north\n",
	})
	w.eachAsked = true
	reply := w.render(Request{Kustomize: &Kustomize{Root: "apps/north", NamePrefix: "n-", CommonLabels: map[string]string{"site": "north"}}})
	golden(t, "kustomize", text(t, reply))
	if !contains(w.asked, "apps/north/kustomization.yml") {
		t.Errorf("probes are questions too: %v", w.asked)
	}
}

func TestTheLastMileTakesTheChartAsItsFirstResource(t *testing.T) {
	w := startWorker(t, map[string]string{
		"over/kustomization.yaml": "resources: [extra.yaml]\ncommonAnnotations: {mile: last}\n",
		"over/extra.yaml":         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n",
	})
	chart := mkChart(nil)
	chart.SkipTests = true
	golden(t, "last-mile", text(t, w.render(Request{Helm: chart, Kustomize: &Kustomize{Root: "over"}})))
}

func TestWrongInputIsExplained(t *testing.T) {
	overlay := func(content string) map[string]string { return map[string]string{"over/kustomization.yaml": content} }
	for name, test := range map[string]struct {
		files   map[string]string
		request Request
		kind    ErrorKind
		says    string
		file    string
	}{
		"template error": {
			request: Request{Helm: mkChart(map[string]string{"templates/bad.yaml": "\na: {{ required \"say where\" .Values.where }}"})},
			kind:    ErrorTemplate, says: "say where", file: "dome/templates/bad.yaml",
		},
		"recursion": {
			request: Request{Helm: mkChart(map[string]string{"templates/bad.yaml": `{{ define "r" }}{{ include "r" . }}{{ end }}{{ include "r" . }}`})},
			kind:    ErrorLimit, says: `"r" includes itself`, file: "dome/templates/bad.yaml",
		},
		"values that are no map": {
			request: Request{Helm: mkChart(map[string]string{"values.yaml": "- a\n"})},
			kind:    ErrorChart, says: "values.yaml",
		},
		"missing dependency": {
			request: Request{Helm: mkChart(map[string]string{"Chart.yaml": "apiVersion: v2\nname: dome\nversion: 1.0.0\ndependencies: [{name: mount, version: 1.x.x, repository: 'https://charts.example'}]\n"})},
			kind:    ErrorDependency, says: "needs mount",
		},
		"schema": {
			request: Request{Helm: mkChart(map[string]string{"values.schema.json": `{"properties":{"azimuth":{"type":"string"}}}`})},
			kind:    ErrorSchema, says: "azimuth",
		},
		"schema of the host": {
			request: Request{Helm: mkChart(map[string]string{"values.schema.json": `{"$ref":"file:///etc/passwd"}`})},
			kind:    ErrorRemote, says: "file:///etc/passwd",
		},
		"out of the tree": {
			files: overlay("resources: ['../../../../etc']\n"), request: Request{Kustomize: &Kustomize{Root: "over"}},
			kind: ErrorRefused, says: "/etc leaves the repository",
		},
		"file beside the overlay": {
			files:   map[string]string{"over/kustomization.yaml": "configMapGenerator: [{name: a, files: [../secret]}]\n", "secret": "x"},
			request: Request{Kustomize: &Kustomize{Root: "over"}},
			kind:    ErrorKustomize, says: "is not in or below",
		},
		"charts in an overlay": {
			files: overlay("helmCharts: [{name: x}]\n"), request: Request{Kustomize: &Kustomize{Root: "over"}},
			kind: ErrorKustomize, says: "must specify --enable-helm",
		},
		"a function": {
			files:   overlay("transformers: [\"{apiVersion: x/v1, kind: Any, metadata: {name: a, annotations: {config.kubernetes.io/function: 'exec: {path: a.sh}'}}}\"]\nresources: []\n"),
			request: Request{Kustomize: &Kustomize{Root: "over", BuildOptions: "--enable-alpha-plugins --enable-exec --network -e A=b --as-current-user"}},
			kind:    ErrorUnsupported, says: "which a render never does",
		},
		"an unknown build option": {
			files: overlay("namespace: a\n"), request: Request{Kustomize: &Kustomize{Root: "over", BuildOptions: "--enable-magic"}},
			kind: ErrorUnsupported, says: "kustomize.buildOptions in argocd-cm: unknown flag: --enable-magic",
		},
		"a repository of the host": {
			files: overlay("resources: ['file:///srv/git/base']\n"), request: Request{Kustomize: &Kustomize{Root: "over"}},
			kind: ErrorRefused, says: "file:///srv/git/base",
		},
		"broken kustomization": {
			files: overlay("resources: [\n"), request: Request{Kustomize: &Kustomize{Root: "over"}},
			kind: ErrorKustomize, says: "over/kustomization.yaml", file: "over/kustomization.yaml",
		},
		"nothing asked": {kind: ErrorRequest, says: "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := startWorker(t, test.files).render(test.request)
			if reply.Error == nil {
				t.Fatalf("it rendered: %+v", reply.OK)
			}
			if reply.Error.Kind != test.kind || !strings.Contains(reply.Error.Message, test.says) {
				t.Errorf("got %+v", reply.Error)
			}
			if test.file != "" && reply.Error.File != test.file {
				t.Errorf("it names the file %q", reply.Error.File)
			}
		})
	}
}

func TestAChartMayRenderToNothing(t *testing.T) {
	w := startWorker(t, nil)
	w.write(Request{Helm: &Helm{ReleaseName: "a", Files: []File{{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: a\nversion: 1.0.0\n")}}}})
	var reply Reply
	w.read(&reply)
	if reply.OK == nil || reply.OK.Documents == nil || len(reply.OK.Documents) != 0 {
		t.Errorf("got %+v", reply)
	}
}

func TestHelmignoreHidesFilesFromTheChart(t *testing.T) {
	w := startWorker(t, nil)
	chart := mkChart(map[string]string{
		".helmignore":             "templates/drafts/\n*.bak\n",
		"templates/drafts/a.yaml": "{{ fail \"read\" }}",
		"templates/a.bak":         "{{ fail \"read\" }}",
	})
	text(t, w.render(Request{Helm: chart}))
}

func TestASchemaOfOneOverlayDoesNotReachTheNext(t *testing.T) {
	w := startWorker(t, map[string]string{
		"a/kustomization.yaml": "openapi: {path: schema.json}\nresources: [r.yaml]\n",
		"a/schema.json":        `{"definitions":{}}`,
		"a/r.yaml":             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
	})
	text(t, w.render(Request{Kustomize: &Kustomize{Root: "a"}}))
	text(t, w.render(Request{Kustomize: &Kustomize{Root: "a"}}))
	if defaultSchema != schemaInUse() {
		t.Errorf("the schema in use is %s", schemaInUse())
	}
}

func TestALinkedOverlayIsReadWhereItReallyIs(t *testing.T) {
	files := newTree(nil)
	files.answers[treeRoot+"/link"] = &Answer{Kind: AnswerDirectory, Path: "real/deep"}
	directory, file, err := files.CleanedAbs("/repository/link")
	if err != nil || directory != treeRoot+"/real/deep" || file != "" {
		t.Errorf("got %s, %s, %v", directory, file, err)
	}
	if !files.IsDir("link") || files.Exists("/etc/passwd") {
		t.Error("only the tree exists")
	}
	if _, err := files.ReadFile("/repository/../etc/passwd"); err == nil || files.refused == nil {
		t.Error("a path out of the tree is refused")
	}
}

func schemaInUse() string { return openapi.GetSchemaVersion() }

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}

func TestWhatCameWithAFolderIsNotAskedForAgainAndChangesNothing(t *testing.T) {
	files := map[string]string{
		"overlay/kustomization.yaml": "resources: [../base]\nnamePrefix: north-\n",
		"base/Kustomization":         "resources: [a.yaml]\n",
		"base/a.yaml":                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: dome}\n",
	}
	render := func(each bool) (string, []string) {
		w := startWorker(t, files)
		w.eachAsked = each
		return text(t, w.render(Request{Kustomize: &Kustomize{Root: "overlay", NameSuffix: "-a"}})), w.asked
	}
	want, each := render(true)
	got, asked := render(false)
	if got != want {
		t.Errorf("%s\ninstead of\n%s", got, want)
	}
	if len(each) != len(asked)+6 {
		t.Errorf("asks for %q instead of %q", asked, each)
	}
}
