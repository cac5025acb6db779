package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
)

// buildOptions are the flags of `kustomize build` as Argo CD gives them: argocd-cm's text cut at blanks, then, with
// --enable-helm anywhere in it, the cluster's version and API versions.
//
// Flags that only steer functions and plugins are taken as Kustomize takes them. What would need them is refused where
// an overlay uses it: the setting is one for all overlays, and most use nothing of the kind.
func buildOptions(k *Kustomize) (*krusty.Options, error) {
	options := krusty.MakeDefaultOptions()
	helm := &options.PluginConfig.HelmConfig
	flags := pflag.NewFlagSet("kustomize build", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&helm.Enabled, "enable-helm", false, "")
	flags.StringVar(&helm.Command, "helm-command", "helm", "")
	flags.StringArrayVar(&helm.ApiVersions, "helm-api-versions", nil, "")
	flags.StringVar(&helm.KubeVersion, "helm-kube-version", "", "")
	flags.BoolVar(&helm.Debug, "helm-debug", false, "")
	flags.BoolVar(&options.AddManagedbyLabel, "enable-managedby-label", false, "")
	restrictor := flags.String("load-restrictor", types.LoadRestrictionsRootOnly.String(), "")
	reorder := flags.String("reorder", string(krusty.ReorderOptionLegacy), "")
	plugins := flags.Bool("enable-alpha-plugins", false, "")
	for _, name := range []string{"network", "as-current-user", "enable-exec", "stack-trace"} {
		flags.Bool(name, false, "")
	}
	flags.String("network-name", "bridge", "")
	flags.StringArray("mount", nil, "")
	flags.StringArrayP("env", "e", nil, "")

	arguments := strings.Fields(k.BuildOptions)
	if strings.Contains(k.BuildOptions, "--enable-helm") {
		if k.KubeVersion != "" {
			arguments = append(arguments, "--helm-kube-version", k.KubeVersion)
		}
		for _, version := range k.APIVersions {
			arguments = append(arguments, "--helm-api-versions", version)
		}
	}
	if err := flags.Parse(arguments); err != nil {
		return nil, badOption(err)
	}
	if flags.NArg() > 0 {
		return nil, badOption(fmt.Errorf("%q is no option, and the path is given", flags.Arg(0)))
	}

	switch *restrictor {
	case types.LoadRestrictionsNone.String():
		options.LoadRestrictions = types.LoadRestrictionsNone
	case types.LoadRestrictionsRootOnly.String(), "":
	default:
		return nil, badOption(fmt.Errorf("illegal flag value --load-restrictor %s", *restrictor))
	}
	options.Reorder = krusty.ReorderOptionUnspecified
	if flags.Changed("reorder") {
		options.Reorder = krusty.ReorderOption(*reorder)
		if !slices.Contains([]krusty.ReorderOption{krusty.ReorderOptionLegacy, krusty.ReorderOptionNone}, options.Reorder) {
			return nil, badOption(fmt.Errorf("illegal flag value --reorder %s", *reorder))
		}
	}
	helm.Enabled = helm.Enabled || *plugins
	return options, nil
}

func badOption(cause error) error {
	if errors.Is(cause, pflag.ErrHelp) {
		cause = errors.New("help was asked for")
	}
	return &Error{Kind: ErrorUnsupported, Message: fmt.Sprintf("kustomize.buildOptions in argocd-cm: %v", cause)}
}
