//! The sources of an Application: which kind each is, by Argo CD's rules, and what it is fetched with. Pure.

use std::fmt::Display;
use std::sync::Arc;

use api::application::{ApplicationSource, ApplicationSpec};
use api::settings::RepositoryKind;
use bus::message::condition::ConditionType;

use crate::intent::Problem;
use crate::revision;
use crate::settings::Environment;
use crate::slot::{Slot, Source};
use crate::source::Remote;
use crate::source::access::Access;
use crate::source::location::{FilePolicy, LocationError};

/// The most sources that one Application may have.
const MAX_SOURCES: usize = 100;

/// The sources in the order of the specification.
pub fn sources(
    spec: &ApplicationSpec,
    environment: &Environment,
    files: FilePolicy<'_>,
) -> Result<Vec<Source>, Problem> {
    if spec.source_hydrator.is_some() {
        return Err(invalid(
            &"spec.sourceHydrator is not supported; the application stays as it is. Point spec.source at the repository that holds \
              the files to render (drySource), which is rendered without a second branch",
        ));
    }
    let all = spec.sources();
    if all.is_empty() {
        return Err(invalid(
            &"spec.source is missing: name a repoURL and a path",
        ));
    }
    if all.len() > MAX_SOURCES {
        return Err(invalid(&format!(
            "spec.sources has {} entries, over the limit of {MAX_SOURCES}",
            all.len()
        )));
    }
    let several = spec
        .sources
        .as_ref()
        .is_some_and(|sources| !sources.is_empty());
    let mut found = Vec::with_capacity(all.len());
    for (number, source) in all.iter().enumerate() {
        let field = if several {
            format!("spec.sources[{number}]")
        } else {
            "spec.source".to_owned()
        };
        check(source, &field, several)?;
        let slot = slot(source, spec.project(), environment, files)
            .map_err(|error| invalid(&format!("{field}.repoURL: {error}")))?;
        found.push(Source {
            repo_url: source.repo_url.as_str().into(),
            folder: source.path.as_deref().map(Arc::from),
            slot,
        });
    }
    Ok(found)
}

fn check(source: &ApplicationSource, field: &str, several: bool) -> Result<(), Problem> {
    if source.plugin.is_some() {
        return Err(invalid(&format!(
            "{field}.plugin is not supported; the application stays as it is. Use Helm, Kustomize, Jsonnet or plain files, or commit \
             what the plugin makes"
        )));
    }
    let said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let placed = said(&source.path) || said(&source.chart) || (several && said(&source.reference));
    if source.repo_url.is_empty() || !placed {
        return Err(invalid(&format!(
            "{field} needs a repoURL and a path{}",
            if several {
                ", a chart, or a ref"
            } else {
                " or a chart"
            }
        )));
    }
    if said(&source.chart) && !said(&source.target_revision) {
        return Err(invalid(&format!(
            "{field}.targetRevision is missing: a chart needs a version or a range"
        )));
    }
    let path = source.path();
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(invalid(&format!(
            "{field}.path {path:?} must be relative to the repository's root and stay in it"
        )));
    }
    Ok(())
}

fn slot(
    source: &ApplicationSource,
    project: &str,
    environment: &Environment,
    files: FilePolicy<'_>,
) -> Result<Slot, LocationError> {
    let url = &source.repo_url;
    let repository = environment.repository(url, project);
    let registry = repository.enable_oci || repository.kind == Some(RepositoryKind::Oci);
    let access = Access {
        pass_credentials: source
            .helm
            .as_ref()
            .is_some_and(|helm| helm.pass_credentials == Some(true)),
        ..Access::of(&repository, &environment.vouched)
    };
    // As Argo CD asks: first for the scheme, then for a chart.
    let remote = if source.is_oci() {
        Remote::artifact(url)?
    } else if let Some(chart) = source.chart() {
        Remote::chart(url, chart, registry)?
    } else {
        Remote::git(url, files)?
    };
    Ok(Slot::new(remote, access, &target(source)))
}

/// Its target revision, with the prefix of the tags that count for a range of versions: sources that differ in it are at different
/// revisions of one repository.
pub fn target(source: &ApplicationSource) -> String {
    let target = source.target_revision.as_deref().unwrap_or_default();
    let prefix = source.tag_prefix.as_deref().unwrap_or_default();
    let in_git = !source.is_oci() && source.chart().is_none();
    if in_git && (!prefix.is_empty() || target.contains(':')) {
        revision::prefixed(prefix, target)
    } else {
        target.to_owned()
    }
}

