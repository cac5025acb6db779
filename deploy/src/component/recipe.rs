//! How each component is built: a pinned package for `go install`, or a Go
//! module of our own, embedded so that a binary needs no checkout to build it.

use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use super::{Component, version::Version};

/// The Kubernetes programs are released together and built together.
pub(crate) const KUBERNETES: Version = Version::new(1, 37, 2);

static ETCD: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/components/etcd");
static KUBERNETES_MODULE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/components/kubernetes");
static VAULT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/components/vault");
static YAML_READER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/components/yaml");
static ENGINE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../renderer/engine");

/// Where a program's sources come from.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// A package path for `go install <path>@<pinned version>`.
    Package(&'static str),
    /// A package (`.` or `./cmd/x`) of an embedded module.
    Module {
        module: &'static Dir<'static>,
        package: &'static str,
    },
}

pub(crate) struct Recipe {
    pub(crate) source: Source,
    pub(crate) tags: Option<&'static str>,
    /// Variables for the linker, as `path.Name=value`: what a release build sets.
    pub(crate) variables: Vec<String>,
    /// What is built in one step has one name; it names the lock and the log.
    pub(crate) batch: String,
    /// How long a cold build takes, for people.
    pub(crate) takes: &'static str,
}

pub(crate) fn of(component: Component) -> Recipe {
    let single = |source, takes| Recipe {
        source,
        tags: None,
        variables: Vec::new(),
        batch: format!("{}-{}", component.name(), component.version()),
        takes,
    };
    match component {
        Component::NatsServer => single(
            Source::Package("github.com/nats-io/nats-server/v2"),
            "under a minute",
        ),
        Component::Etcd => single(module(&ETCD, "."), "about a minute"),
        Component::KubeApiserver => kubernetes("./cmd/kube-apiserver", "about 5 min"),
        Component::KubeControllerManager => {
            kubernetes("./cmd/kube-controller-manager", "about 5 min")
        }
        Component::KubeScheduler => kubernetes("./cmd/kube-scheduler", "about 5 min"),
        Component::Kwok => Recipe {
            variables: vec![format!(
                "sigs.k8s.io/kwok/pkg/consts.Version={}",
                component.version()
            )],
            ..single(
                Source::Package("sigs.k8s.io/kwok/cmd/kwok"),
                "about a minute",
            )
        },
        Component::Vault => Recipe {
            tags: Some("minimal"),
            ..single(module(&VAULT, "."), "about 4 min")
        },
        Component::Kustomize => single(
            Source::Package("sigs.k8s.io/kustomize/kustomize/v5"),
            "about a minute",
        ),
        Component::Helm => Recipe {
            variables: vec![format!(
                "helm.sh/helm/v4/internal/version.version={}",
                component.version()
            )],
            ..single(Source::Package("helm.sh/helm/v4/cmd/helm"), "about 3 min")
        },
        Component::Registry => single(
            Source::Package("github.com/google/go-containerregistry/cmd/registry"),
            "under a minute",
        ),
        Component::Engine => single(module(&ENGINE, "."), "about 3 min"),
        Component::YamlReader => single(module(&YAML_READER, "."), "under a minute"),
    }
}

fn module(module: &'static Dir<'static>, package: &'static str) -> Source {
    Source::Module { module, package }
}

fn kubernetes(package: &'static str, takes: &'static str) -> Recipe {
    let path = "k8s.io/component-base/version";
    Recipe {
        source: module(&KUBERNETES_MODULE, package),
        tags: None,
        variables: vec![
            format!("{path}.gitVersion={KUBERNETES}"),
            format!("{path}.gitMajor={}", KUBERNETES.major()),
            format!("{path}.gitMinor={}", KUBERNETES.minor()),
        ],
        batch: format!("kubernetes-{KUBERNETES}"),
        takes,
    }
}

/// The files of a module that a build reads, as (path, content), in a fixed order.
pub(crate) fn build_files(module: &Dir<'static>) -> Vec<(String, &'static [u8])> {
    let mut files = Vec::new();
    collect(module, &mut files);
    files.sort();
    files
}

fn collect(folder: &Dir<'static>, files: &mut Vec<(String, &'static [u8])>) {
    for file in folder.files() {
        let path = file.path().to_string_lossy().into_owned();
        if is_build_file(&path) {
            files.push((path, file.contents()));
        }
    }
    for inner in folder.dirs() {
        collect(inner, files);
    }
}

fn is_build_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, "go")) => !stem.ends_with("_test"),
        Some(("go", "mod" | "sum")) => true,
        _ => false,
    }
}

/// The engine's version: a digest of what its build reads.
pub(crate) fn engine_digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| digest(&build_files(&ENGINE)));
    &DIGEST
}

/// The same of the reader of YAML.
pub(crate) fn yaml_reader_digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| digest(&build_files(&YAML_READER)));
    &DIGEST
}

fn digest(files: &[(String, &[u8])]) -> String {
    let mut hasher = Sha256::new();
    for (path, content) in files {
        // Lengths keep two different lists from looking the same in a row.
        hasher.update(path.len().to_be_bytes());
        hasher.update(path);
        hasher.update(content.len().to_be_bytes());
        hasher.update(content);
    }
    hex::encode(&hasher.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_notes_of_a_module_are_not_part_of_its_build() {
        assert!(is_build_file("main.go"));
        assert!(is_build_file("wire/frame.go"));
        assert!(is_build_file("go.sum"));
        assert!(!is_build_file("wire/frame_test.go"));
        assert!(!is_build_file("README.md"));
    }

    #[test]
    fn the_digest_tells_contents_and_names_apart() {
        let one = digest(&[("a.go".into(), b"x"), ("b.go".into(), b"y")]);
        assert_eq!(one, digest(&[("a.go".into(), b"x"), ("b.go".into(), b"y")]));
        assert_ne!(one, digest(&[("a.go".into(), b"y"), ("b.go".into(), b"x")]));
        assert_ne!(one, digest(&[("a.gox".into(), b""), ("b.go".into(), b"y")]));
    }

    #[test]
    fn the_kubernetes_programs_are_one_batch() {
        assert_eq!(
            of(Component::KubeApiserver).batch,
            of(Component::KubeScheduler).batch
        );
        assert_ne!(of(Component::Etcd).batch, of(Component::Vault).batch);
    }

    #[test]
    fn every_embedded_module_has_its_sums() {
        for module in [&ETCD, &KUBERNETES_MODULE, &VAULT, &YAML_READER] {
            let names: Vec<_> = build_files(module).into_iter().map(|f| f.0).collect();
            assert!(names.iter().any(|n| n == "go.mod"), "{names:?}");
            assert!(names.iter().any(|n| n == "go.sum"), "{names:?}");
        }
    }
}
