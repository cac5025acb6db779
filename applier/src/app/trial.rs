//! A sync that only says what it would do: the server's own dry run of every object, beside the task. Nothing is written, not even
//! the record; what came of it is shown until something is released.

use std::collections::HashMap;

use bus::Outcome;
use bus::message::command::Command;
use bus::message::diff::{Answer, Difference};
use bus::message::event::{Event, EventKind};
use bus::message::state::{Operation, OperationPhase, ReleaseCause, ResourceResult, ResultStatus};
use bus::{ReleaseId, clock};
use tokio::sync::oneshot;
use tokio::task::JoinError;

use super::App;
use super::release::begun;
use crate::diff::{self, Comparison};
use crate::object::{Key, Phase};

/// A dry run that ended.
pub(super) struct Tried {
    operation: Operation,
    command: Command,
    done: oneshot::Sender<Outcome>,
}

/// What is tried: the objects of these paths, or all of them.
pub(super) struct Asked {
    pub(super) prune: bool,
    pub(super) resources: Vec<String>,
}

impl App {
    /// Begins a dry run, or says why there can't be one.
    pub(super) fn try_out(
        &mut self,
        asked: Asked,
        command: Command,
        done: oneshot::Sender<Outcome>,
    ) {
        let comparison = match self.prepare_diff(None) {
            Ok(comparison) => comparison,
            Err(why) => {
                self.refuse_command(&command, &why);
                // Nobody may wait for it any more, when the process drains.
                let _ = done.send(Outcome::Done);
                return;
            }
        };
        let ctx = self.ctx.clone();
        let last = self.record.as_ref().map_or(0, |record| record.release.0);
        let started = clock::now_ms();
        let trial = async move {
            let answer = diff::differences(&ctx, &comparison).await;
            let cause = ReleaseCause::from_command(&command);
            let mut operation = Operation {
                finished: Some(clock::now_ms()),
                dry_run: true,
                ..begun(&comparison.target, ReleaseId(last), 0, cause, started)
            };
            match answer {
                Ok(Answer::Compared(found)) => {
                    operation.results = results(&comparison, &asked, &found.objects);
                    (operation.phase, operation.message) = summary(&operation.results);
                    if !found.omitted.is_empty() {
                        operation.message = format!(
                            "{}; beside these, {} objects too large to be told of differ",
                            operation.message,
                            found.omitted.len()
                        );
                    }
                }
                Ok(Answer::Refused { message }) | Err(message) => {
                    operation.phase = OperationPhase::Error;
                    operation.message = format!("dry run: {message}");
                }
            }
            Tried {
                operation,
                command,
                done,
            }
        };
        self.trials.spawn(trial);
    }

    /// Shows and tells what came of a dry run.
    pub(super) fn tried(&mut self, tried: Result<Tried, JoinError>) {
        let Tried {
            operation,
            command,
            done,
        } = match tried {
            Ok(tried) => tried,
            // The supervisor ends the process by it.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        let event = Event::new(
            &self.id,
            &self.ctx.id,
            EventKind::ReleaseTried,
            format!("{} (by {})", operation.message, command.user),
        );
        self.ctx.publisher.event(
            event
                .generation(operation.generation)
                .user(&command.user)
                .detail("command", command.id),
        );
        if self.running.is_none() {
            self.trial = Some(operation);
        }
        self.changed();
        let _ = done.send(Outcome::Done);
    }
}

/// What would become of each object. Hooks aren't tried: whether they succeed only running them says.
fn results(comparison: &Comparison, asked: &Asked, found: &[Difference]) -> Vec<ResourceResult> {
    let found: HashMap<String, &Difference> = found.iter().map(|one| (path(one), one)).collect();
    let is_about = |key: &Key| {
        let named = &asked.resources;
        named.is_empty() || named.iter().any(|one| key.is_named(one))
    };
    let members = comparison.target.manifests.iter();
    let members = members
        .filter(|manifest| manifest.hook.is_none())
        .map(|manifest| {
            let (status, message) = match found.get(&manifest.key.path()) {
                None => (ResultStatus::Synced, "unchanged (dry run)".to_owned()),
                Some(Difference {
                    error: Some(error), ..
                }) => (ResultStatus::SyncFailed, error.clone()),
                Some(Difference { live: None, .. }) => {
                    (ResultStatus::Synced, "created (dry run)".to_owned())
                }
                Some(_) => (ResultStatus::Synced, "configured (dry run)".to_owned()),
            };
            (&manifest.key, &*manifest.version, status, message)
        });
    let leaving = comparison.leaving.iter().map(|(key, version, _)| {
        let (status, message) = if asked.prune {
            (ResultStatus::Pruned, "pruned (dry run)")
        } else {
            (ResultStatus::PruneSkipped, "ignored (requires pruning)")
        };
        (key, &**version, status, message.to_owned())
    });
    members
        .chain(leaving)
        .filter(|(key, ..)| is_about(key))
        .map(|(key, version, status, message)| ResourceResult {
            group: key.group.to_string(),
            version: version.to_owned(),
            kind: key.kind.to_string(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            status,
            message,
            phase: Phase::Sync.as_str().to_owned(),
            hook_phase: None,
        })
        .collect()
}

fn path(one: &Difference) -> String {
    format!("{}/{}/{}/{}", one.group, one.kind, one.namespace, one.name)
}

/// How it went, and in a sentence.
fn summary(results: &[ResourceResult]) -> (OperationPhase, String) {
    let count = |is: &dyn Fn(&ResourceResult) -> bool| results.iter().filter(|one| is(one)).count();
    let says = |word: &'static str| {
        move |one: &ResourceResult| {
            one.status != ResultStatus::SyncFailed && one.message.starts_with(word)
        }
    };
    let failed = count(&|one| one.status == ResultStatus::SyncFailed);
    let message = format!(
        "dry run, nothing was changed: {} would be created, {} changed, {} deleted, {} stay as they are, {failed} would fail",
        count(&says("created")),
        count(&says("configured")),
        count(&|one| one.status == ResultStatus::Pruned),
        count(&says("unchanged")) + count(&|one| one.status == ResultStatus::PruneSkipped),
    );
    let phase = if failed == 0 {
        OperationPhase::Succeeded
    } else {
        OperationPhase::Failed
    };
    (phase, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: ResultStatus, message: &str) -> ResourceResult {
        ResourceResult {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: "shop".to_owned(),
            name: "a".to_owned(),
            status,
            message: message.to_owned(),
            phase: "Sync".to_owned(),
            hook_phase: None,
        }
    }

    #[test]
    fn a_dry_run_says_in_a_sentence_what_would_be_done() {
        let (phase, message) = summary(&[
            result(ResultStatus::Synced, "created (dry run)"),
            result(ResultStatus::Synced, "unchanged (dry run)"),
            result(ResultStatus::PruneSkipped, "ignored (requires pruning)"),
        ]);
        assert_eq!(phase, OperationPhase::Succeeded);
        assert!(
            message.contains(
                "1 would be created, 0 changed, 0 deleted, 2 stay as they are, 0 would fail"
            ),
            "{message}"
        );
        let (phase, _) = summary(&[result(ResultStatus::SyncFailed, "created wrongly")]);
        assert_eq!(phase, OperationPhase::Failed);
    }
}
