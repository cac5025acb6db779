package main

import (
	"fmt"
	"reflect"
	"slices"
	"time"
	"unsafe" // for go:linkname, and for the one field of Kustomize's loader that has no setter

	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/ifc"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// krusty.Kustomizer runs git for remote bases and helm for charts, and has no seam for either. So its few steps are
// called from here, by their names in Kustomize's internal packages: all that decides what is built stays Kustomize's own.
// seams_test.go fails when a release of Kustomize moves one of them.

// kustomizeVersion is the release whose rules these are; it goes into the managed-by label.
const kustomizeVersion = "v5.8.1"

// build is krusty's Kustomizer.Run with another way to remote bases.
func build(files *tree, root string, options *krusty.Options) (resmap.ResMap, error) {
	restriction := restrictToRoot
	if options.LoadRestrictions == types.LoadRestrictionsNone {
		restriction = restrictNothing
	}
	loader, err := newLoader(restriction, root, files)
	if err != nil {
		return nil, err
	}
	*clonerOf(loader) = files.clone

	dependencies := provider.NewDepProvider()
	factory := resmap.NewFactory(dependencies.GetResourceFactory())
	plugins := newPluginLoader(options.PluginConfig, factory, filesys.MakeEmptyDirInMemory())
	target := newTarget(loader, dependencies.GetFieldValidator(), factory, plugins)
	if err := loadTarget(target); err != nil {
		return nil, err
	}
	overlay := kustomizationOf(target)
	var schema []byte
	if file, given := overlay.OpenAPI["path"]; given {
		if schema, err = loader.Load(file); err != nil {
			return nil, err
		}
	}
	if err := openapi.SetSchema(overlay.OpenAPI, schema, true); err != nil {
		return nil, err
	}
	resources, err := makeResources(target)
	if err != nil {
		return nil, err
	}
	if err := sortResources(krusty.MakeKustomizer(options), resources, target); err != nil {
		return nil, err
	}
	return resources, finish(resources, &overlay, options)
}

// finish takes off, or puts on, what tells of the build.
func finish(resources resmap.ResMap, overlay *types.Kustomization, options *krusty.Options) error {
	tells := func(metadata string) bool { return slices.Contains(overlay.BuildMetadata, metadata) }
	if options.AddManagedbyLabel || tells(types.ManagedByLabelOption) {
		label := builtins.LabelTransformerPlugin{
			Labels:     map[string]string{konfig.ManagedbyLabelKey: "kustomize-" + kustomizeVersion},
			FieldSpecs: []types.FieldSpec{{Path: "metadata/labels", CreateIfNotPresent: true}},
		}
		if err := label.Transform(resources); err != nil {
			return err
		}
	}
	resources.RemoveBuildAnnotations()
	if !tells(types.OriginAnnotations) {
		if err := resources.RemoveOriginAnnotations(); err != nil {
			return fmt.Errorf("failed to clean up origin tracking annotations: %w", err)
		}
	}
	if !tells(types.TransformerAnnotations) {
		if err := resources.RemoveTransformerAnnotations(); err != nil {
			return fmt.Errorf("failed to clean up transformer annotations: %w", err)
		}
	}
	return nil
}

// repository mirrors Kustomize's RepoSpec: a URL, taken apart.
type repository struct {
	raw     string
	host    string
	path    string
	dir     filesys.ConfirmedDir
	root    string
	ref     string
	modules bool
	timeout time.Duration
}

// url is what git would be told to clone.
func (r *repository) url() string { return r.host + r.path }

type restriction = func(filesys.FileSystem, filesys.ConfirmedDir, string) (string, error)

// clonerOf is where a loader keeps its way to remote bases; loaders that it makes take it over.
func clonerOf(loader ifc.Loader) *func(*repository) error {
	field := reflect.ValueOf(loader).Elem().FieldByName("cloner")
	return (*func(*repository) error)(unsafe.Pointer(field.UnsafeAddr()))
}

//go:linkname parseRepository sigs.k8s.io/kustomize/api/internal/git.NewRepoSpecFromURL
func parseRepository(url string) (*repository, error)

//go:linkname restrictToRoot sigs.k8s.io/kustomize/api/internal/loader.RestrictionRootOnly
func restrictToRoot(filesys.FileSystem, filesys.ConfirmedDir, string) (string, error)

//go:linkname restrictNothing sigs.k8s.io/kustomize/api/internal/loader.RestrictionNone
func restrictNothing(filesys.FileSystem, filesys.ConfirmedDir, string) (string, error)

//go:linkname newLoader sigs.k8s.io/kustomize/api/internal/loader.NewLoader
func newLoader(allowed restriction, target string, files filesys.FileSystem) (ifc.Loader, error)

//go:linkname newPluginLoader sigs.k8s.io/kustomize/api/internal/plugins/loader.NewLoader
func newPluginLoader(*types.PluginConfig, *resmap.Factory, filesys.FileSystem) unsafe.Pointer

//go:linkname newTarget sigs.k8s.io/kustomize/api/internal/target.NewKustTarget
func newTarget(ifc.Loader, ifc.Validator, *resmap.Factory, unsafe.Pointer) unsafe.Pointer

//go:linkname loadTarget sigs.k8s.io/kustomize/api/internal/target.(*KustTarget).Load
func loadTarget(target unsafe.Pointer) error

//go:linkname kustomizationOf sigs.k8s.io/kustomize/api/internal/target.(*KustTarget).Kustomization
func kustomizationOf(target unsafe.Pointer) types.Kustomization

//go:linkname makeResources sigs.k8s.io/kustomize/api/internal/target.(*KustTarget).MakeCustomizedResMap
func makeResources(target unsafe.Pointer) (resmap.ResMap, error)

//go:linkname sortResources sigs.k8s.io/kustomize/api/krusty.(*Kustomizer).applySortOrder
func sortResources(settings *krusty.Kustomizer, resources resmap.ResMap, target unsafe.Pointer) error

// generators are Kustomize's built-in generators by the number of their kind.
//
//go:linkname generators sigs.k8s.io/kustomize/api/internal/plugins/builtinhelpers.GeneratorFactories
var generators map[int]func() resmap.GeneratorPlugin

//go:linkname generatorKind sigs.k8s.io/kustomize/api/internal/plugins/builtinhelpers.GetBuiltinPluginType
func generatorKind(name string) int