fn invalid(error: &impl Display) -> Problem {
    (ConditionType::InvalidSpecError, error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    fn read(spec: &Value) -> Result<Vec<Source>, String> {
        let mut whole = json!({"destination": {}});
        whole
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        let files = FilePolicy {
            allowed: false,
            cache: Path::new("/cache"),
        };
        let spec: ApplicationSpec = serde_json::from_value(whole).unwrap();
        sources(&spec, &Environment::default(), files).map_err(|(kind, message)| {
            assert_eq!(kind, ConditionType::InvalidSpecError);
            message
        })
    }

    fn shown(spec: &Value) -> Vec<String> {
        let found = read(spec).unwrap();
        found
            .iter()
            .map(|source| format!("{} {}", source.slot.remote, source.slot.target))
            .collect()
    }

    #[test]
    fn each_source_is_what_its_fields_say() {
        let found = shown(&json!({"sources": [
            {"repoURL": "https://h/charts", "chart": "web", "targetRevision": "1.x"},
            {"repoURL": "https://h/values.git", "ref": "values", "targetRevision": "main"},
            {"repoURL": "registry.example.org/charts", "chart": "db", "targetRevision": "2.0.0"},
            {"repoURL": "oci://registry.example.org/files", "path": "."},
        ]}));
        assert_eq!(
            found,
            [
                "chart web of https://h/charts 1.x",
                "https://h/values.git main",
                "oci://registry.example.org/charts/db 2.0.0",
                "oci://registry.example.org/files ",
            ]
        );
    }

    #[test]
    fn a_prefix_of_tags_is_a_part_of_a_target_in_git_only() {
        let found = shown(&json!({"sources": [
            {"repoURL": "https://h/a", "path": ".", "targetRevision": "1.x", "tagPrefix": "web/"},
            {"repoURL": "https://h/a", "path": ".", "targetRevision": "1.x", "tagPrefix": ""},
            {"repoURL": "https://h/charts", "chart": "web", "targetRevision": "1.x", "tagPrefix": "web/"},
            {"repoURL": "https://h/a", "path": ".", "targetRevision": "a:main"},
        ]}));
        assert_eq!(
            found,
            [
                "https://h/a web/:1.x",
                "https://h/a 1.x",
                "chart web of https://h/charts 1.x",
                // A colon of its own is no prefix's end.
                "https://h/a :a:main",
            ]
        );
    }

    #[test]
    fn a_login_is_passed_on_to_other_hosts_only_where_the_source_says_so() {
        for (helm, passed) in [
            (json!({}), false),
            (json!({"passCredentials": false}), false),
            (json!({"passCredentials": true}), true),
        ] {
            let source = json!({"repoURL": "https://h/charts", "chart": "web", "targetRevision": "1.x", "helm": helm});
            let found = read(&json!({"source": source})).unwrap();
            assert_eq!(found[0].slot.access.pass_credentials, passed);
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_source() {
        for (spec, expected) in [
            (json!({}), "spec.source is missing"),
            (
                json!({"source": {"repoURL": "https://h/a"}}),
                "spec.source needs a repoURL and a path or a chart",
            ),
            (
                json!({"source": {"repoURL": "https://h/a", "ref": "x"}}),
                "spec.source needs a repoURL",
            ),
            (
                json!({"sources": [{"repoURL": "https://h/a", "path": "."}, {"repoURL": "https://h/b"}]}),
                "spec.sources[1] needs a repoURL and a path, a chart, or a ref",
            ),
            (
                json!({"source": {"repoURL": "https://h/a", "chart": "web"}}),
                "spec.source.targetRevision is missing",
            ),
            (
                json!({"source": {"repoURL": "ftp://h/a", "path": "."}}),
                "spec.source.repoURL: \"ftp://h/a\"",
            ),
        ] {
            let message = read(&spec).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_is_not_supported_says_what_to_use_instead() {
        let plugin =
            json!({"source": {"repoURL": "https://h/a", "path": ".", "plugin": {"name": "x"}}});
        assert!(
            read(&plugin)
                .unwrap_err()
                .contains("commit what the plugin makes")
        );
        let hydrator = json!({"sourceHydrator": {
            "drySource": {"repoURL": "https://h/a", "path": ".", "targetRevision": "main"},
            "syncSource": {"targetBranch": "env", "path": "."},
        }});
        assert!(
            read(&hydrator)
                .unwrap_err()
                .contains("Point spec.source at")
        );
    }

    #[test]
    fn a_path_out_of_the_repository_is_refused() {
        for path in ["/etc", "../x", "a/../../x"] {
            let spec = json!({"source": {"repoURL": "https://h/a", "path": path}});
            assert!(read(&spec).unwrap_err().contains("stay in it"), "{path}");
        }
    }
}
