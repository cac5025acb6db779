package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// schema is what is known of a text.
type schema struct {
	// outside is what it refers to out of itself.
	outside string
	// compiled is nil if it takes Helm to say what is the matter with it.
	compiled *jsonschema.Schema
}

// schemaText is one as a chart has it.
type schemaText string

func schemaOf(text []byte) *schema {
	// Never fails.
	found, _ := kept(schemaText(text), func() (*schema, int, error) {
		return &schema{outside: outsideOf(text), compiled: compile(text)}, 10 * len(text), nil
	})
	return found
}

// compile does what Helm does with a schema that needs nothing but itself.
func compile(text []byte) (compiled *jsonschema.Schema) {
	defer func() {
		if recover() != nil {
			compiled = nil
		}
	}()
	const name = "file:///values.schema.json"
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(refusingLoader{})
	if err := compiler.AddResource(name, parsed); err != nil {
		return nil
	}
	if compiled, err = compiler.Compile(name); err != nil {
		return nil
	}
	return compiled
}

type refusingLoader struct{}

func (refusingLoader) Load(address string) (any, error) {
	return nil, errors.New("not loaded here: " + address)
}

// validate checks the values of a chart, and of those in it, by their schemas. A schema is compiled once; whatever isn't plainly
// right is Helm's to judge, and to word.
func validate(c *chart.Chart, scope common.Values) error {
	values, ok := scope["Values"].(common.Values)
	if ok && allValid(c, values.AsMap()) {
		return nil
	}
	if err := util.ValidateAgainstSchema(c, values); err != nil {
		return failed(ErrorSchema, fmt.Errorf("values don't meet the specifications of the schema(s) in the following chart(s):\n%w", err))
	}
	return nil
}

func allValid(c *chart.Chart, values map[string]any) bool {
	if c.Schema != nil && !isValid(schemaOf(c.Schema).compiled, values) {
		return false
	}
	for _, dependency := range c.Dependencies() {
		given, ok := values[dependency.Name()]
		if !ok || given == nil {
			continue
		}
		inner, ok := given.(map[string]any)
		if !ok || !allValid(dependency, common.Values(inner).AsMap()) {
			return false
		}
	}
	return true
}

func isValid(compiled *jsonschema.Schema, values map[string]any) (valid bool) {
	defer func() {
		if recover() != nil {
			valid = false
		}
	}()
	return compiled != nil && compiled.Validate(values) == nil
}

// checkSchemas refuses schemas that point out of themselves: Helm's loader would read the host's files or fetch.
func checkSchemas(c *chart.Chart) error {
	if len(c.Schema) > 0 {
		if reference := schemaOf(c.Schema).outside; reference != "" {
			file := c.ChartFullPath() + "/values.schema.json"
			return &Error{Kind: ErrorRemote, File: file, Message: fmt.Sprintf(
				"%s refers to %s: schemas outside of the file are not fetched; copy it into $defs", file, reference)}
		}
	}
	for _, dependency := range c.Dependencies() {
		if err := checkSchemas(dependency); err != nil {
			return err
		}
	}
	return nil
}

// outsideOf is a reference of a schema that leads out of it; what isn't JSON is Helm's to report.
func outsideOf(text []byte) string {
	var parsed any
	if json.Unmarshal(text, &parsed) != nil {
		return ""
	}
	identities := map[string]bool{}
	collectIdentities(parsed, identities)
	return outsideReference(parsed, identities)
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
