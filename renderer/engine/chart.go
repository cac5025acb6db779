package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/ignore"
)

var byteOrderMark = []byte{0xEF, 0xBB, 0xBF}

// loadChart is Helm's own directory loader with files in place of a folder: .helmignore by Helm's rules, then
// Helm's LoadFiles. The rules are for files that come later.
func loadChart(files []File) (*chart.Chart, *ignore.Rules, error) {
	rules := ignore.Empty()
	for _, file := range files {
		if file.Name == ignore.HelmIgnore {
			parsed, err := ignore.Parse(bytes.NewReader(file.Data))
			if err != nil {
				return nil, nil, &Error{Kind: ErrorChart, File: file.Name, Message: fmt.Sprintf("failed to parse %s: %v", file.Name, err)}
			}
			rules = parsed
		}
	}
	rules.AddDefaults()

	ordered := append([]File(nil), files...)
	sort.Slice(ordered, func(i, j int) bool { return ordered[i].Name < ordered[j].Name })
	ignoredFolders := map[string]bool{}
	buffered := make([]*archive.BufferedFile, 0, len(ordered))
	for _, file := range ordered {
		if inIgnoredFolder(rules, ignoredFolders, path.Dir(file.Name)) || rules.Ignore(file.Name, entry{name: file.Name}) {
			continue
		}
		buffered = append(buffered, &archive.BufferedFile{
			Name: file.Name,
			Data: withoutByteOrderMark(file.Data),
		})
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, nil, failed(ErrorChart, err)
	}
	return loaded, rules, nil
}

func withoutByteOrderMark(data []byte) []byte { return bytes.TrimPrefix(data, byteOrderMark) }

// How Helm's loader says where something is wrong: by the names of charts and of a file in the last one.
var (
	unpacking    = regexp.MustCompile(`^error unpacking subchart (\S+) in \S+: `)
	cannotLoad   = regexp.MustCompile(`^cannot load (\S+): `)
	lineOfYAML   = regexp.MustCompile(`\byaml: (?:unmarshal errors:\s+)?line (\d+)`)
	noValidChart = regexp.MustCompile(`^validation: `)
)

// inFolder makes a path in the repository of what Helm's loader calls a file.
func inFolder(folder string, err error) error {
	var known *Error
	if !errors.As(err, &known) {
		return err
	}
	place, message := folder, known.Message
	for {
		found := unpacking.FindStringSubmatch(message)
		if found == nil {
			break
		}
		place, message = path.Join(place, "charts", found[1]), message[len(found[0]):]
	}
	located := *known
	if found := cannotLoad.FindStringSubmatch(message); found != nil {
		located.File = path.Join(place, found[1])
		located.Message = fmt.Sprintf("cannot load %s: %s", located.File, message[len(found[0]):])
	} else if noValidChart.MatchString(message) {
		located.File = path.Join(place, "Chart.yaml")
		located.Message = fmt.Sprintf("%s: %s", located.File, message)
	}
	if found := lineOfYAML.FindStringSubmatch(message); found != nil {
		located.Line, _ = strconv.Atoi(found[1])
	}
	return &located
}

// addDependencies does what `helm dependency build` leaves in the charts/ folder.
func addDependencies(c *chart.Chart, dependencies []Subchart) error {
	for _, dependency := range dependencies {
		loaded, _, err := loadedChart(dependency.Files, dependency.Packed)
		if err != nil {
			return &Error{Kind: ErrorDependency, Message: fmt.Sprintf("the dependency %s: %v", dependency.Name, err)}
		}
		if !chartutil.IsCompatibleRange(dependency.Version, loaded.Metadata.Version) {
			return &Error{Kind: ErrorDependency, Message: fmt.Sprintf("can't get a valid version for dependency %s: %s is wanted, version %s is there",
				dependency.Name, dependency.Version, loaded.Metadata.Version)}
		}
		c.AddDependency(loaded)
	}
	return nil
}

// loadPackage is Helm's own archive loader after it has unpacked. A package has no rules any more.
func loadPackage(files []File) (*chart.Chart, *ignore.Rules, error) {
	buffered := make([]*archive.BufferedFile, 0, len(files))
	for _, file := range files {
		buffered = append(buffered, &archive.BufferedFile{Name: file.Name, Data: withoutByteOrderMark(file.Data)})
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, nil, failed(ErrorChart, err)
	}
	return loaded, ignore.Empty(), nil
}

// inIgnoredFolder tells whether the folder or one above it is ignored, which skips all that is in it.
func inIgnoredFolder(rules *ignore.Rules, known map[string]bool, folder string) bool {
	if folder == "." || folder == "/" {
		return false
	}
	ignored, ok := known[folder]
	if !ok {
		ignored = inIgnoredFolder(rules, known, path.Dir(folder)) || rules.Ignore(folder, entry{name: folder, folder: true})
		known[folder] = ignored
	}
	return ignored
}

// checkDependencies is what the helm command checks before it installs.
func checkDependencies(c *chart.Chart) error {
	var missing []string
	for _, wanted := range c.Metadata.Dependencies {
		if wanted == nil {
			continue
		}
		found := false
		for _, vendored := range c.Dependencies() {
			found = found || vendored.Name() == wanted.Name
		}
		if !found {
			missing = append(missing, wanted.Name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &Error{Kind: ErrorDependency, File: "Chart.yaml", Message: fmt.Sprintf(
		"the chart %s needs %s, and no chart of that name was found where it says", c.Name(), strings.Join(missing, ", "))}
}

// entry is the little that ignore rules want to know of a file.
type entry struct {
	name   string
	folder bool
}

func (e entry) Name() string       { return path.Base(e.name) }
func (e entry) Size() int64        { return 0 }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return e.folder }
func (e entry) Sys() any           { return nil }

func (e entry) Mode() fs.FileMode {
	if e.folder {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
