//! What a render asks for beside its sources: which of it is still wanted, and what it is fetched with. Pure.

use api::AppProject;
use api::settings::RepositoryKind;
use bus::message::need::Need;

use crate::affected::{Outcome, Record};
use crate::decide::{Published, State};
use crate::settings::Environment;
use crate::slot::{Needed, Slot};
use crate::source::Remote;
use crate::source::access::Access;
use crate::source::location::{FilePolicy, LocationError};

/// What is wanted: what the last render asked for. One that didn't come to its end may not have come to ask for all, so what it
/// was given stays wanted.
pub fn wanted(record: Option<&Record>, published: Option<&Published>) -> Vec<Need> {
    let mut needs: Vec<Need> = record.map_or_else(Vec::new, |record| record.needs.to_vec());
    let ended = record.is_some_and(|record| matches!(record.outcome, Outcome::Rendered(_)));
    if !ended
        && let Some(Published {
            state: State::Present { dependencies, .. },
            ..
        }) = published
    {
        needs.extend(dependencies.iter().map(|given| given.need.clone()));
    }
    // The renderer's own order is sorted: the bound cuts what was only given before.
    let asked = record.map_or(0, |record| record.needs.len());
    let (_, before) = needs.split_at_mut(asked);
    before.sort();
    let mut kept: Vec<Need> = Vec::with_capacity(needs.len());
    for need in needs {
        if kept.len() < Need::MAX && !kept.contains(&need) {
            kept.push(need);
        }
    }
    kept.sort();
    kept
}

/// What a need is fetched with.
pub fn needed(
    need: Need,
    (name, project): (&str, &AppProject),
    environment: &Environment,
    files: FilePolicy<'_>,
) -> Needed {
    let slot = slot(&need, (name, project), environment, files)
        .map_err(|error| format!("{} can't be fetched: {error}", describe(&need)));
    Needed { need, slot }
}

#[derive(Debug, thiserror::Error)]
enum NeedError {
    #[error(
        "no repository Secret that project {project} may use has the name {name:?}. Add one, or write the repository's URL"
    )]
    Name { name: String, project: String },
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error("a folder of the watcher's host must be among the sourceRepos of project {project}")]
    File { project: String },
}

fn slot(
    need: &Need,
    (name, project): (&str, &AppProject),
    environment: &Environment,
    files: FilePolicy<'_>,
) -> Result<Slot, NeedError> {
    // Credentials are for those whose project may use the repository; to others it is what it is to everybody.
    let access = |url: &str| {
        if project.spec.permits_source(url) {
            environment.access(url, name)
        } else {
            Access::of(
                &api::settings::Repository::unknown(url),
                &environment.vouched,
            )
        }
    };
    match need {
        Need::Chart {
            repository,
            name: chart,
            version,
        } => {
            let alias = repository
                .strip_prefix("alias:")
                .or_else(|| repository.strip_prefix('@'));
            let (url, registry) = match alias {
                Some(alias) => {
                    let found = environment
                        .repository_named(alias, name)
                        .filter(|found| project.spec.permits_source(&found.url))
                        .ok_or_else(|| NeedError::Name {
                            name: alias.chars().take(200).collect(),
                            project: name.to_owned(),
                        })?;
                    let registry = found.enable_oci || found.kind == Some(RepositoryKind::Oci);
                    (found.url, registry)
                }
                None => (repository.clone(), false),
            };
            let access = registered(&access, &url);
            Ok(Slot::new(
                Remote::chart(&url, chart, registry)?,
                access,
                version,
            ))
        }
        Need::Git { url, reference } => {
            let remote = Remote::git(url, files)?;
            if remote.host().is_empty() && !project.spec.permits_source(url) {
                return Err(NeedError::File {
                    project: name.to_owned(),
                });
            }
            Ok(Slot::new(remote, access(url), reference))
        }
        Need::File { url } => Ok(Slot::new(Remote::file(url)?, access(url), "")),
    }
}

/// A registry's Secret has the URL without the scheme that a chart writes before it.
fn registered(access: &impl Fn(&str) -> Access, url: &str) -> Access {
    let whole = access(url);
    match url.strip_prefix("oci://") {
        Some(bare) if whole.credentials.is_empty() => access(bare),
        _ => whole,
    }
}

