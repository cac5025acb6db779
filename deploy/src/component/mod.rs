//! What the local stack can consist of: one program each, with its pinned
//! version, its environment variable and the test whether another build of it
//! will do.

pub(crate) mod recipe;
pub(crate) mod version;

use std::borrow::Cow;

use recipe::Recipe;
use version::{Fit, Version};

/// A program that Towline runs but did not write, and its own Go worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    NatsServer,
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kwok,
    Vault,
    /// The Kustomize command line, for conformance tests.
    Kustomize,
    /// The Helm command line, for conformance tests.
    Helm,
    /// A registry in memory, for tests.
    Registry,
    /// The renderer's worker, from the sources in `renderer/engine/`.
    Engine,
    /// Reads YAML as Kubernetes does, for conformance tests, from the sources in `deploy/components/yaml/`.
    YamlReader,
}

impl Component {
    pub const ALL: [Self; 12] = [
        Self::NatsServer,
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kwok,
        Self::Vault,
        Self::Kustomize,
        Self::Helm,
        Self::Registry,
        Self::Engine,
        Self::YamlReader,
    ];

    /// The program's file name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NatsServer => "nats-server",
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kwok => "kwok",
            Self::Vault => "vault",
            Self::Kustomize => "kustomize",
            Self::Helm => "helm",
            Self::Registry => "registry",
            Self::Engine => "engine",
            Self::YamlReader => "yaml-reader",
        }
    }

    /// The pinned version; of what is built from sources here, their digest.
    pub fn version(self) -> Cow<'static, str> {
        match self.pinned() {
            Some(version) => Cow::Owned(version.to_string()),
            None if self == Self::YamlReader => Cow::Borrowed(recipe::yaml_reader_digest()),
            None => Cow::Borrowed(recipe::engine_digest()),
        }
    }

    /// The environment variable that names a program to use instead. What it
    /// names is taken as it is, whatever its version.
    pub fn variable(self) -> &'static str {
        match self {
            Self::NatsServer => "TOWLINE_NATS_SERVER",
            Self::Etcd => "TOWLINE_ETCD",
            Self::KubeApiserver => "TOWLINE_KUBE_APISERVER",
            Self::KubeControllerManager => "TOWLINE_KUBE_CONTROLLER_MANAGER",
            Self::KubeScheduler => "TOWLINE_KUBE_SCHEDULER",
            Self::Kwok => "TOWLINE_KWOK",
            Self::Vault => "TOWLINE_VAULT",
            Self::Kustomize => "TOWLINE_KUSTOMIZE",
            Self::Helm => "TOWLINE_HELM",
            Self::Registry => "TOWLINE_REGISTRY",
            Self::Engine => "TOWLINE_ENGINE",
            Self::YamlReader => "TOWLINE_YAML_READER",
        }
    }

    /// The pinned release; none for what is not released.
    pub(crate) fn pinned(self) -> Option<Version> {
        match self {
            Self::NatsServer => Some(Version::new(2, 15, 2)),
            Self::Etcd => Some(Version::new(3, 7, 3)),
            Self::KubeApiserver | Self::KubeControllerManager | Self::KubeScheduler => {
                Some(recipe::KUBERNETES)
            }
            Self::Kwok => Some(Version::new(0, 8, 0)),
            Self::Vault => Some(Version::new(1, 21, 1)),
            Self::Kustomize => Some(Version::new(5, 8, 1)),
            Self::Helm => Some(Version::new(4, 3, 1)),
            Self::Registry => Some(Version::new(0, 22, 1)),
            Self::Engine | Self::YamlReader => None,
        }
    }

    /// Which versions found on the PATH are as good as the pinned one. The two
    /// command lines are what renders are compared with, byte for byte; a `registry` on
    /// the PATH is likely another program.
    pub(crate) fn fit(self) -> Fit {
        match self {
            Self::Kustomize | Self::Helm | Self::Registry => Fit::Exact,
            _ => Fit::SameMinor,
        }
    }

    /// The arguments that make the program print its version.
    pub(crate) fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Vault | Self::Kustomize => &["version"],
            Self::Helm => &["version", "--short"],
            _ => &["--version"],
        }
    }

    pub(crate) fn recipe(self) -> Recipe {
        recipe::of(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_component_has_a_name_a_variable_and_a_cache_key_of_its_own() {
        let names: BTreeSet<_> = Component::ALL.map(Component::name).into();
        let variables: BTreeSet<_> = Component::ALL.map(Component::variable).into();
        assert_eq!(names.len(), Component::ALL.len());
        assert_eq!(variables.len(), Component::ALL.len());
    }

    #[test]
    fn a_version_reads_as_its_release_tag() {
        assert_eq!(Component::KubeScheduler.version(), "v1.37.2");
        assert_eq!(Component::NatsServer.version(), "v2.15.2");
    }
}
