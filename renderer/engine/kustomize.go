package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// lastMile is the name under which an overlay sees the output of the chart.
const lastMile = "towline-last-mile.yaml"

var defaultSchema = openapi.GetSchemaVersion()

// renderKustomize is `kustomize build` on the renderer's tree. resource, if not nil, is the overlay's first resource.
func renderKustomize(wire *channel, k *Kustomize, resource []byte) ([]Document, error) {
	options, err := buildOptions(k.BuildOptions)
	if err != nil {
		return nil, err
	}
	files := newTree(wire)
	root := path.Join(treeRoot, k.Root)
	if answer := files.at(root); answer.Kind == AnswerDirectory {
		// Through a symbolic link: files that are put beside the overlay must be where Kustomize looks.
		root = path.Join(treeRoot, answer.Path)
	}
	if err := edit(files, root, k, resource); err != nil {
		return nil, withRefusal(files, err)
	}

	// Kustomize keeps a schema that an overlay brought for the next one.
	defer func() {
		if openapi.GetSchemaVersion() != defaultSchema {
			openapi.ResetOpenAPI()
		}
	}()
	resources, err := krusty.MakeKustomizer(options).Run(files, root)
	if err != nil {
		return nil, withRefusal(files, explain(err, files.last))
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

// buildOptions are those flags of `kustomize build` that change what is built.
func buildOptions(flags string) (*krusty.Options, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	fields := strings.Fields(flags)
	for index := 0; index < len(fields); index++ {
		name, value, inline := strings.Cut(fields[index], "=")
		argument := func() string {
			if !inline && index+1 < len(fields) {
				index++
				return fields[index]
			}
			return value
		}
		switch name {
		case "--load-restrictor", "--load_restrictor":
			switch restrictor := argument(); restrictor {
			case "LoadRestrictionsNone", "none":
				options.LoadRestrictions = types.LoadRestrictionsNone
			case "LoadRestrictionsRootOnly", "rootOnly":
				options.LoadRestrictions = types.LoadRestrictionsRootOnly
			default:
				return nil, badOption(fields[index])
			}
		case "--reorder":
			switch order := krusty.ReorderOption(argument()); order {
			case krusty.ReorderOptionLegacy, krusty.ReorderOptionNone:
				options.Reorder = order
			default:
				return nil, badOption(fields[index])
			}
		case "--enable-managedby-label":
			options.AddManagedbyLabel = !inline || value == "true"
		case "--enable-helm":
			// Overlays without charts don't care; one with charts is told in explain.
		default:
			return nil, badOption(fields[index])
		}
	}
	return options, nil
}

func badOption(option string) error {
	return &Error{Kind: ErrorUnsupported, Message: fmt.Sprintf("the Kustomize build option %q is not supported", option)}
}

// withRefusal prefers the renderer's own words over what Kustomize made of them.
func withRefusal(files *tree, err error) error {
	if files.refused != nil {
		return files.refused
	}
	return err
}

var (
	accumulated = regexp.MustCompile(`accumulating resources from '([^']+)'`)
	// The tree's place is ours, not the reader's.
	treePrefix = regexp.MustCompile(regexp.QuoteMeta(treeRoot) + `/?`)
)

// explain turns what Kustomize says when it isn't allowed to fetch or to run something into what is the matter.
func explain(err error, last string) error {
	message := treePrefix.ReplaceAllString(err.Error(), "")
	switch {
	case strings.Contains(message, noNetwork), strings.Contains(message, "no 'git' program on path"):
		what := "a remote base or file"
		if found := accumulated.FindAllStringSubmatch(message, -1); found != nil {
			what = found[len(found)-1][1]
		}
		return &Error{Kind: ErrorRemote, Message: fmt.Sprintf(
			"the kustomization refers to %s: remote bases are fetched by the watcher, which comes with a later version; "+
				"copy it into the repository", what)}
	case strings.Contains(message, "--enable-helm"):
		return &Error{Kind: ErrorUnsupported, Message: "the kustomization has helmCharts, which are not supported yet; " +
			"use the annotation towline.dev/last-mile to put an overlay on a chart"}
	case strings.Contains(message, "external plugins disabled"):
		return &Error{Kind: ErrorUnsupported, Message: "the kustomization uses a plugin that runs a program, which a render never does: " + message}
	}
	if !strings.Contains(message, path.Base(last)) {
		message = fmt.Sprintf("%s (after reading %s)", message, last)
	}
	return &Error{Kind: ErrorKustomize, Message: message, File: last}
}
