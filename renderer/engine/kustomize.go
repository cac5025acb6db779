package main

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// lastMile is the name under which an overlay sees the output of the chart.
const lastMile = "towline-last-mile.yaml"

var defaultSchema = openapi.GetSchemaVersion()

// renderKustomize is `kustomize build` on the renderer's tree. resource, if not nil, is the overlay's first resource.
func renderKustomize(wire *channel, k *Kustomize, resource []byte) ([]Document, error) {
	options, err := buildOptions(k)
	if err != nil {
		return nil, err
	}
	files := newTree(wire)
	root := path.Join(treeRoot, k.Root)
	if answer := files.at(root); answer.Kind == AnswerDirectory {
		// Through a symbolic link: files that are put beside the overlay must be where Kustomize looks.
		root = offWire(answer.Path)
	}
	if err := edit(files, root, k, resource); err != nil {
		return nil, explain(files, err)
	}

	// Kustomize keeps a schema that an overlay brought for the next one.
	defer func() {
		if openapi.GetSchemaVersion() != defaultSchema {
			openapi.ResetOpenAPI()
		}
	}()
	http.DefaultTransport = transport{files}
	defer func() { http.DefaultTransport = refusingTransport{} }()
	defer inflateThrough(files)()

	resources, err := build(files, root, options)
	if files.waits {
		scanFrom(files, root, options.PluginConfig.HelmConfig.Enabled)
		err = &Error{Kind: ErrorWaits, Message: errWaits.Error()}
	}
	if err != nil {
		return nil, explain(files, err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		return nil, failed(ErrorKustomize, err)
	}
	return []Document{{Kind: DocumentKustomize, Source: path.Join(k.Root, kustomizationFile(files, root)), Text: string(text)}}, nil
}

// kustomizationFile is the name of the overlay's kustomization; "" if there is none or more than one.
func kustomizationFile(files *tree, root string) string {
	found := ""
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if files.at(path.Join(root, name)).Kind == AnswerFile {
			if found != "" {
				return ""
			}
			found = name
		}
	}
	return found
}

// The tree's place is ours, not the reader's.
var treePrefix = regexp.MustCompile(`(^|[^\w./-])` + regexp.QuoteMeta(treeRoot) + `\b/?`)

// generatorAddress is what Kustomize prints of a generator: where it is in memory, which nobody can alert on.
var generatorAddress = regexp.MustCompile(`generator &\{[^}]*\}`)

// withRefusal prefers the renderer's own words, on a path that it would not answer, over what a library made of them.
func withRefusal(files *tree, err error) error {
	if files.refused != nil {
		return files.refused
	}
	return err
}

// explain says what is the matter in a reader's words.
func explain(files *tree, err error) error {
	err = withRefusal(files, err)
	var known *Error
	if errors.As(err, &known) && known.Kind != ErrorKustomize {
		return known
	}
	// Before more is said: of some messages nothing is kept from where they begin to quote.
	message := scrub(generatorAddress.ReplaceAllString(readable(files, err.Error()), "generator"))
	if strings.Contains(message, "external plugins disabled") {
		return &Error{Kind: ErrorUnsupported, Message: "the kustomization uses a plugin or function that runs a program, which a render never does: " + message}
	}
	last := readable(files, offWire(files.last))
	if !strings.Contains(message, path.Base(last)) {
		message = fmt.Sprintf("%s (after reading %s)", message, last)
	}
	return &Error{Kind: ErrorKustomize, Message: message, File: last}
}

// readable takes our places out of a text.
func readable(files *tree, text string) string {
	for key, place := range files.remotes {
		if below(place, remoteRoot) {
			text = regexp.MustCompile(`(^|[^\w./-])`+regexp.QuoteMeta(place)+`\b`).ReplaceAllString(text, "${1}"+strings.ReplaceAll(key, "$", "$$"))
		}
	}
	return treePrefix.ReplaceAllString(text, "${1}")
}
