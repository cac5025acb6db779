package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"text/template"
	"text/template/parse"
	_ "unsafe" // for go:linkname

	charter "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/engine"
)

// Helm parses all templates of a chart, and of the charts in it, for every render, which takes longer than executing most of
// them. So the loop of its engine is here, with trees that were parsed once; what templates can call, in which order they are
// taken and what is said of errors stays Helm's.

// source is a template as Helm's engine gets it. Trees hold the name, for errors.
type source struct{ name, text string }

// renderTemplates is Helm's engine on all templates that a chart came to.
func renderTemplates(templates map[string]renderable) (rendered map[string]string, err error) {
	// As Helm says it.
	defer func() {
		if cause := recover(); cause != nil {
			rendered, err = nil, fmt.Errorf("rendering template failed: %v", cause)
		}
	}()
	all := newTemplate()
	names := sortTemplates(templates)
	for _, name := range names {
		parsed, err := parseTemplate(source{name, templates[name].tpl})
		if err != nil {
			return nil, cleanupParseError(name, err)
		}
		holder := all.New(name)
		for defined, tree := range parsed {
			if _, err := holder.AddParseTree(defined, tree); err != nil {
				return nil, cleanupParseError(name, err)
			}
		}
	}
	rendered = make(map[string]string, len(names))
	for _, name := range names {
		if strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		scope := templates[name].vals
		scope["Template"] = common.Values{"Name": name, "BasePath": templates[name].basePath}
		var out strings.Builder
		if err := all.ExecuteTemplate(&out, name, scope); err != nil {
			return nil, reformatExecErrorMsg(name, err)
		}
		rendered[name] = withoutNoValue(out.String())
	}
	return rendered, nil
}

// newTemplate is an empty one with Helm's functions.
func newTemplate() *template.Template {
	all := template.New("gotpl").Option("missingkey=zero")
	initFunMap(engine.Engine{}, context.Background(), all)
	included := map[string]int{}
	execute := tplFun(all, included, false)
	all.Funcs(template.FuncMap{
		"include": includeFun(all, included),
		"tpl": func(text string, scope any) (string, error) {
			if !strings.Contains(text, "{{") {
				// Comes to itself; Helm would first copy all templates.
				return withoutNoValue(text), nil
			}
			return execute(text, scope)
		},
	}).Funcs(writers)
	return all
}

// withoutNoValue takes out what text/template writes for a missing key of which it doesn't know the zero.
func withoutNoValue(text string) string { return strings.ReplaceAll(text, "<no value>", "") }

// parseTemplate gives the trees of all that a template defines, itself among them.
func parseTemplate(of source) (map[string]*parse.Tree, error) {
	return kept(of, func() (map[string]*parse.Tree, int, error) {
		parsed, err := parse.Parse(of.name, of.text, "", "", functions, inTemplates)
		return parsed, len(of.text) + costOfAction*strings.Count(of.text, "{{"), err
	})
}

// costOfAction is what the nodes of one come to, in bytes.
const costOfAction = 500

// functions are known by their names when a template is parsed; those that need a template or a cluster get it later.
var functions = funcMap()

// writers are for all templates.
var writers = newWriters()

// inTemplates are the functions that text/template itself has.
var inTemplates = map[string]any{
	"and": true, "call": true, "html": true, "index": true, "js": true, "len": true, "not": true, "or": true, "print": true,
	"printf": true, "println": true, "slice": true, "urlquery": true,
	"eq": true, "ge": true, "gt": true, "le": true, "lt": true, "ne": true,
}

// renderable is Helm's own: a template, its scope, and where the templates of its chart are.
type renderable struct {
	tpl      string
	vals     common.Values
	basePath string
}

//go:linkname allTemplates helm.sh/helm/v4/pkg/engine.allTemplates
func allTemplates(c charter.Charter, values common.Values) map[string]renderable

//go:linkname sortTemplates helm.sh/helm/v4/pkg/engine.sortTemplates
func sortTemplates(templates map[string]renderable) []string

//go:linkname funcMap helm.sh/helm/v4/pkg/engine.funcMap
func funcMap() template.FuncMap

//go:linkname initFunMap helm.sh/helm/v4/pkg/engine.Engine.initFunMap
func initFunMap(e engine.Engine, ctx context.Context, t *template.Template)

//go:linkname includeFun helm.sh/helm/v4/pkg/engine.includeFun
func includeFun(t *template.Template, included map[string]int) func(string, any) (string, error)

//go:linkname tplFun helm.sh/helm/v4/pkg/engine.tplFun
func tplFun(parent *template.Template, included map[string]int, strict bool) func(string, any) (string, error)

//go:linkname cleanupParseError helm.sh/helm/v4/pkg/engine.cleanupParseError
func cleanupParseError(name string, err error) error

//go:linkname reformatExecErrorMsg helm.sh/helm/v4/pkg/engine.reformatExecErrorMsg
func reformatExecErrorMsg(name string, err error) error
