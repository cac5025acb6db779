//! What an Application asks for, after its project and the configuration had their say. Pure.

use std::fmt::Display;

use api::application::ApplicationSpec;
use api::project::Destination;
use bus::message::condition::ConditionType;
use bus::message::desired::{Rendering, Tracking};
use bus::{ClusterId, Digest};

use crate::seen::Seen;
use crate::settings::Environment;
use crate::slot::Source;
use crate::source::location::FilePolicy;
use crate::sources::sources;

/// What is wrong, without the time.
pub type Problem = (ConditionType, String);

/// What an Application asks for.
#[derive(Clone, Debug)]
pub enum Intent {
    Wanted(Box<Wanted>),
    /// It can't be; the last good state stays.
    Invalid(Vec<Problem>),
    /// Somebody said to leave it alone.
    Skipped,
    /// The object is on its way out.
    Deleting,
}

/// A valid application.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub cluster: ClusterId,
    /// The API server's URL, of a destination that is given by name.
    pub server: Option<String>,
    /// In the order of the specification; at least one.
    pub sources: Vec<Source>,
    pub rendering: Rendering,
    pub tracking: Tracking,
    pub assess_applications: bool,
    /// Digest of all but the files and the settings about rendering.
    pub content: Digest,
    pub warnings: Vec<Problem>,
}

/// What the watcher was started with.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    pub control_namespace: &'a str,
    pub files: FilePolicy<'a>,
}

/// Judges one Application.
pub fn intent(seen: &Seen, environment: &Environment, bounds: Bounds<'_>) -> Intent {
    if seen.deleting {
        return Intent::Deleting;
    }
    match wanted(seen, environment, bounds) {
        _ if seen.skip => Intent::Skipped,
        Ok(None) => Intent::Skipped,
        Ok(Some(wanted)) => Intent::Wanted(Box::new(wanted)),
        Err(problem) => Intent::Invalid(vec![problem]),
    }
}

fn wanted(
    seen: &Seen,
    environment: &Environment,
    bounds: Bounds<'_>,
) -> Result<Option<Wanted>, Problem> {
    let spec = &seen.spec;
    let sources = sources(spec, environment, bounds.files)?;
    let target = environment
        .target(&spec.destination)
        .map_err(|error| invalid(&error))?;
    check_project(seen, &target, environment, bounds.control_namespace)?;
    if target.skip {
        return Ok(None);
    }
    let settings = &environment.settings;
    let tracking = Tracking {
        method: settings.tracking_method.clone(),
        label_key: settings.instance_label_key.clone(),
        instance: api::tracking::instance_name(
            seen.id.namespace(),
            seen.id.name(),
            bounds.control_namespace,
        ),
    };
    let assess_applications = settings
        .customizations
        .get(api::GROUP, "Application")
        .is_some_and(|said| said.health_lua.is_some())
        || seen
            .annotations
            .get(api::annotations::APP_OF_APPS_HEALTH)
            .is_some_and(|said| said == "enabled");
    let server = spec
        .destination
        .server()
        .is_none()
        .then(|| target.server.clone());
    Ok(Some(Wanted {
        cluster: target.id,
        sources,
        rendering: environment.rendering(),
        content: seen.content(&(&tracking, assess_applications, &server)),
        server,
        tracking,
        assess_applications,
        warnings: warnings(spec),
    }))
}

fn check_project(
    seen: &Seen,
    target: &crate::settings::Target,
    environment: &Environment,
    control_namespace: &str,
) -> Result<(), Problem> {
    let name = seen.spec.project();
    let Some(project) = environment.projects.get(name) else {
        return Err(invalid(&format!(
            "spec.project names {name:?}, which does not exist in namespace {control_namespace}: create the AppProject or name another"
        )));
    };
    let namespace = seen.id.namespace();
    if !project.permits_source_namespace(namespace, control_namespace) {
        return Err(invalid(&format!(
            "project {name} does not permit Applications in namespace {namespace}: add it to the project's sourceNamespaces"
        )));
    }
    let mut sources = seen.spec.sources().iter();
    if let Some(source) = sources.find(|source| !project.spec.permits_source(&source.repo_url)) {
        return Err(invalid(&format!(
            "project {name} does not permit the repository {}: add it to the project's sourceRepos",
            api::git_url::without_credentials(&source.repo_url)
        )));
    }
    let destination = Destination {
        server: &target.server,
        name: &target.name,
        namespace: seen.spec.destination.namespace(),
    };
    let scoped = project.spec.permit_only_project_scoped_clusters == Some(true);
    if !project.spec.permits_destination(destination)
        || (scoped && target.project.as_deref() != Some(name))
    {
        return Err(invalid(&format!(
            "project {name} does not permit namespace {:?} of cluster {} ({}): add it to the project's destinations",
            destination.namespace, destination.name, destination.server
        )));
    }
    Ok(())
}

fn warnings(spec: &ApplicationSpec) -> Vec<Problem> {
    let unknown = spec.unknown_fields();
    if unknown.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = unknown.into_iter().take(20).collect();
    vec![(
        ConditionType::UnknownFieldWarning,
        format!(
            "fields without meaning to this version of Towline are kept and ignored: {}",
            names.join(", ")
        ),
    )]
}

