package main

import (
	"bytes"
	"hash/maphash"
	"maps"
	"slices"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"
)

// A chart is rendered for many environments, with nothing but other values. So one that was loaded is kept as it was then;
// each render gets a copy, since Helm changes charts as it renders them.

// loaded is a chart with all that it was made of.
type loaded struct {
	files  []File
	packed bool
	chart  *chart.Chart
	rules  *ignore.Rules
}

// hashed stands for the files of a chart until they are compared.
type hashed uint64

// valueFile is the text of one.
type valueFile string

var seed = maphash.MakeSeed()

// loadedChart is the chart of these files, packed or from a folder. The rules are those of the folder.
func loadedChart(files []File, packed bool) (*chart.Chart, *ignore.Rules, error) {
	key := hashOf(files, packed)
	if found, ok := memory.get(key); ok {
		if known := found.(*loaded); known.is(files, packed) {
			return fresh(known.chart), known.rules, nil
		}
	}
	load := loadChart
	if packed {
		load = loadPackage
	}
	// Of the request nothing is kept.
	own, size := ownCopy(files)
	made, rules, err := load(own)
	if err != nil {
		return nil, nil, err
	}
	memory.put(key, &loaded{own, packed, made, rules}, size+size/4)
	return fresh(made), rules, nil
}

func (l *loaded) is(files []File, packed bool) bool {
	return l.packed == packed && slices.EqualFunc(l.files, files, func(a, b File) bool {
		return a.Name == b.Name && bytes.Equal(a.Data, b.Data)
	})
}

func hashOf(files []File, packed bool) hashed {
	var hash maphash.Hash
	hash.SetSeed(seed)
	if packed {
		hash.WriteByte(1)
	}
	for _, file := range files {
		hash.WriteString(file.Name)
		hash.WriteByte(0)
		hash.Write(file.Data)
		hash.WriteByte(0)
	}
	return hashed(hash.Sum64())
}

func ownCopy(files []File) ([]File, int) {
	size := 0
	for _, file := range files {
		size += len(file.Data)
	}
	room := make([]byte, 0, size)
	own := make([]File, len(files))
	for index, file := range files {
		start := len(room)
		room = append(room, file.Data...)
		own[index] = File{Name: file.Name, Size: file.Size, Data: room[start:len(room):len(room)]}
	}
	return own, size
}

// fresh is a chart to be rendered: what Helm and templates write to is its own, texts are shared.
func fresh(of *chart.Chart) *chart.Chart {
	made := *of
	made.Metadata = freshMetadata(of.Metadata)
	made.Values = freshValues(of.Values)
	made.Templates = slices.Clone(of.Templates)
	made.Files = slices.Clone(of.Files)
	dependencies := make([]*chart.Chart, 0, len(of.Dependencies()))
	for _, dependency := range of.Dependencies() {
		dependencies = append(dependencies, fresh(dependency))
	}
	made.SetDependencies(dependencies...)
	return &made
}

func freshMetadata(of *chart.Metadata) *chart.Metadata {
	if of == nil {
		return nil
	}
	made := *of
	made.Sources = slices.Clone(of.Sources)
	made.Keywords = slices.Clone(of.Keywords)
	made.Annotations = maps.Clone(of.Annotations)
	made.Maintainers = slices.Clone(of.Maintainers)
	for index, maintainer := range made.Maintainers {
		if maintainer != nil {
			own := *maintainer
			made.Maintainers[index] = &own
		}
	}
	made.Dependencies = slices.Clone(of.Dependencies)
	for index, dependency := range made.Dependencies {
		if dependency != nil {
			own := *dependency
			own.Tags = slices.Clone(dependency.Tags)
			if dependency.ImportValues != nil {
				own.ImportValues = freshValue(dependency.ImportValues).([]any)
			}
			made.Dependencies[index] = &own
		}
	}
	return &made
}

func freshValues(of map[string]any) map[string]any {
	if of == nil {
		return nil
	}
	made := make(map[string]any, len(of))
	for name, value := range of {
		made[name] = freshValue(value)
	}
	return made
}

func freshValue(of any) any {
	switch value := of.(type) {
	case map[string]any:
		return freshValues(value)
	case []any:
		if value == nil {
			return value
		}
		made := make([]any, len(value))
		for index, item := range value {
			made[index] = freshValue(item)
		}
		return made
	default:
		return of
	}
}

// loadValues is Helm's reading of a value file.
func loadValues(text []byte) (map[string]any, error) {
	values, err := kept(valueFile(text), func() (map[string]any, int, error) {
		values, err := loader.LoadValues(bytes.NewReader(text))
		return values, 6 * len(text), err
	})
	return freshValues(values), err
}
