package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"
)

// renderJsonnet evaluates Jsonnet files as Argo CD does, each to one JSON text. They share one machine, so that a
// library is read and parsed once: Jsonnet has no state that one file could leave to the next.
func renderJsonnet(wire *channel, j *Jsonnet) ([]Document, error) {
	files := newTree(wire)
	vm := jsonnet.MakeVM()
	vm.SetTraceOut(io.Discard)
	setVariables(j.TLAs, vm.TLAVar, vm.TLACode)
	setVariables(j.ExtVars, vm.ExtVar, vm.ExtCode)
	vm.Importer(&importer{
		files:  files,
		paths:  append([]string{j.Folder}, j.Libs...),
		loaded: map[string]jsonnet.Contents{},
	})
	documents := make([]Document, 0, len(j.Files))
	for _, file := range j.Files {
		text, err := evaluate(vm, file)
		if err != nil {
			return nil, withRefusal(files, explainJsonnet(file, err))
		}
		documents = append(documents, Document{Kind: DocumentJsonnet, Source: file, Text: text})
	}
	return documents, nil
}

func setVariables(variables []JsonnetVariable, text, code func(name, value string)) {
	for _, variable := range variables {
		if variable.Code {
			code(variable.Name, variable.Value)
		} else {
			text(variable.Name, variable.Value)
		}
	}
}

// evaluate is the machine's EvaluateFile, without its turning errors into text.
func evaluate(vm *jsonnet.VM, file string) (string, error) {
	node, _, err := vm.ImportAST("", file)
	if err != nil {
		return "", err
	}
	return vm.Evaluate(node)
}

// importer is Jsonnet's own file importer on the renderer's tree: beside the importing file, then in the library
// paths, the last one first. Paths are joined by their letters, before links are followed, as there.
type importer struct {
	files *tree
	paths []string
	// The machine wants the same contents for the same place.
	loaded map[string]jsonnet.Contents
}

func (i *importer) Import(importedFrom, importedPath string) (jsonnet.Contents, string, error) {
	if path.IsAbs(importedPath) {
		return jsonnet.Contents{}, "", fmt.Errorf("the import %q is absolute: imports are taken from the repository only", importedPath)
	}
	candidates := []string{path.Join(path.Dir(importedFrom), importedPath)}
	for index := len(i.paths) - 1; index >= 0; index-- {
		candidates = append(candidates, path.Join(i.paths[index], importedPath))
	}
	outside := false
	for _, candidate := range candidates {
		if candidate == ".." || strings.HasPrefix(candidate, "../") {
			outside = true
			continue
		}
		if contents, ok := i.loaded[candidate]; ok {
			return contents, candidate, nil
		}
		switch answer := i.files.at(path.Join(treeRoot, candidate)); answer.Kind {
		case AnswerFile:
			contents := jsonnet.MakeContentsRaw(answer.Data)
			i.loaded[candidate] = contents
			return contents, candidate, nil
		case AnswerDirectory:
			return jsonnet.Contents{}, "", fmt.Errorf("the import %q is the folder %s", importedPath, candidate)
		case AnswerRefused:
			return jsonnet.Contents{}, "", errors.New(answer.Message)
		}
	}
	if outside {
		return jsonnet.Contents{}, "", fmt.Errorf("the import %q leaves the repository", importedPath)
	}
	return jsonnet.Contents{}, "", fmt.Errorf("the import %q is neither beside the file nor in the libraries", importedPath)
}

// explainJsonnet says what is wrong and where, without the stack.
func explainJsonnet(file string, err error) error {
	// What the parser and the analysis find.
	type located interface {
		error
		Loc() ast.LocationRange
	}
	message, line := err.Error(), 0
	var static located
	var runtime jsonnet.RuntimeError
	if errors.As(err, &static) {
		location := static.Loc()
		message = strings.TrimPrefix(message, location.String())
		file, line = place(location, file)
		if !inTree(location) {
			message = "the code of a variable is not valid Jsonnet"
		}
	} else if errors.As(err, &runtime) {
		message = runtime.Msg
		// The last frame is the one that failed.
		for _, frame := range slices.Backward(runtime.StackTrace) {
			if inTree(frame.Loc) {
				file, line = place(frame.Loc, file)
				break
			}
		}
	}
	// A crash of the machine itself brings Go's stack along.
	if rest, ok := strings.CutPrefix(message, "(CRASH) "); ok {
		message, _, _ = strings.Cut(rest, "\n")
	}
	at := file
	if line > 0 {
		at = fmt.Sprintf("%s:%d", file, line)
	}
	return &Error{
		Kind:    ErrorJsonnet,
		File:    file,
		Line:    line,
		Message: fmt.Sprintf("%s: %s", at, strings.TrimSpace(message)),
	}
}

func place(location ast.LocationRange, otherwise string) (string, int) {
	if !inTree(location) {
		return otherwise, 0
	}
	return location.FileName, location.Begin.Line
}

// inTree tells files from the standard library and from variables given as code, which have names like `<std>`.
func inTree(location ast.LocationRange) bool {
	return location.IsSet() && location.FileName != "" && !strings.HasPrefix(location.FileName, "<")
}