fn invalid(error: &impl Display) -> Problem {
    (ConditionType::InvalidSpecError, error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use api::AppProject;
    use serde_json::{Value, json};

    use super::*;
    use crate::seen::Watched;

    fn bounds() -> Bounds<'static> {
        Bounds {
            control_namespace: "argocd",
            files: FilePolicy {
                allowed: true,
                cache: Path::new("/cache"),
            },
        }
    }

    fn environment() -> Environment {
        Environment {
            projects: [(
                "default".to_owned(),
                Arc::new(AppProject::allow_all("default")),
            )]
            .into(),
            ..Environment::default()
        }
    }

    fn seen(namespace: &str, spec: &Value) -> Seen {
        let object =
            json!({"metadata": {"namespace": namespace, "name": "web", "uid": "u"}, "spec": spec});
        Seen::of(serde_json::from_value::<Watched>(object).unwrap()).unwrap()
    }

    fn plain() -> Value {
        json!({
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
            "source": {"repoURL": "https://h/a.git", "path": "web"},
        })
    }

    fn judged(spec: &Value) -> Intent {
        intent(&seen("argocd", spec), &environment(), bounds())
    }

    fn problem(intent: Intent) -> String {
        match intent {
            Intent::Invalid(mut problems) => {
                assert_eq!(problems[0].0, ConditionType::InvalidSpecError);
                problems.remove(0).1
            }
            other => panic!("not invalid: {other:?}"),
        }
    }

    #[test]
    fn a_plain_application_is_wanted_in_its_cluster() {
        let Intent::Wanted(wanted) = judged(&plain()) else {
            panic!("not wanted")
        };
        assert_eq!(wanted.cluster, ClusterId::in_cluster());
        assert_eq!(&*wanted.sources[0].slot.target, "");
        assert_eq!(wanted.tracking.instance, "web");
        assert_eq!(wanted.warnings, []);
    }

    #[test]
    fn a_missing_project_is_named() {
        let mut spec = plain();
        spec["project"] = json!("nope");
        assert!(problem(judged(&spec)).contains("\"nope\", which does not exist"));
    }

    #[test]
    fn a_project_must_permit_every_source() {
        let mut environment = environment();
        let rules = json!({
            "sourceRepos": ["https://h/*"], "destinations": [{"server": "*", "namespace": "*"}],
        });
        let project = AppProject::new("default", serde_json::from_value(rules).unwrap());
        environment
            .projects
            .insert("default".to_owned(), Arc::new(project));
        let judged = |second: &str| {
            let spec = json!({
                "destination": plain()["destination"],
                "sources": [
                    {"repoURL": "https://h/a.git", "path": "web"},
                    {"repoURL": second, "chart": "db", "targetRevision": "1.x"},
                ],
            });
            intent(&seen("argocd", &spec), &environment, bounds())
        };
        assert!(matches!(judged("https://h/charts"), Intent::Wanted(_)));
        assert!(problem(judged("https://elsewhere/charts")).contains("https://elsewhere/charts"));
    }

    #[test]
    fn a_project_forbids_repository_destination_and_namespace() {
        let mut environment = environment();
        let project = |spec: Value| {
            Arc::new(AppProject::new(
                "team",
                serde_json::from_value(spec).unwrap(),
            ))
        };
        let mut spec = plain();
        spec["project"] = json!("team");
        let mut judge = |rules: Value, namespace: &str| {
            environment
                .projects
                .insert("team".to_owned(), project(rules));
            problem(intent(&seen(namespace, &spec), &environment, bounds()))
        };
        assert!(judge(json!({}), "argocd").contains("sourceRepos"));
        assert!(judge(json!({"sourceRepos": ["*"]}), "argocd").contains("destinations"));
        assert!(judge(json!({"sourceRepos": ["*"]}), "elsewhere").contains("sourceNamespaces"));
        let everywhere = json!({
            "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
            "permitOnlyProjectScopedClusters": true,
        });
        assert!(judge(everywhere, "argocd").contains("destinations"));
    }

    #[test]
    fn unknown_fields_warn_and_do_not_stop() {
        let mut spec = plain();
        spec["source"]["turbo"] = json!(true);
        let Intent::Wanted(wanted) = judged(&spec) else {
            panic!("not wanted")
        };
        assert_eq!(wanted.warnings[0].0, ConditionType::UnknownFieldWarning);
        assert!(wanted.warnings[0].1.contains("spec.source.turbo"));
    }

    #[test]
    fn outside_the_control_namespace_the_instance_carries_the_namespace() {
        let mut environment = environment();
        let mut project = AppProject::allow_all("default");
        project.spec.source_namespaces = Some(vec!["team-*".to_owned()]);
        environment
            .projects
            .insert("default".to_owned(), Arc::new(project));
        let Intent::Wanted(wanted) = intent(&seen("team-a", &plain()), &environment, bounds())
        else {
            panic!("not wanted")
        };
        assert_eq!(wanted.tracking.instance, "team-a_web");
    }
}
