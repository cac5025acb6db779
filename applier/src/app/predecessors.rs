//! `towline.dev/depends-on`: a release begins when the applications that the annotation names are Healthy at the generations that
//! were desired of them by then. What is begun goes on, and ways back don't wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::annotations::DEPENDS_ON;
use bus::message::event::{Event, EventKind};
use bus::message::predecessors::Predecessors;
use bus::message::state::{Operation, OperationPhase, ReleaseCause};
use bus::{AppId, Generation, ReleaseId};

use super::App;
use super::release::{attempt_of, begun, revision_words};
use super::target::Target;
use crate::store::{Ended, Failure, Record};

/// A release that hasn't begun yet.
pub(crate) struct Awaiting {
    target: Arc<Target>,
    /// The command, if a person asked for it.
    request: Option<String>,
    cause: ReleaseCause,
    since: u64,
    /// The generations at which the others have to be Healthy.
    wanted: BTreeMap<AppId, Generation>,
    /// What for, as a list of sentences without a subject.
    says: String,
}

impl Awaiting {
    /// As the operation that it will be.
    fn operation(&self, release: ReleaseId, phase: OperationPhase, message: String) -> Operation {
        Operation {
            phase,
            message,
            ..begun(&self.target, release, 0, self.cause.clone(), self.since)
        }
    }
}

impl App {
    /// Whether a release of the target waits for other applications; which is told when it begins to.
    pub(super) fn waits_for_others(&mut self, target: &Arc<Target>) -> bool {
        let before = self.awaiting.take();
        if !target.present.annotations.contains_key(DEPENDS_ON)
            || self.held_at().is_some()
            || self.has_begun(target)
        {
            return false;
        }
        let request = self.requests.front();
        let id = request.map(|request| request.id.clone());
        let known = before
            .filter(|known| known.target.generation == target.generation && known.request == id);
        let first = known.is_none();
        let mut awaiting = known.unwrap_or_else(|| Awaiting {
            target: target.clone(),
            cause: request.map_or(ReleaseCause::Automated, |request| request.cause.clone()),
            request: id,
            since: Self::now(),
            wanted: BTreeMap::new(),
            says: String::new(),
        });
        let row = self.predecessors.as_ref();
        let Some(says) = missing(row, target.generation, &mut awaiting.wanted) else {
            return false;
        };
        if first {
            self.tell_waiting(&awaiting, &says);
        }
        awaiting.says = says;
        self.awaiting = Some(awaiting);
        self.changed();
        true
    }

    fn tell_waiting(&self, awaiting: &Awaiting, says: &str) {
        let mut event = Event::new(
            &self.id,
            &self.ctx.id,
            EventKind::ReleaseWaiting,
            format!(
                "the release of {} waits: {says}",
                revision_words(&awaiting.target)
            ),
        )
        .generation(awaiting.target.generation);
        if let Some(user) = awaiting.cause.user() {
            event = event.user(user);
        }
        self.ctx.publisher.event(event);
    }

    /// Whether a release of the target was begun before, and is to go on.
    fn has_begun(&self, target: &Target) -> bool {
        let asked = self.requests.front().map(|request| &request.cause);
        self.record
            .as_ref()
            .is_some_and(|record| attempt_of(record, target, asked).started.is_some())
    }

    /// What is shown of a release that waits.
    pub(super) fn awaited_operation(&self) -> Option<Operation> {
        let awaiting = self.awaiting.as_ref()?;
        let message = format!("waiting: {}", awaiting.says);
        Some(awaiting.operation(self.next_release(), OperationPhase::Running, message))
    }

    fn next_release(&self) -> ReleaseId {
        let last = self.record.as_ref().map_or(0, |record| record.release.0);
        ReleaseId(last + 1)
    }

    /// A person ends a release that waits: it isn't begun until something newer comes, or somebody asks. Whether there was one.
    pub(super) async fn end_waiting(&mut self, why: &str, user: &str) -> bool {
        let Some(awaiting) = self.awaiting.take() else {
            return false;
        };
        let message = format!("{why}; it waited: {}", awaiting.says);
        let (target, id, now) = (awaiting.target.clone(), self.next_release(), Self::now());
        let record = self
            .record
            .get_or_insert_with(|| Record::new(self.id.clone(), target.present.uid.clone()));
        record.release = id;
        record.failure = Some(Failure {
            generation: target.generation,
            attempts: 1,
            message: message.clone(),
            time: now,
            unhealthy: false,
            early: false,
            rotated: false,
            ended: Some(Ended::Terminated),
        });
        record.operation = Some(Operation {
            finished: Some(now),
            ..awaiting.operation(id, OperationPhase::Failed, message.clone())
        });
        self.save(None).await;
        self.say(
            EventKind::ReleaseFailed,
            format!("release {id} did not begin: {message}"),
            &target,
            id,
            Some(user),
        );
        true
    }
}

