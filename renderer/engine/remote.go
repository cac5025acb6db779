package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// errWaits ends a build that needs what has yet to be fetched.
var errWaits = errors.New("what the build needs has yet to be fetched")

// mount lays what a need stands for over a place, once; "" is a place of its own. Kustomize's whereabouts come back.
func (t *tree) mount(need Need, at string) (string, error) {
	key := need.key()
	if there, known := t.remotes[key]; known && (at == "" || at == there) {
		return there, nil
	}
	if at == "" {
		at = path.Join(remoteRoot, strconv.Itoa(len(t.remotes)))
	}
	answer := t.exchange(&Reply{Mount: &Mount{Need: need, At: onWire(at)}})
	switch answer.Kind {
	case AnswerDirectory:
	case AnswerAbsent:
		t.waits = true
		return "", errWaits
	default:
		t.refused = &Error{Kind: ErrorRefused, Message: answer.Message}
		return "", errors.New(answer.Message)
	}
	for known := range t.answers {
		if below(known, at) {
			delete(t.answers, known)
		}
	}
	t.remotes[key] = at
	return at, nil
}

// key tells needs apart, and is what a person calls one.
func (n Need) key() string {
	switch {
	case n.Git != nil && n.Git.Reference != "":
		return n.Git.URL + "?ref=" + n.Git.Reference
	case n.Git != nil:
		return n.Git.URL
	case n.File != nil:
		return n.File.URL
	default:
		return fmt.Sprintf("%s of %s, version %q", n.Chart.Name, n.Chart.Repository, n.Chart.Version)
	}
}

// clone is Kustomize's way to a remote base: what it names is mounted, submodules and all.
func (t *tree) clone(from *repository) error {
	if t.waits {
		return errWaits
	}
	need, err := needOf(from)
	if err != nil {
		t.refused = err
		return err
	}
	place, failure := t.mount(need, "")
	if failure != nil {
		return failure
	}
	from.dir = filesys.ConfirmedDir(place)
	return nil
}

func needOf(from *repository) (Need, *Error) {
	if strings.HasPrefix(strings.ToLower(from.host), "file:") {
		return Need{}, &Error{Kind: ErrorRefused, Message: fmt.Sprintf(
			"the remote base %s is in a file system: only a repository's own files and other hosts can be read", from.raw)}
	}
	return Need{Git: &NeedGit{URL: from.url(), Reference: from.ref}}, nil
}

// transport stands where Kustomize would fetch a file.
type transport struct{ files *tree }

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	address := request.URL.String()
	if !isFile(address) {
		// Kustomize tries the address of a repository as a file first.
		return respond(request, http.StatusNotFound, nil), nil
	}
	content, err := t.files.fetch(address)
	if err != nil {
		return nil, err
	}
	return respond(request, http.StatusOK, content), nil
}

func respond(request *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Request: request, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// fetch gives the content at an address.
func (t *tree) fetch(address string) ([]byte, error) {
	if t.waits {
		return nil, errWaits
	}
	place, err := t.mount(Need{File: &NeedFile{URL: address}}, "")
	if err != nil {
		return nil, err
	}
	return t.ReadFile(path.Join(place, needFile))
}

// gitHosts serve pages, not manifests, at the address of a repository or of a folder in one.
var gitHosts = []string{"github.", "gitlab.", "bitbucket.", "gitea.", "codeberg.", "git.", "dev.azure.", "ssh.dev.azure."}

// isFile tells the address of a file from that of a repository. Kustomize finds out by asking the host, and takes for
// a repository what has no such file, or one that isn't YAML. Here only one of the two is fetched, so the address
// decides where it can; where it can't, it is a file, and a repository if that turns out not to be YAML.
func isFile(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return false
	}
	if _, err := parseRepository(address); err != nil {
		return true
	}
	query := parsed.Query()
	for _, name := range []string{"ref", "version", "submodules", "timeout"} {
		if query.Has(name) {
			return false
		}
	}
	switch path.Ext(parsed.Path) {
	case ".yaml", ".yml", ".json":
		return true
	case ".git":
		return false
	}
	for _, marker := range []string{"//", "_git/", ".git/"} {
		if strings.Contains(parsed.Path, marker) {
			return false
		}
	}
	for _, marker := range []string{"/releases/download/", "/releases/latest/download/", "/raw/"} {
		if strings.Contains(parsed.Path, marker) {
			return true
		}
	}
	for _, host := range gitHosts {
		if strings.HasPrefix(parsed.Hostname(), host) {
			return false
		}
	}
	return true
}
