//! What the agent knows by itself of its cluster: the desired applications and the projects. Requests are judged by this, not
//! by what they say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::message::desired::{Desired, DesiredState};
use bus::message::project::Project;
use bus::service::Readiness;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, BusError, ClusterId, Generation, Update};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::policy::DesiredApp;
use crate::uses::Uses;

/// How long a request waits for what its applier may have heard of first.
const LAG: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Known {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    apps: HashMap<AppId, DesiredApp>,
    projects: HashMap<String, Arc<Project>>,
}

impl Known {
    /// What is known of an application and its project, once `generation` of it is, or after a short wait.
    pub(crate) async fn of(
        &self,
        app: &AppId,
        generation: Generation,
    ) -> (Option<DesiredApp>, Option<Arc<Project>>) {
        let caught_up = async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                // Before looking, so that no change falls between the look and the wait.
                changed.as_mut().enable();
                let (desired, project) = self.look(app);
                if project.is_some()
                    && desired.is_some_and(|desired| desired.generation >= generation)
                {
                    return;
                }
                changed.await;
            }
        };
        // Not knowing is an answer too: the caller judges whatever there is by then.
        let _ = tokio::time::timeout(LAG, caught_up).await;
        self.look(app)
    }

    /// The project of an application that is desired here.
    pub(crate) fn project_of(&self, app: &AppId) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Some(state.apps.get(app)?.project.clone())
    }

    fn look(&self, app: &AppId) -> (Option<DesiredApp>, Option<Arc<Project>>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let desired = state.apps.get(app).cloned();
        let project = desired
            .as_ref()
            .and_then(|desired| state.projects.get(&desired.project).cloned());
        (desired, project)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }
}

/// Follows DESIRED of one cluster.
pub(crate) async fn follow_desired(
    bus: Bus,
    cluster: ClusterId,
    known: Arc<Known>,
    uses: Arc<Uses>,
    readiness: Readiness,
    token: CancellationToken,
) -> Result<(), BusError> {
    let mut watch = bus.watch_stream::<Desired>(Stream::Desired, &subject::desired_of(&cluster));
    while let Some(update) = token.run_until_cancelled(watch.next()).await {
        match update {
            Update::Put(stored) => take(stored.value, &cluster, &known, &uses),
            Update::Deleted { subject } => {
                if let Some((_, app)) = subject::parse_application(&subject) {
                    forget(&app, &known, &uses);
                }
            }
            Update::Ready => readiness.ready(),
            Update::Unreadable { subject, error } => {
                tracing::warn!(subject, error, "an unreadable desired state is ignored");
            }
        }
    }
    Ok(())
}

/// Follows the bucket of projects.
pub(crate) async fn follow_projects(
    bus: Bus,
    known: Arc<Known>,
    readiness: Readiness,
    token: CancellationToken,
) -> Result<(), BusError> {
    let mut watch = bus.watch_bucket::<Project>(Bucket::Projects, ">");
    while let Some(update) = token.run_until_cancelled(watch.next()).await {
        match update {
            Update::Put(stored) => {
                let project = Arc::new(stored.value);
                known.change(|state| {
                    state.projects.insert(project.name.clone(), project);
                });
            }
            Update::Deleted { subject } => {
                if let Some(name) = Bucket::Projects.key(&subject) {
                    let name = subject::unescape(name);
                    known.change(|state| {
                        state.projects.remove(&name);
                    });
                }
            }
            Update::Ready => readiness.ready(),
            Update::Unreadable { subject, error } => {
                tracing::warn!(subject, error, "an unreadable project is ignored");
            }
        }
    }
    Ok(())
}

fn take(desired: Desired, cluster: &ClusterId, known: &Known, uses: &Uses) {
    if desired.cluster != *cluster {
        return;
    }
    match desired.state {
        DesiredState::Present(present) => {
            let namespace = present
                .spec
                .destination
                .namespace
                .clone()
                .unwrap_or_default();
            let app = DesiredApp {
                app: desired.app.clone(),
                generation: desired.generation,
                project: present.spec.project().to_owned(),
                namespace,
            };
            known.change(|state| {
                state.apps.insert(desired.app, app);
            });
        }
        DesiredState::Deleted(deleted) => {
            uses.remove(&desired.app);
            known.change(|state| match state.apps.get_mut(&desired.app) {
                // Its hooks for the deletion may still ask, as what it was last: the project that it had then was judged.
                Some(app) if deleted.requested.is_some() => app.generation = desired.generation,
                _ => {
                    state.apps.remove(&desired.app);
                }
            });
        }
    }
}

fn forget(app: &AppId, known: &Known, uses: &Uses) {
    known.change(|state| {
        state.apps.remove(app);
    });
    uses.remove(app);
}

#[cfg(test)]
mod tests {
    use bus::message::desired::{Cascade, Deleted};

    use super::*;

    fn after(deleted: Deleted, known_before: bool) -> Option<DesiredApp> {
        let app = AppId::new("argocd", "shop").unwrap();
        let known = Known::default();
        if known_before {
            let before = DesiredApp {
                app: app.clone(),
                generation: Generation(1),
                project: "web".to_owned(),
                namespace: "shop".to_owned(),
            };
            known.change(|state| {
                state.apps.insert(app.clone(), before);
            });
        }
        let cluster = ClusterId::in_cluster();
        let desired = Desired {
            app: app.clone(),
            cluster: cluster.clone(),
            generation: Generation(2),
            state: DesiredState::Deleted(deleted),
        };
        take(desired, &cluster, &known, &Uses::default());
        known.look(&app).0
    }

    fn asked_for() -> Deleted {
        Deleted {
            requested: Some(1),
            ..Deleted::new("u", Cascade::Foreground)
        }
    }

    #[test]
    fn hooks_of_a_deletion_ask_as_what_the_application_was_last() {
        let kept = after(asked_for(), true).unwrap();
        assert_eq!((kept.generation, &*kept.project), (Generation(2), "web"));
    }

    #[test]
    fn an_application_that_left_or_was_never_known_gets_no_answer() {
        let left = Deleted::new("u", Cascade::Foreground);
        assert!(after(left, true).is_none());
        assert!(after(asked_for(), false).is_none());
    }
}