/// What a release of a generation still waits for. Each application counts at the generation that was desired of it when it was
/// first looked at, which `wanted` keeps.
fn missing(
    row: Option<&Predecessors>,
    generation: Generation,
    wanted: &mut BTreeMap<AppId, Generation>,
) -> Option<String> {
    let Some(row) = row.filter(|row| row.generation >= generation) else {
        return Some(format!(
            "the watcher has not said yet how the applications are that annotation {DEPENDS_ON} names"
        ));
    };
    if let Some(problem) = &row.problem {
        return Some(problem.clone());
    }
    let missing: Vec<String> = row
        .on
        .iter()
        .filter_map(|other| {
            if let Some(desired) = other.desired {
                wanted.entry(other.app.clone()).or_insert(desired);
            }
            match (wanted.get(&other.app), other.healthy) {
                (Some(wanted), Some(healthy)) if healthy >= *wanted => None,
                (Some(_), Some(_)) => Some(format!(
                    "{} is Healthy at an earlier generation than is desired of it",
                    other.app
                )),
                _ => Some(format!("{} {}", other.app, other.says)),
            }
        })
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

#[cfg(test)]
mod tests {
    use bus::ClusterId;
    use bus::message::predecessors::Predecessor;

    use super::*;

    fn row(of: u64, on: &[(&str, Option<u64>, Option<u64>)]) -> Predecessors {
        Predecessors {
            app: AppId::new("argocd", "web").unwrap(),
            cluster: ClusterId::in_cluster(),
            generation: Generation(of),
            problem: None,
            on: on
                .iter()
                .map(|(name, desired, healthy)| Predecessor {
                    app: AppId::new("argocd", name).unwrap(),
                    desired: desired.map(Generation),
                    healthy: healthy.map(Generation),
                    says: "is Progressing".to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn a_release_waits_until_all_are_healthy_at_what_was_desired_when_it_began_to_wait() {
        let mut wanted = BTreeMap::new();
        let mut waits = |row: &Predecessors| missing(Some(row), Generation(5), &mut wanted);
        let said = waits(&row(
            5,
            &[("db", Some(7), None), ("cache", Some(3), Some(3))],
        ))
        .unwrap();
        assert_eq!(said, "argocd/db is Progressing");
        // What comes to be desired later isn't waited for, and is enough.
        assert_eq!(
            waits(&row(
                5,
                &[("db", Some(8), Some(6)), ("cache", Some(4), Some(3))]
            )),
            Some("argocd/db is Healthy at an earlier generation than is desired of it".to_owned())
        );
        assert_eq!(
            waits(&row(
                5,
                &[("db", Some(9), Some(7)), ("cache", Some(4), Some(4))]
            )),
            None
        );
    }

    #[test]
    fn what_is_said_of_an_earlier_generation_is_not_enough() {
        let mut wanted = BTreeMap::new();
        let healthy = row(4, &[("db", Some(1), Some(1))]);
        assert!(missing(Some(&healthy), Generation(5), &mut wanted).is_some());
        assert!(missing(None, Generation(5), &mut wanted).is_some());
        assert!(wanted.is_empty());
        let newer = row(6, &[("db", Some(2), Some(2))]);
        assert_eq!(missing(Some(&newer), Generation(5), &mut wanted), None);
    }

    #[test]
    fn what_is_not_published_yet_counts_from_its_first_generation() {
        let mut wanted = BTreeMap::new();
        let mut waits = |row: &Predecessors| missing(Some(row), Generation(5), &mut wanted);
        assert!(waits(&row(5, &[("db", None, None)])).is_some());
        assert!(waits(&row(5, &[("db", Some(3), None)])).is_some());
        assert_eq!(waits(&row(5, &[("db", Some(4), Some(3))])), None);
    }

    #[test]
    fn a_circle_is_waited_for_in_vain_and_says_so() {
        let mut circle = row(5, &[("db", Some(1), Some(1))]);
        circle.problem = Some("argocd/web waits for itself".to_owned());
        let said = missing(Some(&circle), Generation(5), &mut BTreeMap::new());
        assert_eq!(said.as_deref(), Some("argocd/web waits for itself"));
    }
}
