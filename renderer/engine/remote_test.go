package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: guider}\n"

func buildWith(t *testing.T, overlay string, remotes map[string]map[string]string) (*worker, Reply) {
	w := startWorker(t, map[string]string{"over/kustomization.yaml": overlay})
	w.remotes = remotes
	return w, w.render(Request{Kustomize: &Kustomize{Root: "over", BuildOptions: "--enable-helm"}})
}

func TestARemoteBaseIsBuiltInItsOwnRepository(t *testing.T) {
	_, reply := buildWith(t, "resources: ['https://git.example/org/repo//north?ref=v1&timeout=5s']\nnamePrefix: x-\nbuildMetadata: [originAnnotations]\n",
		map[string]map[string]string{"https://git.example/org/repo?ref=v1": {
			"north/kustomization.yaml":  "resources: [../shared]\nnameSuffix: -n\n",
			"shared/kustomization.yaml": "resources: [a.yaml]\n",
			"shared/a.yaml":             config,
		}})
	golden(t, "remote", text(t, reply))
}

func TestAPasswordInAnAddressIsNotTold(t *testing.T) {
	_, reply := buildWith(t, "resources: ['https://user:token@git.example/org/repo.git?ref=v1']\n",
		map[string]map[string]string{"https://user:token@git.example/org/repo.git?ref=v1": {"kustomization.yaml": "resources: [nowhere.yaml]\n"}})
	if reply.Error == nil || strings.Contains(reply.Error.Message+reply.Error.File, "token") || !strings.Contains(reply.Error.Message, "git.example/org/repo") {
		t.Errorf("got %+v", reply)
	}
}

func TestAMessageIsTheSameEachTime(t *testing.T) {
	_, reply := buildWith(t, "configMapGenerator: [{name: a, literals: [x=1]}, {name: a, literals: [y=2]}]\n", nil)
	if reply.Error == nil || !strings.Contains(reply.Error.Message, "merging from generator: id") {
		t.Errorf("got %+v", reply)
	}
}

func TestARemoteBaseCannotLeaveItsRepository(t *testing.T) {
	for name, base := range map[string]string{
		"a base":  "resources: [../../../repository/over]\n",
		"a file":  "resources: [../../../repository/over/secret.yaml]\n",
		"a value": "configMapGenerator: [{name: a, files: [../shared/a.yaml]}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := startWorker(t, map[string]string{"over/kustomization.yaml": "resources: ['git@git.example:org/repo.git/base']\n", "over/secret.yaml": config})
			w.remotes = map[string]map[string]string{"git@git.example:org/repo.git": {"base/kustomization.yaml": base, "shared/a.yaml": config}}
			reply := w.render(Request{Kustomize: &Kustomize{Root: "over", BuildOptions: "--load-restrictor LoadRestrictionsNone"}})
			if reply.Error == nil {
				t.Fatalf("it was read: %+v", reply.OK)
			}
			if !strings.Contains(reply.Error.Message, "security;") || strings.Contains(reply.Error.Message, remoteRoot+"/") {
				t.Errorf("got %+v", reply.Error)
			}
		})
	}
}

func TestAllThatIsMissingIsAskedForAtOnce(t *testing.T) {
	w, reply := buildWith(t, `
resources:
- https://github.com/org/one?ref=v1
- https://example.org/all.yaml
- ssh://git@git.example/org/three.git/deep?version=2&submodules=false
components: ['git::https://dev.azure.com/org/project/_git/four/path']
patches: [{path: 'https://example.org/patch.yaml'}]
configMapGenerator: [{name: a, files: ['k=https://example.org/k']}]
openapi: {path: 'https://example.org/schema.json'}
helmCharts: [{name: dome, repo: 'https://charts.example', version: '1'}]
helmGlobals: {chartHome: ../charts}
`, map[string]map[string]string{"https://github.com/org/one?ref=v1": {"kustomization.yaml": "resources: ['github.com/org/two']\n"}})
	if reply.Error == nil || reply.Error.Kind != ErrorWaits {
		t.Fatalf("got %+v", reply)
	}
	slices.Sort(w.needs)
	want := []string{
		`dome of https://charts.example, version "1"`, "git@git.example/org/three.git?ref=2",
		"https://dev.azure.com/org/project/_git/four", "https://example.org/all.yaml", "https://example.org/patch.yaml",
		"https://example.org/schema.json", "https://github.com/org/one?ref=v1", "https://github.com/org/two",
	}
	for _, need := range want {
		if !slices.ContainsFunc(w.needs, func(asked string) bool { return strings.HasSuffix(asked, need) }) {
			t.Errorf("%s was not asked for, only %q", need, w.needs)
		}
	}
}

