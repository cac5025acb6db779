//! What an Application's project says to it, in Argo CD's words and with what to do. Pure.

use std::sync::Arc;

use api::AppProject;
use api::project::Destination;
use bus::message::condition::ConditionType;

use crate::intent::Problem;
use crate::seen::Seen;
use crate::settings::{Environment, Target};

/// The project, if there is one and it lets Applications of this namespace in.
pub fn project(
    seen: &Seen,
    environment: &Environment,
    control_namespace: &str,
) -> Result<Arc<AppProject>, Problem> {
    let name = seen.spec.project();
    let Some(project) = environment.project(name) else {
        return Err((
            ConditionType::InvalidSpecError,
            format!(
                "Application referencing project {name} which does not exist: create the AppProject in namespace {control_namespace}, or \
                 name another in spec.project"
            ),
        ));
    };
    let namespace = seen.id.namespace();
    if !project.permits_source_namespace(namespace, control_namespace) {
        // The type that Argo CD gives it.
        return Err((
            ConditionType::UnknownError,
            format!(
                "application '{}' in namespace '{namespace}' is not permitted to use project '{name}': add the namespace to the \
                 project's sourceNamespaces",
                seen.id.name()
            ),
        ));
    }
    Ok(project)
}

/// The sources that the project doesn't permit, one problem each.
pub fn refused_sources(seen: &Seen, project: &AppProject) -> Vec<Problem> {
    let sources = seen.spec.sources().iter();
    let refused = sources.filter(|source| !project.spec.permits_source(&source.repo_url));
    refused
        .map(|source| {
            (
                ConditionType::InvalidSpecError,
                format!(
                    "application repo {} is not permitted in project '{}': add it to the project's sourceRepos",
                    api::git_url::without_credentials(&source.repo_url),
                    seen.spec.project()
                ),
            )
        })
        .collect()
}

/// Why an application must not go where it wants to.
pub fn refused_destination(
    seen: &Seen,
    project: &AppProject,
    target: &Target,
    environment: &Environment,
) -> Option<Problem> {
    let wanted = &seen.spec.destination;
    let destination = Destination {
        server: &target.server,
        name: &target.name,
        namespace: wanted.namespace(),
    };
    let name = seen.spec.project();
    let scoped = project.spec.permit_only_project_scoped_clusters == Some(true);
    let hint = if !project.spec.permits_destination(destination) {
        "add them to the project's destinations"
    } else if scoped && !environment.has_own_cluster(name, target) {
        "the project permits only clusters of its own, so the cluster's Secret must name it in `project`"
    } else {
        return None;
    };
    let server = match wanted.name() {
        Some(_) => &target.name,
        None => &target.server,
    };
    Some((
        ConditionType::InvalidSpecError,
        format!(
            "application destination server '{server}' and namespace '{}' do not match any of the allowed destinations in project \
             '{name}': {hint}",
            wanted.namespace()
        ),
    ))
}
