package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	"sigs.k8s.io/yaml"
)

// helmGenerator is the name of Kustomize's generator that inflates a chart.
const helmGenerator = "HelmChartInflationGenerator"

// defaultRelease is Helm's name for what `helm template` is given no name for.
const defaultRelease = "release-name"

// inflateThrough puts our generator of charts in the place of Kustomize's until the returned function is called.
func inflateThrough(files *tree) func() {
	kind := generatorKind(helmGenerator)
	former := generators[kind]
	generators[kind] = func() resmap.GeneratorPlugin { return &inflation{files: files} }
	return func() { generators[kind] = former }
}

// inflation is Kustomize's generator of a chart with Helm's library where it would run `helm pull` and `helm template`.
// What is asked for, and what of it is wrong, is Kustomize's own to read.
type inflation struct {
	builtins.HelmChartInflationGeneratorPlugin
	files   *tree
	helpers *resmap.PluginHelpers
}

func (i *inflation) Config(helpers *resmap.PluginHelpers, config []byte) error {
	i.helpers = helpers
	// Else Kustomize makes a folder for Helm's configuration on the host.
	i.ConfigHome = "/"
	return i.HelmChartInflationGeneratorPlugin.Config(helpers, config)
}

func (i *inflation) Generate() (resmap.ResMap, error) {
	if err := i.pull(); err != nil {
		return nil, err
	}
	values, err := i.values()
	if err != nil {
		return nil, err
	}
	text, err := i.render(values)
	if err != nil {
		return nil, err
	}
	factory := i.helpers.ResmapFactory()
	resources, err := factory.NewResMapFromBytes(text)
	if err != nil {
		// As Kustomize does: the reader is more lenient than the factory.
		nodes, failure := (&kio.ByteReader{Reader: bytes.NewReader(text), OmitReaderAnnotations: true}).Read()
		if failure != nil {
			return nil, fmt.Errorf("error reading helm output: %w", failure)
		}
		if len(nodes) == 0 {
			return nil, fmt.Errorf("could not parse bytes into resource map: %w", err)
		}
		if resources, err = factory.NewResMapFromRNodeSlice(nodes); err != nil {
			return nil, fmt.Errorf("could not parse rnode slice into resource map: %w", err)
		}
	}
	for _, resource := range resources.Resources() {
		if err := resource.PipeE(kyaml.SetAnnotation(konfig.HelmGeneratedAnnotation, "true")); err != nil {
			return nil, fmt.Errorf("failed to set helm annotation: %w", err)
		}
	}
	return resources, nil
}

// chartFolder is where Kustomize looks for the chart before it pulls it, and pulls it to.
func (i *inflation) chartFolder() string {
	return chartFolder(i.helpers.Loader().Root(), &i.HelmGlobals, &i.HelmChart)
}

func chartFolder(root string, globals *types.HelmGlobals, chart *types.HelmChart) string {
	home := globals.ChartHome
	if home == "" {
		home = types.HelmDefaultHome
	}
	if !path.IsAbs(home) {
		home = path.Join(root, home)
	}
	if chart.Version != "" && chart.Repo != "" {
		home = path.Join(home, fmt.Sprintf("%s-%s", chart.Name, chart.Version))
	}
	return path.Join(home, chart.Name)
}

// pull makes the chart appear in its folder unless one is there.
func (i *inflation) pull() error {
	folder := i.chartFolder()
	if i.files.IsDir(folder) {
		return nil
	}
	if i.Repo == "" {
		return fmt.Errorf("no repo specified for pull, no chart found at '%s'", folder)
	}
	if i.files.waits {
		return errWaits
	}
	_, err := i.files.mount(needOfChart(&i.HelmChart), folder)
	return err
}

// needOfChart is what `helm pull` would be told.
func needOfChart(chart *types.HelmChart) Need {
	version := chart.Version
	if version == "" && chart.Devel {
		version = ">0.0.0-0"
	}
	return Need{Chart: &NeedChart{Repository: strings.TrimSuffix(chart.Repo, "/"), Name: chart.Name, Version: version}}
}

