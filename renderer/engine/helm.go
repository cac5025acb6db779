package main

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"sort"
	"strings"

	k8sversion "k8s.io/apimachinery/pkg/util/version"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	release "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

const notes = "NOTES.txt"

// renderHelm is `helm template` up to the point where Helm would parse its own output to sort it: the same steps
// as pkg/action's Install with a client-side dry run, without the action's clients, whose packages would cost
// each worker more memory than the render itself.
func renderHelm(wire *channel, h *Helm) ([]Document, error) {
	values, err := mergeValues(h)
	if err != nil {
		return nil, err
	}
	chart, rules, err := loadedChart(h.Files, false)
	if err != nil {
		return nil, inFolder(h.Folder, err)
	}
	if err := addDependencies(chart, h.Dependencies); err != nil {
		return nil, err
	}
	if kind := chart.Metadata.Type; kind != "" && kind != "application" {
		return nil, &Error{Kind: ErrorChart, File: "Chart.yaml", Message: fmt.Sprintf("%s charts are not installable", kind)}
	}
	if err := checkDependencies(chart); err != nil {
		return nil, err
	}
	if err := chartutil.ValidateReleaseName(h.ReleaseName); err != nil {
		return nil, &Error{Kind: ErrorChart, Message: fmt.Sprintf("release name %q: %v", h.ReleaseName, err)}
	}
	if err := chartutil.ProcessDependencies(chart, values); err != nil {
		return nil, failed(ErrorChart, fmt.Errorf("chart dependencies processing failed: %w", err))
	}
	capabilities, err := capabilitiesOf(h)
	if err != nil {
		return nil, err
	}
	if !h.SkipSchemaValidation {
		if err := checkSchemas(chart); err != nil {
			return nil, err
		}
	}
	options := common.ReleaseOptions{Name: h.ReleaseName, Namespace: h.Namespace, Revision: 1, IsInstall: true}
	// Without schemas, whose validation is below.
	scope, err := util.ToRenderValuesWithSchemaValidation(chart, values, options, capabilities, true)
	if err != nil {
		return nil, failed(ErrorValues, err)
	}
	if !h.SkipSchemaValidation {
		if err := validate(chart, scope); err != nil {
			return nil, err
		}
	}
	if wanted := chart.Metadata.KubeVersion; wanted != "" && !chartutil.IsCompatibleRange(wanted, capabilities.KubeVersion.String()) {
		return nil, &Error{Kind: ErrorChart, File: "Chart.yaml", Message: fmt.Sprintf(
			"chart requires kubeVersion: %s which is incompatible with Kubernetes %s", wanted, capabilities.KubeVersion.Version)}
	}

	var files *chartFiles
	if h.FilesOnDemand {
		files = newChartFiles(wire, rules)
	}
	rendered, err := renderChart(chart, scope, files)
	if err != nil {
		return nil, failed(ErrorTemplate, err)
	}

	var documents []Document
	if !h.SkipCRDs {
		for _, crd := range chart.CRDObjects() {
			documents = append(documents, Document{Kind: DocumentCRD, Source: crd.Filename, Text: string(crd.File.Data)})
		}
	}
	names := make([]string, 0, len(rendered))
	for name, text := range rendered {
		if !strings.HasSuffix(name, notes) && strings.TrimSpace(text) != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		documents = append(documents, Document{Kind: DocumentTemplate, Source: name, Text: rendered[name]})
	}
	return documents, nil
}

// helmVersion is what Helm's own build would say it is: there the linker sets it, here the module's version tells.
var helmVersion = func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == "helm.sh/helm/v4" {
			return module.Version
		}
	}
	return ""
}()

// capabilitiesOf are Helm's defaults with the cluster's version and API versions, as --kube-version and
// --api-versions set them.
func capabilitiesOf(h *Helm) (*common.Capabilities, error) {
	capabilities := common.DefaultCapabilities.Copy()
	if helmVersion != "" {
		capabilities.HelmVersion.Version = helmVersion
	}
	if h.KubeVersion != "" {
		// Argo CD cuts a vendor's suffix off before it passes the version on.
		plain, err := k8sversion.ParseGeneric(h.KubeVersion)
		if err != nil {
			return nil, &Error{Kind: ErrorChart, Message: fmt.Sprintf("could not parse kubernetes version %s: %v", h.KubeVersion, err)}
		}
		version, err := common.ParseKubeVersion(plain.String())
		if err != nil {
			return nil, &Error{Kind: ErrorChart, Message: fmt.Sprintf("invalid kube version '%s': %v", h.KubeVersion, err)}
		}
		capabilities.KubeVersion = *version
	}
	capabilities.APIVersions = append(slices.Clip(capabilities.APIVersions), h.APIVersions...)
	return capabilities, nil
}

// asTemplateOutput is what `helm template` prints of a chart: CRDs, manifests in install order, then those hooks that are
// wanted. Only an overlay on a chart needs it; else the renderer splits and sorts.
func asTemplateOutput(documents []Document, wanted func(*release.Hook) bool) ([]byte, error) {
	var out bytes.Buffer
	files := make(map[string]string, len(documents))
	for _, document := range documents {
		if document.Kind == DocumentCRD {
			fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", document.Source, document.Text)
		} else {
			files[document.Source] = document.Text
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, failed(ErrorTemplate, err)
	}
	for _, manifest := range manifests {
		fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", manifest.Name, manifest.Content)
	}
	for _, hook := range hooks {
		if wanted(hook) {
			fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
		}
	}
	return out.Bytes(), nil
}

// hooksOf are the hooks that are left with --no-hooks or --skip-tests.
func hooksOf(skipAll, skipTests bool) func(*release.Hook) bool {
	return func(hook *release.Hook) bool {
		return !skipAll && !(skipTests && slices.Contains(hook.Events, release.HookTest))
	}
}
