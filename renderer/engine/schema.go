package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// checkSchemas refuses schemas that point out of themselves: Helm's loader would read the host's files or fetch.
func checkSchemas(c *chart.Chart) error {
	if len(c.Schema) > 0 {
		var schema any
		// What isn't JSON is Helm's to report.
		if json.Unmarshal(c.Schema, &schema) == nil {
			identities := map[string]bool{}
			collectIdentities(schema, identities)
			if reference := outsideReference(schema, identities); reference != "" {
				file := c.ChartFullPath() + "/values.schema.json"
				return &Error{Kind: ErrorRemote, File: file, Message: fmt.Sprintf(
					"%s refers to %s: schemas outside of the file are not fetched; copy it into $defs", file, reference)}
			}
		}
	}
	for _, dependency := range c.Dependencies() {
		if err := checkSchemas(dependency); err != nil {
			return err
		}
	}
	return nil
}

func collectIdentities(schema any, identities map[string]bool) {
	walkSchema(schema, func(key, value string) {
		if key == "$id" || key == "id" {
			identities[strings.TrimSuffix(value, "#")] = true
		}
	})
}

func outsideReference(schema any, identities map[string]bool) string {
	outside := ""
	walkSchema(schema, func(key, value string) {
		if key != "$ref" && key != "$dynamicRef" && key != "$recursiveRef" && key != "$schema" {
			return
		}
		if !staysInside(value, identities) {
			outside = value
		}
	})
	return outside
}

func staysInside(reference string, identities map[string]bool) bool {
	document, _, _ := strings.Cut(reference, "#")
	if document == "" || identities[document] {
		return true
	}
	parsed, err := url.Parse(document)
	if err != nil {
		return false
	}
	switch parsed.Scheme {
	case "urn":
		return true // Helm takes an unknown urn for "anything goes", without fetching
	case "http", "https":
		return parsed.Host == "json-schema.org"
	case "":
		// Relative: to an identity that is a URL, which would be fetched, or to the folder of the host.
		for identity := range identities {
			if strings.HasSuffix(identity, document) {
				return true
			}
		}
		return false
	default:
		return false
	}
}

func walkSchema(schema any, visit func(key, value string)) {
	switch node := schema.(type) {
	case map[string]any:
		for key, value := range node {
			if text, ok := value.(string); ok {
				visit(key, text)
			} else {
				walkSchema(value, visit)
			}
		}
	case []any:
		for _, value := range node {
			walkSchema(value, visit)
		}
	}
}
