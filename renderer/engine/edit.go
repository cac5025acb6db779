package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"sigs.k8s.io/kustomize/api/pkg/util"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// edit does to the overlay's kustomization, in memory, what Argo CD does with `kustomize edit` before it builds, and
// puts the chart's output in front of its resources. Without either, the file is left as it is.
func edit(files *tree, root string, k *Kustomize, resource []byte) error {
	if resource == nil && !hasEdits(k) {
		return nil
	}
	name := kustomizationFile(files, root)
	if name == "" {
		return nil // Kustomize reports none or several in its own words
	}
	file := path.Join(root, name)
	content, err := files.ReadFile(file)
	if err != nil {
		return failed(ErrorKustomize, err)
	}
	var overlay types.Kustomization
	if err := overlay.Unmarshal(content); err != nil {
		return &Error{Kind: ErrorKustomize, File: path.Join(k.Root, name), Message: fmt.Sprintf("%s: %v", path.Join(k.Root, name), err)}
	}
	overlay.FixKustomization()
	if err := apply(files, root, &overlay, k); err != nil {
		return err
	}
	if resource != nil {
		files.put(path.Join(root, lastMile), resource)
		overlay.Resources = append([]string{lastMile}, overlay.Resources...)
	}
	edited, err := yaml.Marshal(overlay)
	if err != nil {
		return failed(ErrorKustomize, err)
	}
	files.put(file, edited)
	return nil
}

func hasEdits(k *Kustomize) bool {
	return k.NamePrefix != "" || k.NameSuffix != "" || k.Namespace != "" || len(k.Images) > 0 || len(k.Replicas) > 0 ||
		len(k.CommonLabels) > 0 || len(k.CommonAnnotations) > 0 || len(k.Patches) > 0 || len(k.Components) > 0
}

func apply(files *tree, root string, overlay *types.Kustomization, k *Kustomize) error {
	if k.NamePrefix != "" {
		overlay.NamePrefix = k.NamePrefix
	}
	if k.NameSuffix != "" {
		overlay.NameSuffix = k.NameSuffix
	}
	if err := setImages(overlay, k.Images); err != nil {
		return err
	}
	setReplicas(overlay, k.Replicas)
	if err := addLabels(overlay, k); err != nil {
		return err
	}
	if len(k.CommonAnnotations) > 0 && overlay.CommonAnnotations == nil {
		overlay.CommonAnnotations = map[string]string{}
	}
	if err := addPairs(overlay.CommonAnnotations, k.CommonAnnotations, k.ForceCommonAnnotations, "annotation"); err != nil {
		return err
	}
	if k.Namespace != "" {
		overlay.Namespace = k.Namespace
	}
	for _, raw := range k.Patches {
		var patch types.Patch
		if err := json.Unmarshal(raw, &patch); err != nil {
			return &Error{Kind: ErrorKustomize, Message: fmt.Sprintf("source.kustomize.patches: %v", err)}
		}
		overlay.Patches = append(overlay.Patches, patch)
	}
	return addComponents(files, root, overlay, k)
}

// addComponents is `kustomize edit add component`, which takes patterns.
func addComponents(files *tree, root string, overlay *types.Kustomization, k *Kustomize) error {
	for _, named := range k.Components {
		if k.IgnoreMissingComponents && !files.has(path.Join(root, named)) {
			continue
		}
		found, err := fs.Glob(globbed{files, root}, named)
		if err != nil {
			return &Error{Kind: ErrorKustomize, Message: fmt.Sprintf("source.kustomize.components: %q: %v", named, err)}
		}
		if !filesys.IsHiddenFilePath(named) {
			found = filesys.RemoveHiddenFiles(found)
		}
		if len(found) == 0 {
			found = []string{named} // a remote one, or Kustomize tells that there is none
		}
		for _, component := range found {
			if !slices.Contains(overlay.Components, component) {
				overlay.Components = append(overlay.Components, component)
			}
		}
	}
	return nil
}

// globbed is the tree as far as a pattern's search goes, from a folder of it on.
type globbed struct {
	files *tree
	root  string
}

func (g globbed) Open(name string) (fs.File, error) { return nil, unsupported("open", name) }

func (g globbed) Stat(name string) (fs.FileInfo, error) {
	answer := g.files.at(path.Join(g.root, name))
	if answer.Kind == AnswerFile || answer.Kind == AnswerDirectory {
		return entry{name: name, folder: answer.Kind == AnswerDirectory}, nil
	}
	return nil, fs.ErrNotExist
}

func (g globbed) ReadDir(name string) ([]fs.DirEntry, error) {
	answer := g.files.exchange(&Reply{List: &Read{Path: onWire(clean(path.Join(g.root, name)))}})
	entries := make([]fs.DirEntry, 0, len(answer.Names))
	for _, name := range answer.Names {
		entries = append(entries, fs.FileInfoToDirEntry(entry{name: name}))
	}
	return entries, nil
}

