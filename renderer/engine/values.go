package main

import (
	"fmt"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
)

// mergeValues does what `helm template` does with --values, --set, --set-string and --set-file, in that order
// whatever order they are given in.
func mergeValues(h *Helm) (map[string]any, error) {
	merged := map[string]any{}
	for _, file := range h.Values {
		values, err := loadValues(file.Data)
		if err != nil {
			return nil, &Error{Kind: ErrorValues, File: file.Name, Message: fmt.Sprintf("failed to parse %s: %v", file.Name, err)}
		}
		merged = loader.MergeMaps(merged, values)
	}
	for _, parameter := range lastByName(h.Parameters) {
		if parameter.ForceString {
			continue
		}
		if err := strvals.ParseInto(parameter.Name+"="+escapeCommas(parameter.Value), merged); err != nil {
			return nil, failedParameter(parameter.Name, err)
		}
	}
	for _, parameter := range lastByName(h.Parameters) {
		if !parameter.ForceString {
			continue
		}
		if err := strvals.ParseIntoString(parameter.Name+"="+escapeCommas(parameter.Value), merged); err != nil {
			return nil, failedParameter(parameter.Name, err)
		}
	}
	for index, parameter := range h.FileParameters {
		// strvals reads a path: an index stands for it, so that no path is ever opened.
		content := func(path []rune) (any, error) {
			if string(path) != strconv.Itoa(index) {
				return nil, fmt.Errorf("the name holds a path of its own")
			}
			return string(parameter.Data), nil
		}
		if err := strvals.ParseIntoFile(parameter.Name+"="+strconv.Itoa(index), merged, content); err != nil {
			return nil, failedParameter(parameter.Name, err)
		}
	}
	return merged, nil
}

func failedParameter(name string, err error) error {
	// The cause is not told: it quotes the value.
	_ = err
	return &Error{Kind: ErrorValues, Message: fmt.Sprintf("the parameter %q cannot be parsed as a path and value of Helm's --set", name)}
}

// lastByName keeps the last parameter of a name and kind, as Argo CD's maps do.
func lastByName(parameters []Parameter) []Parameter {
	type key struct {
		name        string
		forceString bool
	}
	last := make(map[key]int, len(parameters))
	for index, parameter := range parameters {
		last[key{parameter.Name, parameter.ForceString}] = index
	}
	var kept []Parameter
	for index, parameter := range parameters {
		if last[key{parameter.Name, parameter.ForceString}] == index {
			kept = append(kept, parameter)
		}
	}
	return kept
}

// escapeCommas keeps a value with commas one value, as Argo CD does; a `{list}` is left to Helm.
func escapeCommas(value string) string {
	if strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") {
		return value
	}
	var escaped strings.Builder
	var previous rune
	for _, r := range value {
		if r == ',' && previous != '\\' {
			escaped.WriteByte('\\')
		}
		escaped.WriteRune(r)
		previous = r
	}
	return escaped.String()
}