/// For people.
pub fn describe(need: &Need) -> String {
    let at = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!(" {text}")
        }
    };
    let shown = api::git_url::without_credentials;
    match need {
        Need::Chart {
            repository,
            name,
            version,
        } => format!("dependency {name}{} of {}", at(version), shown(repository)),
        Need::Git { url, reference } => format!("dependency {}{}", shown(url), at(reference)),
        Need::File { url } => format!("file {}", shown(url)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use api::Sensitive;
    use api::settings::{Credentials, Labelled, Repository};
    use bus::{Digest, Generation};
    use serde_json::json;

    use super::*;
    use crate::decide::Given;

    fn chart(repository: &str) -> Need {
        Need::Chart {
            repository: repository.to_owned(),
            name: "db".to_owned(),
            version: "1.x".to_owned(),
        }
    }

    fn file(name: &str) -> Need {
        Need::File {
            url: format!("https://h/{name}"),
        }
    }

    fn environment() -> Environment {
        let repository = Repository {
            url: "https://charts.example.org".to_owned(),
            name: Some("stable".to_owned()),
            credentials: Credentials {
                password: Some(Sensitive::new("canary")),
                ..Credentials::default()
            },
            ..Repository::default()
        };
        Environment {
            secrets: [("s".to_owned(), Labelled::Repository(Box::new(repository)))].into(),
            ..Environment::default()
        }
    }

    fn slot_of(need: Need, repos: &[&str]) -> Result<Slot, String> {
        let project = AppProject::new(
            "team",
            serde_json::from_value(json!({"sourceRepos": repos})).unwrap(),
        );
        let files = FilePolicy {
            allowed: true,
            cache: Path::new("/cache"),
        };
        needed(need, ("team", &project), &environment(), files).slot
    }

    #[test]
    fn credentials_are_for_projects_that_may_use_the_repository() {
        let need = || chart("https://charts.example.org");
        let permitted = slot_of(need(), &["https://charts.example.org"]).unwrap();
        assert!(permitted.access.credentials.password.is_some());
        let other = slot_of(need(), &["https://elsewhere"]).unwrap();
        assert!(other.access.credentials.password.is_none());
        assert_ne!(permitted.key, other.key);
    }

    #[test]
    fn a_name_means_the_repository_that_is_configured_under_it() {
        for alias in ["@stable", "alias:stable"] {
            let slot = slot_of(chart(alias), &["*"]).unwrap();
            assert_eq!(
                slot.remote.shown(),
                "chart db of https://charts.example.org"
            );
            assert!(slot_of(chart(alias), &[]).is_err());
        }
        let error = slot_of(chart("@other"), &["*"]).unwrap_err();
        assert!(
            error.contains("dependency db 1.x of @other") && error.contains("\"other\""),
            "{error}"
        );
    }

    #[test]
    fn no_render_can_make_the_watcher_read_its_own_host() {
        let git = |url: &str| Need::Git {
            url: url.to_owned(),
            reference: String::new(),
        };
        assert!(slot_of(git("file:///srv/a"), &["https://*"]).is_err());
        assert!(slot_of(git("file:///srv/a"), &["*"]).is_ok());
        let passwd = Need::File {
            url: "file:///etc/passwd".to_owned(),
        };
        assert!(slot_of(passwd, &["*"]).is_err());
    }

    fn record(needs: &[Need], outcome: Outcome) -> Record {
        Record {
            needs: needs.into(),
            ..Record::of(Generation(7), outcome)
        }
    }

    fn given(name: &str) -> Given {
        Given {
            need: file(name),
            place: None,
        }
    }

    #[test]
    fn a_render_that_ended_wants_what_it_asked_for_and_no_more() {
        let given = Published {
            generation: Generation(7),
            uid: "u".into(),
            at: 0,
            state: State::Present {
                content: Digest::of(b""),
                rendering: Box::default(),
                sources: Box::default(),
                dependencies: Box::new([given("old")]),
                begun: crate::decide::Begun::default(),
            },
        };
        let ended = record(&[file("a")], Outcome::Rendered(Some(Arc::default())));
        assert_eq!(wanted(Some(&ended), Some(&given)), [file("a")]);
        let waits = record(&[file("a")], Outcome::Incomplete);
        assert_eq!(wanted(Some(&waits), Some(&given)), [file("a"), file("old")]);
        assert_eq!(wanted(None, Some(&given)), [file("old")]);
    }
}
