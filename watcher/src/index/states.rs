//! What the watcher says of each application.

use bus::message::condition::{Condition, ConditionType};
use bus::message::state::{SourceState, WatcherState};
use bus::{AppId, ClusterId, clock};

use super::Index;
use crate::decide::State;
use crate::intent::{Intent, Problem};

impl Index {
    /// The full state of an application; none when there is no such object.
    pub fn state(&self, id: &AppId) -> Option<WatcherState> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let app = inner.apps.get_mut(id)?;
        let mut problems: Vec<Problem> = Vec::new();
        let mut cluster: Option<ClusterId> = None;
        match app.intent.as_ref()? {
            Intent::Wanted(wanted) => {
                cluster = Some(wanted.cluster.clone());
                problems.extend(wanted.warnings.iter().cloned());
                let target = app
                    .repo
                    .as_ref()
                    .and_then(|key| inner.repos.get(key))
                    .and_then(|repo| repo.targets.get(&wanted.target_revision));
                if let Some(error) = target.and_then(|target| target.error.as_ref()) {
                    problems.push((ConditionType::ComparisonError, error.to_string()));
                }
            }
            Intent::Invalid(invalid) => problems.extend(invalid.iter().cloned()),
            Intent::Skipped | Intent::Deleting => {}
        }
        problems.extend(app.problem.iter().cloned());
        let published = inner.published.get(id);
        // An application that can't be understood now is still where it was published.
        let cluster = cluster
            .or_else(|| published.and_then(|it| it.keys().next().cloned()))
            .or_else(|| {
                let target = inner.environment.target(&app.seen.spec.destination);
                target.ok().map(|target| target.id)
            });
        let newest = cluster
            .as_ref()
            .and_then(|cluster| published.and_then(|it| it.get(cluster)));
        let (revision, about) = match newest.map(|it| &it.state) {
            Some(State::Present { commit, about, .. }) => {
                (commit.map(|commit| commit.to_string()), about.clone())
            }
            Some(State::Deleted(_)) | None => (None, None),
        };
        app.conditions = conditions(&app.conditions, &problems, clock::now_ms());
        let sources = app.seen.spec.sources().iter().map(|source| SourceState {
            repo_url: source.repo_url.clone(),
            target_revision: source.target_revision.clone().unwrap_or_default(),
            revision: revision.clone(),
            commit: about.clone(),
        });
        Some(WatcherState {
            app: id.clone(),
            uid: app.seen.uid.to_string(),
            project: app.seen.spec.project().to_owned(),
            generation: newest.map(|it| it.generation),
            sources: sources.collect(),
            conditions: app.conditions.clone(),
            refreshed: app.refreshed.clone(),
            deleting: app.seen.deleting,
            cluster,
        })
    }
}

/// Conditions keep the time since when they hold.
fn conditions(before: &[Condition], problems: &[Problem], now: u64) -> Vec<Condition> {
    problems
        .iter()
        .map(|(kind, message)| {
            let new = Condition::new(*kind, message, now);
            before
                .iter()
                .find(|known| known.says(&new))
                .cloned()
                .unwrap_or(new)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_still_holds_keeps_its_time() {
        let problem = |text: &str| vec![(ConditionType::ComparisonError, text.to_owned())];
        let first = conditions(&[], &problem("a"), 1);
        assert_eq!(conditions(&first, &problem("a"), 2)[0].since, 1);
        assert_eq!(conditions(&first, &problem("b"), 2)[0].since, 2);
        assert!(conditions(&first, &[], 2).is_empty());
    }
}
