//! What an Application asks for, after its project and the configuration had their say. Pure.

use std::fmt::Display;

use api::application::ApplicationSpec;
use bus::message::condition::ConditionType;
use bus::message::desired::{Rendering, Tracking};
use bus::{ClusterId, Digest};

use crate::project::{project, refused_destination, refused_sources};
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
    /// The cluster's name of a destination that is given by server, where it isn't the cluster's id.
    pub cluster_name: Option<String>,
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
        Err(problems) => Intent::Invalid(problems),
    }
}

fn wanted(
    seen: &Seen,
    environment: &Environment,
    bounds: Bounds<'_>,
) -> Result<Option<Wanted>, Vec<Problem>> {
    let spec = &seen.spec;
    let project = project(seen, environment, bounds.control_namespace).map_err(|it| vec![it])?;
    let sources = sources(spec, environment, bounds.files).map_err(|it| vec![it])?;
    let mut refused = refused_sources(seen, &project);
    let target = match environment.target(&spec.destination) {
        Ok(target) => {
            refused.extend(refused_destination(seen, &project, &target, environment));
            target
        }
        Err(error) => {
            refused.push(invalid(&error));
            return Err(refused);
        }
    };
    if !refused.is_empty() {
        return Err(refused);
    }
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
    let cluster_name = (spec.destination.name().is_none() && target.name != target.id.as_str())
        .then(|| target.name.clone());
    Ok(Some(Wanted {
        cluster: target.id,
        sources,
        rendering: environment.rendering(),
        content: seen.content(&(&tracking, assess_applications, &server, &cluster_name)),
        server,
        cluster_name,
        tracking,
        assess_applications,
        warnings: warnings(spec),
    }))
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
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
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
        assert!(
            problem(judged(&spec))
                .starts_with("Application referencing project nope which does not exist")
        );
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

    fn team(rules: Value, secrets: &[(&str, &str)]) -> Environment {
        let mut environment = environment();
        let project = AppProject::new("team", serde_json::from_value(rules).unwrap());
        let secrets = secrets.iter().map(|(name, project)| {
            let secret = serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {"argocd.argoproj.io/secret-type": "cluster"}},
                "data": {
                    "name": BASE64.encode(name), "server": BASE64.encode(format!("https://{name}")),
                    "project": BASE64.encode(project),
                },
            }));
            let read = api::settings::read_secret(&secret.unwrap()).unwrap();
            ((*name).to_owned(), read.unwrap())
        });
        environment.secrets = secrets.collect();
        let projects = &mut environment.projects;
        projects.insert("team".to_owned(), Arc::new(project));
        environment
    }

    #[test]
    fn rules_of_a_global_project_count_for_those_that_its_labels_select() {
        let rules = json!({
            "sourceRepos": ["https://h/*"], "destinations": [{"server": "*", "namespace": "*"}],
        });
        let mut environment = team(rules, &[]);
        let global = json!({"destinations": [{"server": "*", "namespace": "!web"}]});
        let global = AppProject::new("base", serde_json::from_value(global).unwrap());
        environment
            .projects
            .insert("base".to_owned(), Arc::new(global));
        let said = |environment: &Environment| problems(environment, "argocd", &plain()).len();
        let settings = |selector: &str| {
            let text = format!("- projectName: base\n  labelSelector: {selector}\n");
            api::settings::Settings::read(&[("globalProjects".to_owned(), text)].into())
        };
        environment.settings = settings("{matchLabels: {guarded: 'yes'}}");
        assert_eq!(said(&environment), 0);
        environment.settings = settings("{}");
        assert_eq!(said(&environment), 1);
    }

    fn problems(environment: &Environment, namespace: &str, spec: &Value) -> Vec<Problem> {
        let mut spec = spec.clone();
        spec["project"] = json!("team");
        match intent(&seen(namespace, &spec), environment, bounds()) {
            Intent::Invalid(problems) => problems,
            Intent::Wanted(_) => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_that_a_project_refuses_is_said_at_once_in_the_words_of_argo_cd() {
        let nothing = team(json!({}), &[]);
        let said = problems(&nothing, "argocd", &plain());
        assert_eq!(said.len(), 2, "{said:?}");
        let starts = [
            "application repo https://h/a.git is not permitted in project 'team'",
            "application destination server 'https://kubernetes.default.svc' and namespace 'web' do not match any of the allowed \
             destinations in project 'team'",
        ];
        for ((kind, message), start) in said.iter().zip(starts) {
            assert_eq!(*kind, ConditionType::InvalidSpecError);
            assert!(message.starts_with(start), "{message}");
        }
    }

    #[test]
    fn an_application_of_another_namespace_needs_the_project_to_let_it_in() {
        let rules = |namespaces: Value| {
            json!({
                "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}], "sourceNamespaces": namespaces,
            })
        };
        for (namespaces, allowed) in [
            (json!([]), false),
            (json!(["team-*"]), true),
            (json!(["/^team-[a-z]$/"]), true),
            (json!(["/^team$/"]), false),
        ] {
            let said = problems(&team(rules(namespaces.clone()), &[]), "team-a", &plain());
            assert_eq!(said.is_empty(), allowed, "{namespaces}: {said:?}");
            if let [(kind, message)] = &*said {
                assert_eq!(*kind, ConditionType::UnknownError);
                let words = "application 'web' in namespace 'team-a' is not permitted to use project 'team'";
                assert!(message.starts_with(words), "{message}");
            }
        }
        assert_eq!(
            problems(&team(rules(json!([])), &[]), "argocd", &plain()),
            []
        );
    }

    #[test]
    fn a_project_of_scoped_clusters_permits_those_alone_that_are_its_own() {
        let rules = json!({
            "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}], "permitOnlyProjectScopedClusters": true,
        });
        let environment = team(rules, &[("own", "team"), ("others", "else"), ("all", "")]);
        let to = |name: &str| {
            let mut spec = plain();
            spec["destination"] = json!({"name": name, "namespace": "web"});
            problems(&environment, "argocd", &spec)
        };
        assert_eq!(to("own"), []);
        for name in ["others", "all", "in-cluster"] {
            let said = to(name);
            assert!(said[0].1.contains(&format!("server '{name}'")), "{said:?}");
            assert!(said[0].1.contains("clusters of its own"), "{said:?}");
        }
    }

    #[test]
    fn an_unknown_destination_and_a_forbidden_repository_are_both_said() {
        let mut spec = plain();
        spec["destination"] = json!({"server": "https://nowhere", "namespace": "web"});
        let said = problems(&team(json!({}), &[]), "argocd", &spec);
        assert!(said[0].1.contains("sourceRepos") && said[1].1.contains("https://nowhere"));
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
