//! Whether an application may read what it asks for: pure, and the only place that says yes.
//!
//! A path is allowed when a glob of the application's project and one of this agent's own bounds both match it in full, after it
//! was found to be in the one form that no server rewrites ([`SecretPath`]). Without either list nothing is allowed.

mod path;
mod pattern;
#[cfg(test)]
mod tests;

use api::placeholder::PathForm;
use bus::message::project::Project;
use bus::message::secret::{Question, Reference, Refusal, RefusalReason};
use bus::{AppId, ClusterId, Generation};

pub use path::{PathProblem, SecretPath};
pub use pattern::{Bounds, PatternProblem};

use self::pattern::Names;

/// What is desired of an application, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredApp {
    pub app: AppId,
    pub generation: Generation,
    pub project: String,
    /// The destination's namespace; may be empty.
    pub namespace: String,
}

/// A reference that may be read, at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    pub reference: Reference,
    pub place: Place,
}

/// Where a reference is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    At(SecretPath),
    /// Its store knows which path of its API is meant; only one of these may be read.
    Meant {
        short: SecretPath,
        among: Vec<SecretPath>,
    },
}

/// Judges a question by `cluster`'s applier: all of its references, in their order, or why not.
///
/// `desired` and `project` are the agent's own knowledge, not what the question says.
pub fn judge(
    question: &Question,
    cluster: &ClusterId,
    desired: Option<&DesiredApp>,
    project: Option<&Project>,
    bounds: &Bounds,
) -> Result<Vec<Allowed>, Refusal> {
    let judged = judge_each(question, cluster, desired, project, bounds)?;
    let mut allowed = Vec::with_capacity(judged.len());
    let mut forbidden = Vec::new();
    let mut why = String::new();
    for (reference, judged) in question.references.iter().zip(judged) {
        match judged {
            Ok(one) => allowed.push(one),
            Err(problem) => {
                if forbidden.is_empty() {
                    why = problem;
                }
                forbidden.push(reference.clone());
            }
        }
    }
    if forbidden.is_empty() {
        return Ok(allowed);
    }
    if forbidden.len() > 1 {
        why = format!("{why} (and {} more references)", forbidden.len() - 1);
    }
    Err(Refusal::new(RefusalReason::Forbidden, why, forbidden))
}

/// Judges each reference by itself, in their order: where it may be read, or why it may not. Refused as a whole where the question doesn't
/// fit what is known of its application.
pub fn judge_each(
    question: &Question,
    cluster: &ClusterId,
    desired: Option<&DesiredApp>,
    project: Option<&Project>,
    bounds: &Bounds,
) -> Result<Vec<Result<Allowed, String>>, Refusal> {
    let desired = fits_desired(question, cluster, desired)?;
    let project = project
        .filter(|project| project.name == desired.project)
        .ok_or_else(|| {
            not_desired(format!(
                "project `{}` of application {} is not known here yet",
                desired.project, question.app
            ))
        })?;
    let names = Names {
        project: &desired.project,
        namespace: &desired.namespace,
        app: question.app.name(),
        cluster: cluster.as_str(),
    };
    let judged = question.references.iter().map(|reference| {
        let place = may_read(reference, &names, project, bounds)?;
        Ok(Allowed {
            reference: reference.clone(),
            place,
        })
    });
    Ok(judged.collect())
}

/// An applier resolves also what it released before: an older generation of a present application is fine, a newer one is not
/// known yet.
fn fits_desired<'a>(
    question: &Question,
    cluster: &ClusterId,
    desired: Option<&'a DesiredApp>,
) -> Result<&'a DesiredApp, Refusal> {
    if question.cluster != *cluster {
        return Err(Refusal::new(
            RefusalReason::Forbidden,
            format!(
                "the request is from cluster `{}`, this agent answers `{cluster}`",
                question.cluster
            ),
            Vec::new(),
        ));
    }
    let desired = desired
        .filter(|desired| desired.app == question.app)
        .ok_or_else(|| {
            not_desired(format!(
                "application {} is not desired in cluster `{cluster}`, as far as is known here",
                question.app
            ))
        })?;
    if question.generation > desired.generation {
        return Err(not_desired(format!(
            "generation {} of application {} is not known here yet, {} is",
            question.generation, question.app, desired.generation
        )));
    }
    Ok(desired)
}

fn may_read(
    reference: &Reference,
    names: &Names<'_>,
    project: &Project,
    bounds: &Bounds,
) -> Result<Place, String> {
    let path = SecretPath::parse(&reference.path)
        .map_err(|problem| format!("a reference's path is refused: {problem}"))?;
    if reference.key.chars().any(char::is_control) {
        return Err(format!(
            "a reference to path `{path}` has a key with control characters"
        ));
    }
    if reference.version == Some(0) {
        return Err(format!(
            "version 0 of path `{path}` cannot exist: versions begin with 1"
        ));
    }
    match reference.form {
        PathForm::Api | PathForm::Ciphertext => {
            allowed_path(&path, names, project, bounds).map(|()| Place::At(path))
        }
        PathForm::Short => {
            let (mut among, mut problems) = (Vec::new(), Vec::new());
            for meaning in meanings(&path) {
                match allowed_path(&meaning, names, project, bounds) {
                    Ok(()) => among.push(meaning),
                    Err(problem) => problems.push(problem),
                }
            }
            if among.is_empty() {
                // Of the likeliest meaning.
                return Err(problems.swap_remove(0));
            }
            Ok(Place::Meant { short: path, among })
        }
    }
}

/// What `kv/team/shop` may be in a store's API, the likeliest first: `data` comes behind the mount, which a path doesn't tell, or it is
/// that already.
fn meanings(path: &SecretPath) -> Vec<SecretPath> {
    let text = path.as_str();
    let with_data = text.match_indices('/').filter_map(|(at, _)| {
        SecretPath::parse(&format!("{}/data{}", &text[..at], &text[at..])).ok()
    });
    with_data.chain([path.clone()]).collect()
}

fn allowed_path(
    path: &SecretPath,
    names: &Names<'_>,
    project: &Project,
    bounds: &Bounds,
) -> Result<(), String> {
    if !pattern::any_matches(&project.secret_paths, names, path) {
        return Err(format!(
            "project `{}` does not allow path `{path}`: add a glob that matches it to the AppProject's annotation {}",
            project.name,
            api::annotations::SECRET_PATHS
        ));
    }
    if !bounds.allow(names, path) {
        return Err(format!(
            "this secrets-agent does not allow path `{path}`, though project `{}` does: widen its --allow-paths",
            project.name
        ));
    }
    Ok(())
}

fn not_desired(message: String) -> Refusal {
    Refusal::new(RefusalReason::NotDesired, message, Vec::new())
}
