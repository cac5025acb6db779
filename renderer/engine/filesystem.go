package main

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// treeRoot is where Kustomize sees the tree. It is not "/", so that a path with too many ".." is seen to leave it.
const treeRoot = "/repository"

// remoteRoot is where Kustomize sees what comes from elsewhere; the renderer knows it as remoteMounts, in the tree.
const (
	remoteRoot   = "/remote"
	remoteMounts = ".towline/remote"
)

// tree is the renderer's tree as a file system for Kustomize: read only, by question and answer, each answer kept
// for the length of the render. It never touches the host's files.
type tree struct {
	wire    *channel
	answers map[string]*Answer
	// remotes are the places of what was mounted, by what was asked for.
	remotes map[string]string
	// waits is set once something that was asked for isn't there yet: the render can only look for more of the kind.
	waits bool
	// refused is the first path that the renderer would not answer, which Kustomize may bury in other messages.
	refused *Error
	// last is the file whose content Kustomize took last: its own messages often don't name it.
	last string
}

var _ filesys.FileSystem = (*tree)(nil)

func newTree(wire *channel) *tree {
	return &tree{wire: wire, answers: map[string]*Answer{}, remotes: map[string]string{}}
}

// put makes content appear at a path, over what the tree has there.
func (t *tree) put(name string, data []byte) {
	t.answers[clean(name)] = &Answer{Kind: AnswerFile, Path: onWire(clean(name)), Data: data}
}

// at asks what is at a path, once a render.
func (t *tree) at(name string) *Answer {
	cleaned := clean(name)
	if known, ok := t.answers[cleaned]; ok {
		return known
	}
	answer := t.ask(cleaned)
	t.answers[cleaned] = answer
	for name, held := range answer.Holds {
		inner := path.Join(offWire(answer.Path), name)
		// What was refused is, once it is asked for.
		if _, known := t.answers[inner]; !known && held.Kind != AnswerRefused {
			t.answers[inner] = held
		}
	}
	if answer.Kind == AnswerRefused && t.refused == nil {
		t.refused = &Error{Kind: ErrorRefused, Message: answer.Message, File: onWire(cleaned)}
	}
	return answer
}

func (t *tree) ask(cleaned string) *Answer {
	if !below(cleaned, treeRoot) && !below(cleaned, remoteRoot) {
		return &Answer{Kind: AnswerRefused, Message: fmt.Sprintf("the path %s leaves the repository", cleaned)}
	}
	return t.exchange(&Reply{Read: &Read{Path: onWire(cleaned)}})
}

// exchange asks a question; without an answer there is no going on.
func (t *tree) exchange(question *Reply) *Answer {
	answer, err := t.wire.ask(question)
	if err != nil {
		panic(err)
	}
	return answer
}

func below(cleaned, root string) bool {
	return cleaned == root || strings.HasPrefix(cleaned, root+"/")
}

// onWire is how the renderer names a path.
func onWire(cleaned string) string {
	if below(cleaned, remoteRoot) {
		return remoteMounts + strings.TrimPrefix(cleaned, remoteRoot)
	}
	return strings.TrimPrefix(strings.TrimPrefix(cleaned, treeRoot), "/")
}

// offWire is how Kustomize names a path of the renderer's.
func offWire(name string) string {
	if rest, remote := strings.CutPrefix(name, remoteMounts+"/"); remote {
		return path.Join(remoteRoot, rest)
	}
	return path.Join(treeRoot, name)
}

// has tells whether something is at a path; out of the tree nothing is.
func (t *tree) has(name string) bool {
	refused := t.refused
	defer func() { t.refused = refused }()
	return t.Exists(name)
}

func clean(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(treeRoot, name)
	}
	return path.Clean(name)
}

func (t *tree) missing(operation, name string) error {
	answer := t.at(name)
	if answer.Kind == AnswerRefused {
		return &fs.PathError{Op: operation, Path: name, Err: fmt.Errorf("%s", answer.Message)}
	}
	// Kustomize takes a patch that it can't parse for the name of a file.
	if strings.ContainsAny(name, "\n{") || strings.Contains(name, ": ") {
		name = "of a text that is no file's name"
	}
	return &fs.PathError{Op: operation, Path: name, Err: fs.ErrNotExist}
}

func (t *tree) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	answer := t.at(name)
	real := offWire(answer.Path)
	switch answer.Kind {
	case AnswerDirectory:
		return filesys.ConfirmedDir(real), "", nil
	case AnswerFile:
		return filesys.ConfirmedDir(path.Dir(real)), path.Base(real), nil
	default:
		return "", "", t.missing("lstat", name)
	}
}

func (t *tree) Exists(name string) bool {
	kind := t.at(name).Kind
	return kind == AnswerFile || kind == AnswerDirectory
}

func (t *tree) IsDir(name string) bool { return t.at(name).Kind == AnswerDirectory }

func (t *tree) ReadFile(name string) ([]byte, error) {
	answer := t.at(name)
	switch answer.Kind {
	case AnswerFile:
		t.last = answer.Path
		return answer.Data, nil
	case AnswerDirectory:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("is a directory")}
	default:
		return nil, t.missing("open", name)
	}
}

// Kustomize's build never lists, opens or writes; an answer to one of these would be a guess.

func (t *tree) Open(name string) (filesys.File, error)      { return nil, unsupported("open", name) }
func (t *tree) ReadDir(name string) ([]string, error)       { return nil, unsupported("list", name) }
func (t *tree) Glob(pattern string) ([]string, error)       { return nil, unsupported("glob", pattern) }
func (t *tree) Walk(name string, _ filepath.WalkFunc) error { return unsupported("walk", name) }
func (t *tree) Create(name string) (filesys.File, error)    { return nil, unsupported("create", name) }
func (t *tree) Mkdir(name string) error                     { return unsupported("mkdir", name) }
func (t *tree) MkdirAll(name string) error                  { return unsupported("mkdir", name) }
func (t *tree) RemoveAll(name string) error                 { return unsupported("remove", name) }
func (t *tree) WriteFile(name string, _ []byte) error       { return unsupported("write", name) }

func unsupported(operation, name string) error {
	return &fs.PathError{Op: operation, Path: name, Err: fmt.Errorf("the tree can only be read")}
}