func TestARemoteFileIsReadAsKustomizeReadsIt(t *testing.T) {
	_, reply := buildWith(t, "resources: ['https://example.org/all']\nopenapi: {path: 'https://example.org/schema.json'}\n",
		map[string]map[string]string{
			"https://example.org/all":         {needFile: config},
			"https://example.org/schema.json": {needFile: `{"definitions":{}}`},
		})
	if got := text(t, reply); !strings.Contains(got, "name: guider") {
		t.Errorf("got %s", got)
	}
}

func TestAnAddressThatServesAPageIsARepository(t *testing.T) {
	w, reply := buildWith(t, "resources: ['https://forge.example/org/repo']\n", map[string]map[string]string{
		"https://forge.example/org/repo": {needFile: "<html>\n<p>: [\n", "kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": config},
	})
	if got := text(t, reply); !strings.Contains(got, "name: guider") {
		t.Errorf("got %s, asked for %q", got, w.needs)
	}
}

func TestTheAddressTellsAFileFromARepository(t *testing.T) {
	for address, file := range map[string]bool{
		"https://raw.githubusercontent.com/org/repo/main/.github/a.yaml":     true,
		"https://github.com/org/repo/releases/download/v1/install.yaml":      true,
		"https://github.com/org/repo/releases/latest/download/manifest":      true,
		"https://github.com/org/repo/raw/main/a":                             true,
		"https://example.org/manifests?kind=all":                             true,
		"https://example.org/a":                                              true,
		"https://github.com/org/repo":                                        false,
		"https://github.com/org/repo/path?ref=v1":                            false,
		"https://github.com/org/repo/tree/path":                              false,
		"https://example.org/org/repo.git/path":                              false,
		"https://example.org/org/repo.git":                                   false,
		"https://example.org/group/sub/repo//path":                           false,
		"https://gitlab.example.org/group/repo":                              false,
		"https://user@dev.azure.com/org/project/_git/repo/path?version=GBm1": false,
		"github.com/org/repo":                                                false,
		"git@github.com:org/repo.git/a.yaml":                                 false,
	} {
		if isFile(address) != file {
			t.Errorf("%s", address)
		}
	}
}

func TestKustomizesOwnPartsAreWhereTheyAreExpected(t *testing.T) {
	files := newTree(nil)
	files.answers[treeRoot] = &Answer{Kind: AnswerDirectory}
	loader, err := newLoader(restrictToRoot, treeRoot, files)
	if err != nil {
		t.Fatal(err)
	}
	field, _ := reflect.TypeOf(loader).Elem().FieldByName("cloner")
	theirs, ours := field.Type.In(0).Elem(), reflect.TypeFor[repository]()
	if theirs.NumField() != ours.NumField() || field.Type.NumIn() != 1 || field.Type.NumOut() != 1 {
		t.Fatalf("%s has other fields", theirs)
	}
	for i := range theirs.NumField() {
		if theirs.Field(i).Type != ours.Field(i).Type {
			t.Errorf("%s is not %s", theirs.Field(i).Name, ours.Field(i).Name)
		}
	}
	parsed, err := parseRepository("https://github.com/org/repo/path?ref=v1")
	if err != nil {
		t.Fatal(err)
	}
	parsed.timeout = 0
	want := repository{
		raw: "https://github.com/org/repo/path?ref=v1", host: "https://github.com/", path: "org/repo",
		dir: filesys.ConfirmedDir("/notCloned"), root: "path", ref: "v1", modules: true,
	}
	if *parsed != want {
		t.Errorf("got %+v", *parsed)
	}
	if kind := generatorKind(helmGenerator); reflect.TypeOf(generators[kind]()).String() != "*builtins.HelmChartInflationGeneratorPlugin" {
		t.Error("the generator of charts is another")
	}
}
