package main

// The wire between the renderer and a worker, mirrored in renderer/src/engine/wire.rs.
//
// Either side writes frames: a big-endian uint32 with the length, then that many bytes of JSON, at most
// maxFrame. Where the JSON names files or documents, a NUL follows and then what is in them, one after another: as text in JSON
// those of a large chart would take longer to read than to render. The worker first writes Reply{Ready}. The renderer writes one Request and waits; until the render is done the
// worker may write any number of questions (Reply{Read}, Mount, Chart, List, ChartFile, ChartNames), each answered by one Answer; the
// last Reply has OK or Error set. Then the next Request may come. End of file on stdin ends the worker.

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// maxFrame bounds a frame in either direction.
const maxFrame = 64 << 20

// Request asks for one render: a chart, an overlay, both, which is the last mile, or Jsonnet files.
type Request struct {
	Helm      *Helm      `json:"helm,omitempty"`
	Kustomize *Kustomize `json:"kustomize,omitempty"`
	Jsonnet   *Jsonnet   `json:"jsonnet,omitempty"`
}

// Helm is a chart with everything that `helm template` would be told.
type Helm struct {
	ReleaseName string   `json:"releaseName"`
	Namespace   string   `json:"namespace"`
	KubeVersion string   `json:"kubeVersion,omitempty"`
	APIVersions []string `json:"apiVersions,omitempty"`

	// Folder is where the chart is, for errors.
	Folder string `json:"folder"`
	// Files of the chart's folder, named relative to it; .helmignore is honoured here.
	Files []File `json:"files"`
	// FilesOnDemand means that there are more in the folder, to be asked for by ChartFile and ChartNames.
	FilesOnDemand bool `json:"filesOnDemand,omitempty"`
	// Dependencies are charts that the folder does not hold.
	Dependencies []Subchart `json:"dependencies,omitempty"`
	// Values are the raw texts of value files, the last one winning.
	Values []File `json:"values,omitempty"`
	// Parameters are --set and --set-string.
	Parameters []Parameter `json:"parameters,omitempty"`
	// FileParameters are --set-file with the file's content.
	FileParameters []FileParameter `json:"fileParameters,omitempty"`

	SkipCRDs             bool `json:"skipCrds,omitempty"`
	SkipTests            bool `json:"skipTests,omitempty"`
	SkipSchemaValidation bool `json:"skipSchemaValidation,omitempty"`
}

// Subchart is a dependency beside the chart's folder.
type Subchart struct {
	// Name and Version (or range) as the chart asks for it.
	Name    string `json:"name"`
	Version string `json:"version"`
	// Packed means that it comes from a package: .helmignore was honoured when it was made.
	Packed bool   `json:"packed,omitempty"`
	Files  []File `json:"files"`
}

// File is a named content, which comes behind the frame's JSON.
type File struct {
	Name string `json:"name"`
	Size int    `json:"size"`
	Data []byte `json:"-"`
}

// files are those of a request, in the order of their contents.
func (r *Request) files() []*File {
	if r.Helm == nil {
		return nil
	}
	all := pointers(r.Helm.Files)
	for _, dependency := range r.Helm.Dependencies {
		all = append(all, pointers(dependency.Files)...)
	}
	return append(all, pointers(r.Helm.Values)...)
}

// Parameter is one value set by name.
type Parameter struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	ForceString bool   `json:"forceString,omitempty"`
}

// FileParameter is one value set to a file's content.
type FileParameter struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// Kustomize is an overlay in the tree, with the edits that Argo CD makes before it builds.
type Kustomize struct {
	// Root is the overlay's folder, relative to the tree's root, without a leading slash.
	Root string `json:"root"`

	NamePrefix             string            `json:"namePrefix,omitempty"`
	NameSuffix             string            `json:"nameSuffix,omitempty"`
	Namespace              string            `json:"namespace,omitempty"`
	Images                 []string          `json:"images,omitempty"`
	Replicas               []Replica         `json:"replicas,omitempty"`
	CommonLabels           map[string]string `json:"commonLabels,omitempty"`
	CommonAnnotations      map[string]string `json:"commonAnnotations,omitempty"`
	ForceCommonLabels      bool              `json:"forceCommonLabels,omitempty"`
	ForceCommonAnnotations bool              `json:"forceCommonAnnotations,omitempty"`
	LabelWithoutSelector   bool              `json:"labelWithoutSelector,omitempty"`
	LabelIncludeTemplates  bool              `json:"labelIncludeTemplates,omitempty"`
	// Patches as Kustomize writes them, untyped.
	Patches                 []json.RawMessage `json:"patches,omitempty"`
	Components              []string          `json:"components,omitempty"`
	IgnoreMissingComponents bool              `json:"ignoreMissingComponents,omitempty"`
	// BuildOptions are flags of `kustomize build`, as argocd-cm states them.
	BuildOptions string `json:"buildOptions,omitempty"`
	// KubeVersion and APIVersions are the cluster's, for helmCharts.
	KubeVersion string   `json:"kubeVersion,omitempty"`
	APIVersions []string `json:"apiVersions,omitempty"`
}

