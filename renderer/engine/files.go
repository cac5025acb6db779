package main

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/ignore"
)

// Helm loads every file of a chart's folder, so that templates can read each as `.Files`. Which of them they did read decides
// when a chart is to be rendered again: so the files beside the chart's own parts stay with the renderer until a template
// asks for one. What can't be followed (a template that takes `.Files` as a map, or writes its whole scope out) ends the render
// with ErrorFiles, and the renderer sends everything.

// renderChart is Helm's engine on a chart, with `.Files` of the chart itself asked for as templates use it if `files` is given.
func renderChart(c *chart.Chart, scope common.Values, files *chartFiles) (map[string]string, error) {
	templates := allTemplates(c, scope)
	if files == nil {
		return renderTemplates(templates)
	}
	// All templates of one chart have one scope; those of a chart in it stand below charts/.
	own := c.ChartFullPath() + "/templates/"
	for name, template := range templates {
		if held, ok := template.vals["Files"]; ok && strings.HasPrefix(name, own) {
			if _, replaced := held.(*chartFiles); !replaced {
				files.held = reflect.ValueOf(held)
				template.vals["Files"] = files
			}
		}
	}
	rendered, err := renderTemplates(templates)
	if files.broken != nil {
		return nil, files.broken
	}
	if files.unfollowed != "" {
		return nil, &Error{Kind: ErrorFiles, Message: fmt.Sprintf("the files of the chart are used as a whole (%s)", files.unfollowed)}
	}
	return rendered, err
}

// chartFiles is `.Files` of the chart that is rendered. Its methods are those of Helm's own type, which does the work once it
// holds what was asked for.
type chartFiles struct {
	wire *channel
	// held is of Helm's type, a map: what came with the chart, and what was asked for since.
	held    reflect.Value
	asked   map[string]bool
	rules   *ignore.Rules
	folders map[string]bool
	// unfollowed is how something was used of which the parts can't be told.
	unfollowed string
	// broken is why a question had no answer: a template's call only fails.
	broken error
}

func newChartFiles(wire *channel, rules *ignore.Rules) *chartFiles {
	return &chartFiles{wire: wire, asked: map[string]bool{}, rules: rules, folders: map[string]bool{}}
}

// helmFiles is as much of Helm's type as doesn't name itself.
type helmFiles interface {
	Get(name string) string
	GetBytes(name string) []byte
	Lines(path string) []string
}

func (f *chartFiles) with(name string) helmFiles {
	f.fetch(name)
	return f.held.Interface().(helmFiles)
}

func (f *chartFiles) Get(name string) string      { return f.with(name).Get(name) }
func (f *chartFiles) GetBytes(name string) []byte { return f.with(name).GetBytes(name) }
func (f *chartFiles) Lines(name string) []string  { return f.with(name).Lines(name) }

// Glob is of Helm's own type: what it holds is all there.
func (f *chartFiles) Glob(pattern string) any {
	look := lookFor(pattern, len(f.matching(pattern, []string{unlikely})) > 0)
	names := f.exchange(&Reply{ChartNames: look}).Names
	for _, name := range f.matching(pattern, names) {
		f.fetch(name)
	}
	return glob(f.held, pattern).Interface()
}

// glob is Helm's.
func glob(files reflect.Value, pattern string) reflect.Value {
	return files.MethodByName("Glob").Call([]reflect.Value{reflect.ValueOf(pattern)})[0]
}

// matching are those of the names that Helm takes.
func (f *chartFiles) matching(pattern string, names []string) []string {
	if len(names) == 0 {
		return nil
	}
	all := reflect.MakeMapWithSize(f.held.Type(), len(names))
	for _, name := range names {
		all.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf([]byte(nil)))
	}
	var taken []string
	for _, name := range glob(all, pattern).MapKeys() {
		taken = append(taken, name.String())
	}
	return taken
}

// fetch makes a file be held, if the chart has it.
func (f *chartFiles) fetch(name string) {
	if f.asked[name] || f.held.MapIndex(reflect.ValueOf(name)).IsValid() {
		return
	}
	f.asked[name] = true
	if inIgnoredFolder(f.rules, f.folders, path.Dir(name)) || f.rules.Ignore(name, entry{name: name}) {
		return
	}
	if answer := f.exchange(&Reply{ChartFile: &Read{Path: name}}); answer.Kind == AnswerFile {
		f.held.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(withoutByteOrderMark(answer.Data)))
	}
}

func (f *chartFiles) exchange(question *Reply) *Answer {
	answer, err := f.wire.ask(question)
	if err != nil {
		f.broken = err
		panic(err)
	}
	if answer.Kind == AnswerRefused {
		panic(errors.New(answer.Message))
	}
	return answer
}

// A template that takes it for the map that it is in Helm, and so reads all of it.

func (f *chartFiles) AsConfig() string               { return f.use("AsConfig") }
func (f *chartFiles) AsSecrets() string              { return f.use("AsSecrets") }
func (f *chartFiles) Format(state fmt.State, _ rune) { fmt.Fprint(state, f.use("written out")) }
func (f *chartFiles) MarshalJSON() ([]byte, error)   { return []byte(`""`), f.fail("as JSON") }
func (f *chartFiles) MarshalText() ([]byte, error)   { return nil, f.fail("as text") }
func (f *chartFiles) MarshalYAML() (any, error)      { return nil, f.fail("as YAML") }

func (f *chartFiles) use(how string) string {
	f.unfollowed = how
	return ""
}

func (f *chartFiles) fail(how string) error {
	return fmt.Errorf("the files of the chart %s", f.use(how+", by a template"))
}

// unlikely is a name that only a pattern for every name matches, or one that Helm can't read and takes for that.
const unlikely = "\x00\x00/\x00\x00"

// lookFor bounds where the names are that a pattern can match: in a folder, or below it too, with an ending.
func lookFor(pattern string, all bool) *ChartNames {
	const special = `*?[]{}\`
	if all {
		return &ChartNames{Deep: true}
	}
	look := &ChartNames{}
	rest := pattern
	for {
		first, after, more := strings.Cut(rest, "/")
		if !more || strings.ContainsAny(first, special) {
			break
		}
		look.Folder, rest = path.Join(look.Folder, first), after
	}
	look.Deep = strings.Contains(rest, "/") || strings.Contains(rest, "**")
	if !strings.ContainsAny(rest, `[]{}\`) {
		look.Ending = rest[strings.LastIndexAny(rest, "*?/")+1:]
	}
	return look
}