// values are the chart's or the named file, joined with those of the overlay, and the additional files.
func (i *inflation) values() ([]File, error) {
	loader := i.helpers.Loader()
	var first []byte
	var err error
	if len(i.ValuesInline) > 0 {
		first, err = i.mergedValues()
	} else {
		first, err = loader.Load(i.ValuesFile)
	}
	if err != nil {
		return nil, err
	}
	values := []File{{Name: i.ValuesFile, Data: first}}
	for _, file := range i.AdditionalValuesFiles {
		content, err := loader.Load(file)
		if err != nil {
			return nil, fmt.Errorf("could not load additionalValuesFile: %w", err)
		}
		values = append(values, File{Name: file, Data: content})
	}
	return values, nil
}

func (i *inflation) mergedValues() ([]byte, error) {
	values := i.ValuesInline
	if i.ValuesMerge != "replace" {
		content, err := i.helpers.Loader().Load(i.ValuesFile)
		if err != nil {
			return nil, err
		}
		file, err := kyaml.Parse(string(content))
		if err != nil {
			return nil, fmt.Errorf("could not parse values file into rnode: %w", err)
		}
		inline, err := kyaml.FromMap(values)
		if err != nil {
			return nil, fmt.Errorf("could not parse values inline into rnode: %w", err)
		}
		over, under := inline, file
		if i.ValuesMerge == "merge" {
			over, under = file, inline
		}
		merged, err := merge2.Merge(over, under, kyaml.MergeOptions{})
		if err != nil {
			return nil, fmt.Errorf("could not merge values: %w", err)
		}
		if values, err = merged.Map(); err != nil {
			return nil, fmt.Errorf("could not parse merged values into map: %w", err)
		}
	}
	return yaml.Marshal(values)
}

// render is `helm template` of the chart in its folder.
func (i *inflation) render(values []File) ([]byte, error) {
	name, err := i.release()
	if err != nil {
		return nil, err
	}
	whole := slices.ContainsFunc(values, func(file File) bool { return bytes.Contains(file.Data, []byte("Files")) })
	answer := i.files.exchange(&Reply{Chart: &Folder{Path: onWire(i.chartFolder()), Whole: whole}})
	switch answer.Kind {
	case AnswerChart:
	case AnswerAbsent:
		i.files.waits = true
		return nil, errWaits
	default:
		i.files.refused = &Error{Kind: ErrorRefused, Message: answer.Message}
		return nil, errors.New(answer.Message)
	}
	namespace := i.Namespace
	if namespace == "" {
		namespace = "default"
	}
	documents, err := renderHelm(i.files.wire, &Helm{
		ReleaseName: name, Namespace: namespace, KubeVersion: i.KubeVersion, APIVersions: i.ApiVersions,
		Folder: onWire(i.chartFolder()), Files: answer.Files, Values: values, SkipCRDs: !i.IncludeCRDs,
	})
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", i.Name, err)
	}
	return asTemplateOutput(documents, hooksOf(i.SkipHooks, i.SkipTests))
}

// release is the name that `helm template` makes of what it is given.
func (i *inflation) release() (string, error) {
	switch {
	case i.NameTemplate == "" && i.ReleaseName == "":
		return defaultRelease, nil
	case i.NameTemplate == "":
		return i.ReleaseName, nil
	case i.ReleaseName != "":
		return "", errors.New("cannot set --name-template and also specify a name")
	}
	functions := sprig.TxtFuncMap()
	// They would read the host's environment, its resolver's answers too.
	maps.DeleteFunc(functions, func(name string, _ any) bool {
		return slices.Contains([]string{"env", "expandenv", "getHostByName"}, name)
	})
	parsed, err := template.New("name-template").Funcs(functions).Parse(i.NameTemplate)
	if err != nil {
		return "", err
	}
	var name strings.Builder
	err = parsed.Execute(&name, nil)
	return name.String(), err
}