// Replica is a count for a workload's name.
type Replica struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Jsonnet is the Jsonnet files of a folder of plain manifests. All paths are relative to the tree's root.
type Jsonnet struct {
	Files []string `json:"files"`
	// Folder is the application's.
	Folder string `json:"folder"`
	// Libs are folders to look for imports in, the last one first.
	Libs    []string          `json:"libs,omitempty"`
	TLAs    []JsonnetVariable `json:"tlas,omitempty"`
	ExtVars []JsonnetVariable `json:"extVars,omitempty"`
}

// JsonnetVariable is a text, or code that is evaluated.
type JsonnetVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Code  bool   `json:"code,omitempty"`
}

// Reply is the first word of a worker, a question, or the end of a render.
type Reply struct {
	// Ready is sent once, when the worker has started and before it reads.
	Ready *Confinement `json:"ready,omitempty"`
	Read  *Read        `json:"read,omitempty"`
	Mount *Mount       `json:"mount,omitempty"`
	Chart *Folder      `json:"chart,omitempty"`
	List  *Read        `json:"list,omitempty"`
	// ChartFile and ChartNames are about files of the chart that is rendered, named from its folder.
	ChartFile  *Read       `json:"chartFile,omitempty"`
	ChartNames *ChartNames `json:"chartNames,omitempty"`
	OK         *OK         `json:"ok,omitempty"`
	Error      *Error      `json:"error,omitempty"`
}

// Read asks what is at a path, relative to the tree's root; "" is the root.
type Read struct {
	Path string `json:"path"`
}

// Mount asks to lay something from outside the sources over a path. It is answered with a directory, or with absent if it
// has yet to be fetched: then this render can't be done, and asks for what else it will need before it says so.
type Mount struct {
	Need Need   `json:"need"`
	At   string `json:"at"`
}

// Need is one of these, as the bus has it.
type Need struct {
	Chart *NeedChart `json:"chart,omitempty"`
	Git   *NeedGit   `json:"git,omitempty"`
	File  *NeedFile  `json:"file,omitempty"`
}

// NeedChart is a chart of a Helm repository or OCI registry.
type NeedChart struct {
	Repository string `json:"repository"`
	Name       string `json:"name"`
	Version    string `json:"version"`
}

// NeedGit is a repository, whole.
type NeedGit struct {
	URL       string `json:"url"`
	Reference string `json:"reference"`
}

// NeedFile is one file by HTTP; it lies under needFile in what is mounted.
type NeedFile struct {
	URL string `json:"url"`
}

const needFile = "file"

// Folder asks for the chart in a folder: all of its files that count.
type Folder struct {
	Path string `json:"path"`
	// Whole asks for every file, because the values can name one.
	Whole bool `json:"whole"`
}

// ChartNames asks which files with this ending are in a folder of the chart, or below it too.
type ChartNames struct {
	Folder string `json:"folder"`
	Deep   bool   `json:"deep"`
	Ending string `json:"ending"`
}

// Answer says what is at a path. Path is where it really is, symbolic links resolved.
type Answer struct {
	Kind AnswerKind `json:"kind"`
	Path string     `json:"path,omitempty"`
	Data []byte     `json:"data,omitempty"`
	// Files are a chart's.
	Files []File `json:"files,omitempty"`
	// Holds are answers for names in a directory that are asked for next.
	Holds map[string]*Answer `json:"holds,omitempty"`
	// Names are what is in a folder, when that was asked.
	Names []string `json:"names,omitempty"`
	// Message says why the path was refused.
	Message string `json:"message,omitempty"`
}

// files are those of an answer, in the order of their contents.
func (a *Answer) files() []*File { return pointers(a.Files) }

// AnswerKind is what is at a path.
type AnswerKind string

// What can be at a path.
const (
	AnswerFile      AnswerKind = "file"
	AnswerDirectory AnswerKind = "directory"
	AnswerChart     AnswerKind = "chart"
	AnswerNames     AnswerKind = "names"
	AnswerAbsent    AnswerKind = "absent"
	AnswerRefused   AnswerKind = "refused"
)

