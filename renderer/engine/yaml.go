package main

import (
	"maps"
	"math"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v2"

	"helm.sh/helm/v4/pkg/chart/common"
)

// Helm's toYaml writes JSON, reads that as YAML and writes YAML, which is much of what rendering takes. What comes to the same when it is
// written at once, is; everything else goes Helm's way.

// newWriters are toYaml and mustToYaml.
func newWriters() template.FuncMap {
	toYAML := functions["toYaml"].(func(any) string)
	mustToYAML := functions["mustToYaml"].(func(any) string)
	return template.FuncMap{
		"toYaml":     func(v any) string { return written(v, toYAML) },
		"mustToYaml": func(v any) string { return written(v, mustToYAML) },
	}
}

func written(v any, otherwise func(any) string) string {
	if found := asJSONHasIt(v, 0); found.plain {
		if text, err := yaml.Marshal(found.value); err == nil {
			return strings.TrimSuffix(string(text), "\n")
		}
	}
	return otherwise(v)
}

// maxPlainDepth is far below where JSON and YAML end; maxPlainKey below what YAML takes for a key.
const (
	maxPlainDepth = 100
	maxPlainKey   = 128
)

// seen is a value as reading its JSON as YAML would give it.
type seen struct {
	value any
	// changed means that it isn't the one that was given.
	changed bool
	// plain is false if that can't be told here.
	plain bool
}

func same(value any) seen { return seen{value: value, plain: true} }

func asJSONHasIt(v any, depth int) seen {
	if depth > maxPlainDepth {
		return seen{}
	}
	switch value := v.(type) {
	case nil, bool, int, int64:
		return same(v)
	case float64:
		return number(value)
	case string:
		return seen{value: v, plain: isPlain(value)}
	case common.Values:
		return mapping(value, depth)
	case map[string]any:
		return mapping(value, depth)
	case []any:
		return sequence(value, depth)
	case map[string]string:
		for name, text := range value {
			if !isPlainKey(name) || !isPlain(text) {
				return seen{}
			}
		}
		return seen{value: v, plain: value != nil}
	case []string:
		for _, text := range value {
			if !isPlain(text) {
				return seen{}
			}
		}
		return seen{value: v, plain: value != nil}
	default:
		return seen{}
	}
}

// number is an integer if it has no fraction: JSON has no others.
func number(value float64) seen {
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0) || (value == 0 && math.Signbit(value)):
		return seen{}
	case value != math.Trunc(value):
		return same(value)
	case math.Abs(value) < 1e15:
		return seen{value: int64(value), changed: true, plain: true}
	default:
		return seen{}
	}
}

func mapping(value map[string]any, depth int) seen {
	if value == nil {
		return seen{}
	}
	result, changed := value, false
	for name, item := range value {
		found := asJSONHasIt(item, depth+1)
		if !found.plain || !isPlainKey(name) {
			return seen{}
		}
		if found.changed {
			if !changed {
				result, changed = maps.Clone(value), true
			}
			result[name] = found.value
		}
	}
	return seen{value: result, changed: changed, plain: true}
}

func sequence(value []any, depth int) seen {
	if value == nil {
		return seen{}
	}
	result, changed := value, false
	for index, item := range value {
		found := asJSONHasIt(item, depth+1)
		if !found.plain {
			return seen{}
		}
		if found.changed {
			if !changed {
				result, changed = slices.Clone(value), true
			}
			result[index] = found.value
		}
	}
	return seen{value: result, changed: changed, plain: true}
}

func isPlainKey(name string) bool { return len(name) <= maxPlainKey && name != "<<" && isPlain(name) }

// isPlain tells whether a text comes through JSON and YAML as it is.
func isPlain(text string) bool {
	for _, r := range text {
		switch {
		case r >= ' ' && r <= '~', r == '\n', r == '\t', r == '\r':
		case r < 0xA0, r == 0x2028, r == 0x2029, r == 0xFEFF, r >= 0xFFFD && r <= 0xFFFF:
			return false
		}
	}
	return true
}
