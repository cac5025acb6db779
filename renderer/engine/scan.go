package main

import (
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
)

// scan asks for what a build that had to be given up would have asked for later, as far as the kustomizations that
// are there tell. What they hold besides, or hold wrongly, is the next build's to say.
type scan struct {
	files *tree
	helm  bool
	seen  map[string]bool
}

// maxScanned bounds the kustomizations that are looked at.
const maxScanned = 2000

func scanFrom(files *tree, root string, helm bool) {
	(&scan{files: files, helm: helm, seen: map[string]bool{}}).folder(root)
}

func (s *scan) folder(root string) {
	if s.seen[root] || len(s.seen) >= maxScanned {
		return
	}
	s.seen[root] = true
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		content, err := s.files.ReadFile(path.Join(root, name))
		if err != nil {
			continue
		}
		var overlay types.Kustomization
		if overlay.Unmarshal(content) == nil {
			overlay.FixKustomization()
			s.overlay(root, &overlay)
		}
		return
	}
}

func (s *scan) overlay(root string, overlay *types.Kustomization) {
	for _, list := range [][]string{overlay.Resources, overlay.Components, overlay.Generators, overlay.Transformers, overlay.Validators} {
		for _, entry := range list {
			if !strings.Contains(entry, "\n") {
				s.base(root, entry)
			}
		}
	}
	for _, name := range namedFiles(overlay) {
		if isRemote(name) {
			s.need(Need{File: &NeedFile{URL: name}}, "")
		}
	}
	if !s.helm {
		return
	}
	globals := types.HelmGlobals{}
	if overlay.HelmGlobals != nil {
		globals = *overlay.HelmGlobals
	}
	for _, chart := range overlay.HelmCharts {
		folder := chartFolder(root, &globals, &chart)
		if chart.Repo != "" && chart.Name != "" && !s.files.IsDir(folder) {
			s.need(needOfChart(&chart), folder)
		}
	}
}

// base follows an entry that can be a file, a folder or a repository.
func (s *scan) base(root, entry string) {
	if isFile(entry) {
		s.need(Need{File: &NeedFile{URL: entry}}, "")
		return
	}
	from, err := parseRepository(entry)
	if err != nil {
		if folder := path.Join(root, entry); !path.IsAbs(entry) && s.files.IsDir(folder) {
			s.folder(folder)
		}
		return
	}
	need, refused := needOf(from)
	if refused != nil {
		return
	}
	if place := s.need(need, ""); place != "" {
		s.folder(path.Join(place, from.root))
	}
}

// need asks; that it isn't there was to be expected.
func (s *scan) need(need Need, at string) string {
	if s.files.refused != nil {
		return ""
	}
	place, err := s.files.mount(need, at)
	if err != nil {
		return ""
	}
	return place
}

func isRemote(name string) bool {
	return strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")
}

// namedFiles are the files that an overlay takes whole: never a base.
func namedFiles(overlay *types.Kustomization) []string {
	names := append([]string{overlay.OpenAPI["path"]}, overlay.Crds...)
	names = append(names, overlay.Configurations...)
	for _, patch := range overlay.Patches {
		names = append(names, patch.Path)
	}
	for _, patch := range overlay.PatchesJson6902 {
		names = append(names, patch.Path)
	}
	for _, patch := range overlay.PatchesStrategicMerge {
		names = append(names, string(patch))
	}
	for _, replacement := range overlay.Replacements {
		names = append(names, replacement.Path)
	}
	for _, generator := range overlay.ConfigMapGenerator {
		names = append(names, sourcesOf(&generator.KvPairSources)...)
	}
	for _, generator := range overlay.SecretGenerator {
		names = append(names, sourcesOf(&generator.KvPairSources)...)
	}
	return names
}

func sourcesOf(sources *types.KvPairSources) []string {
	names := append([]string{}, sources.EnvSources...)
	for _, file := range sources.FileSources {
		if _, value, named := strings.Cut(file, "="); named && !isRemote(file) {
			file = value
		}
		names = append(names, file)
	}
	return names
}
