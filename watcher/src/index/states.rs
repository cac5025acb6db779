//! What the watcher says of each application.

use std::collections::HashMap;

use bus::message::condition::{Condition, ConditionType};
use bus::message::state::{SourceState, WatcherState};
use bus::{AppId, ClusterId, clock};

use super::{Index, Repo};
use crate::decide::{PublishedSource, State, waits_in_vain};
use crate::intent::{Intent, Problem};
use crate::needs::describe;
use crate::slot::{Needed, RepoKey, Slot, Source};
use crate::source::error::FetchError;
use crate::sources;

impl Index {
    /// The full state of an application; none when there is no such object.
    pub fn state(&self, id: &AppId) -> Option<WatcherState> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let order = inner.order_problem(id);
        let app = inner.apps.get_mut(id)?;
        let mut problems: Vec<Problem> = Vec::new();
        let mut cluster: Option<ClusterId> = None;
        match app.intent.as_ref()? {
            Intent::Wanted(wanted) => {
                cluster = Some(wanted.cluster.clone());
                problems.extend(wanted.warnings.iter().cloned());
                let failed = Failed {
                    repos: &inner.repos,
                };
                problems.extend(failed.sources(&wanted.sources));
                problems.extend(failed.needs(&app.needs));
            }
            Intent::Invalid(invalid) => problems.extend(invalid.iter().cloned()),
            Intent::Skipped | Intent::Deleting => {}
        }
        problems.extend(app.problem.iter().cloned());
        problems.extend(order);
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
        let record = cluster
            .as_ref()
            .and_then(|cluster| inner.renders.get(id)?.get(cluster));
        if let Some(said) = waits_in_vain(newest, record, app.rounds) {
            problems.push((ConditionType::ComparisonError, said.to_owned()));
        }
        let at: &[PublishedSource] = match newest.map(|it| &it.state) {
            Some(State::Present { sources, .. }) => sources,
            Some(State::Deleted(_)) | None => &[],
        };
        app.conditions = conditions(&app.conditions, &problems, clock::now_ms());
        let sources = app.seen.spec.sources().iter().enumerate();
        let sources = sources.map(|(number, source)| {
            // Another's, while the new sources weren't published yet.
            let at = at.get(number).filter(|at| {
                *at.repo_url == *source.repo_url && at.chart.as_deref() == source.chart()
            });
            let place = at.and_then(|at| at.place.as_ref());
            SourceState {
                repo_url: source.repo_url.clone(),
                target_revision: sources::target(source),
                revision: place.map(|place| place.id.to_string()),
                commit: at.and_then(|at| at.about.clone()),
            }
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

/// What could not be had.
struct Failed<'a> {
    repos: &'a HashMap<RepoKey, Repo>,
}

impl Failed<'_> {
    fn error(&self, slot: &Slot) -> Option<&FetchError> {
        self.repos
            .get(&slot.key)?
            .targets
            .get(&slot.target)?
            .error
            .as_ref()
    }

    fn sources(&self, sources: &[Source]) -> Vec<Problem> {
        let failed = sources.iter().enumerate().filter_map(|(number, source)| {
            let error = self.error(&source.slot)?;
            Some(if sources.len() > 1 {
                format!("spec.sources[{number}]: {}", error.told())
            } else {
                error.told()
            })
        });
        failed
            .map(|said| (ConditionType::ComparisonError, said))
            .collect()
    }

    fn needs(&self, needs: &[Needed]) -> Vec<Problem> {
        let failed = needs.iter().filter_map(|needed| match &needed.slot {
            Ok(slot) => {
                let error = self.error(slot)?;
                Some(format!("{}: {}", describe(&needed.need), error.told()))
            }
            Err(error) => Some(error.clone()),
        });
        failed
            .map(|said| (ConditionType::ComparisonError, said))
            .collect()
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