// asIs keeps a part of an image as the kustomization has it.
const asIs = "*"

// setImages is `kustomize edit set image`: by name, sorted, "*" keeps what is there.
func setImages(overlay *types.Kustomization, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	images := map[string]types.Image{}
	for _, argument := range arguments {
		image, err := parseImage(argument)
		if err != nil {
			return err
		}
		images[image.Name] = image
	}
	for _, present := range overlay.Images {
		wanted, ok := images[present.Name]
		if !ok {
			images[present.Name] = present
			continue
		}
		images[present.Name] = keep(wanted, present)
	}
	overlay.Images = overlay.Images[:0]
	for _, image := range images {
		overlay.Images = append(overlay.Images, keep(image, types.Image{}))
	}
	sort.Slice(overlay.Images, func(i, j int) bool { return overlay.Images[i].Name < overlay.Images[j].Name })
	return nil
}

func keep(wanted, present types.Image) types.Image {
	kept := types.Image{Name: wanted.Name, NewName: wanted.NewName, TagSuffix: wanted.TagSuffix, NewTag: wanted.NewTag, Digest: wanted.Digest}
	if kept.NewName == asIs {
		kept.NewName = present.NewName
	}
	if kept.NewTag == asIs {
		kept.NewTag = present.NewTag
	}
	if kept.Digest == asIs {
		kept.Digest = present.Digest
	}
	return kept
}

func parseImage(argument string) (types.Image, error) {
	key, value, override := strings.Cut(argument, "=")
	if !override {
		value = argument
	}
	name, tag, digest := util.SplitImageName(value)
	if name == argument {
		return types.Image{}, &Error{Kind: ErrorKustomize, Message: fmt.Sprintf(
			"source.kustomize.images: %q is not <image>=<new image>:<new tag>, <image>:<new tag> or <image>@<digest>", argument)}
	}
	if override {
		return types.Image{Name: key, NewName: name, NewTag: tag, Digest: digest}, nil
	}
	return types.Image{Name: name, NewTag: tag, Digest: digest}, nil
}

func setReplicas(overlay *types.Kustomization, wanted []Replica) {
	if len(wanted) == 0 {
		return
	}
	counts := map[string]int64{}
	for _, present := range overlay.Replicas {
		counts[present.Name] = present.Count
	}
	for _, replica := range wanted {
		counts[replica.Name] = replica.Count
	}
	overlay.Replicas = overlay.Replicas[:0]
	for name, count := range counts {
		overlay.Replicas = append(overlay.Replicas, types.Replica{Name: name, Count: count})
	}
	sort.Slice(overlay.Replicas, func(i, j int) bool { return overlay.Replicas[i].Name < overlay.Replicas[j].Name })
}

func addLabels(overlay *types.Kustomization, k *Kustomize) error {
	if len(k.CommonLabels) == 0 {
		return nil
	}
	if !k.LabelWithoutSelector {
		if k.LabelIncludeTemplates {
			return &Error{Kind: ErrorKustomize, Message: "source.kustomize.labelIncludeTemplates needs labelWithoutSelector"}
		}
		if overlay.CommonLabels == nil {
			overlay.CommonLabels = map[string]string{}
		}
		return addPairs(overlay.CommonLabels, k.CommonLabels, k.ForceCommonLabels, "label")
	}
	for index, present := range overlay.Labels {
		if !present.IncludeSelectors && present.IncludeTemplates == k.LabelIncludeTemplates {
			if present.Pairs == nil {
				overlay.Labels[index].Pairs = map[string]string{}
			}
			return addPairs(overlay.Labels[index].Pairs, k.CommonLabels, k.ForceCommonLabels, "label")
		}
	}
	label := types.Label{Pairs: map[string]string{}, IncludeTemplates: k.LabelIncludeTemplates}
	overlay.Labels = append(overlay.Labels, label)
	return addPairs(label.Pairs, k.CommonLabels, k.ForceCommonLabels, "label")
}

// pairOf is how `kustomize edit add` reads the name:value that Argo CD makes of a label or annotation.
func pairOf(name, value string) (string, string) {
	name, value, _ = strings.Cut(name+":"+value, ":")
	if len(value) >= 2 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
		value = value[1 : len(value)-1]
	}
	return name, value
}

func addPairs(present, added map[string]string, force bool, kind string) error {
	for key, value := range added {
		key, value := pairOf(key, value)
		if _, ok := present[key]; ok && !force {
			return &Error{Kind: ErrorKustomize, Message: fmt.Sprintf(
				"%s %s already in kustomization file; set source.kustomize.forceCommon%ss to override it", kind, key,
				strings.ToUpper(kind[:1])+kind[1:])}
		}
		present[key] = value
	}
	return nil
}