// OK is a finished render: texts that may hold several YAML documents each, not yet split nor sorted.
type OK struct {
	Documents []Document `json:"documents"`
}

// Document is what one template, CRD file or overlay came to.
type Document struct {
	Kind   DocumentKind `json:"kind"`
	Source string       `json:"source"`
	Size   int          `json:"size"`
	// Text comes behind the frame's JSON.
	Text string `json:"-"`
}

// DocumentKind says which rules apply when a document is split.
type DocumentKind string

// Where a document can come from.
const (
	DocumentTemplate  DocumentKind = "template"
	DocumentCRD       DocumentKind = "crd"
	DocumentKustomize DocumentKind = "kustomize"
	// DocumentJsonnet is one JSON text, of an object or of an array of them.
	DocumentJsonnet DocumentKind = "jsonnet"
)

// Error is a render that failed by its input.
type Error struct {
	Kind    ErrorKind `json:"kind"`
	Message string    `json:"message"`
	File    string    `json:"file,omitempty"`
	Line    int       `json:"line,omitempty"`
}

// ErrorKind tells whose fault it is.
type ErrorKind string

// What can be wrong.
const (
	ErrorChart      ErrorKind = "chart"
	ErrorDependency ErrorKind = "dependency"
	ErrorValues     ErrorKind = "values"
	ErrorSchema     ErrorKind = "schema"
	ErrorTemplate   ErrorKind = "template"
	// ErrorFiles means that all files of the chart must be sent.
	ErrorFiles       ErrorKind = "files"
	ErrorKustomize   ErrorKind = "kustomize"
	ErrorJsonnet     ErrorKind = "jsonnet"
	ErrorRefused     ErrorKind = "refused"
	ErrorRemote      ErrorKind = "remote"
	ErrorWaits       ErrorKind = "waits"
	ErrorUnsupported ErrorKind = "unsupported"
	ErrorLimit       ErrorKind = "limit"
	ErrorRequest     ErrorKind = "request"
	ErrorInternal    ErrorKind = "internal"
)

func pointers(files []File) []*File {
	all := make([]*File, len(files))
	for index := range files {
		all[index] = &files[index]
	}
	return all
}

// framed is what comes in a frame.
type framed interface{ files() []*File }

// channel reads and writes frames.
type channel struct {
	in  *bufio.Reader
	out io.Writer
	// request is room for the next one, whose contents end with its render.
	request []byte
}

// maxRoom is what is kept of it in between.
const maxRoom = 2 << 20

// room is for a frame. Answers of one render are there at the same time.
func (c *channel) room(v framed, size uint32) []byte {
	if _, ok := v.(*Request); !ok || size > maxRoom {
		return make([]byte, size)
	}
	if uint32(cap(c.request)) < size {
		c.request = make([]byte, size, size+size/4)
	}
	return c.request[:size]
}

// receive reads one frame into v; io.EOF means that the renderer is gone.
func (c *channel) receive(v framed) error {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrame {
		return fmt.Errorf("a frame of %d bytes is over the limit of %d", size, maxFrame)
	}
	body := c.room(v, size)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return fmt.Errorf("reading a frame: %w", err)
	}
	text, contents, _ := bytes.Cut(body, []byte{0})
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("decoding a frame: %w", err)
	}
	for _, file := range v.files() {
		if file.Size < 0 || file.Size > len(contents) {
			return fmt.Errorf("a frame ends within the file %s", file.Name)
		}
		file.Data, contents = contents[:file.Size:file.Size], contents[file.Size:]
	}
	return nil
}

// send writes one frame; a reply that is too large becomes an error reply.
func (c *channel) send(reply *Reply) error {
	body, err := frame(reply)
	if err != nil {
		return err
	}
	if len(body)-4 > maxFrame {
		body, err = frame(&Reply{Error: &Error{
			Kind:    ErrorLimit,
			Message: fmt.Sprintf("the output of %d bytes is over the limit of %d", len(body)-4, maxFrame),
		}})
		if err != nil {
			return err
		}
	}
	binary.BigEndian.PutUint32(body, uint32(len(body)-4))
	_, err = c.out.Write(body)
	return err
}

// ask asks a question.
func (c *channel) ask(question *Reply) (*Answer, error) {
	if err := c.send(question); err != nil {
		return nil, &brokenWire{err}
	}
	var answer Answer
	if err := c.receive(&answer); err != nil {
		return nil, &brokenWire{err}
	}
	return &answer, nil
}
