//! Publishing: desired states by compare-and-set, and up to where branches were looked at.

use std::sync::Arc;

use bus::message::condition::ConditionType;
use bus::message::desired::{Cause, Deleted, Desired, DesiredState};
use bus::message::event::{Event, EventKind};
use bus::message::verified::Verified;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, BusError, ClusterId, Published, clock};
use lease::Lead;

use crate::index::{Candidate, Index, Prepared};
use crate::metrics::Metrics;
use crate::packs::Packs;
use crate::slot::RepoKey;

/// What became of a desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on the bus, or no longer needed.
    Done,
    /// Another look at the application decides; it comes by itself.
    Later,
    /// It should be tried again.
    Failed,
}

#[derive(Clone)]
pub struct Publisher {
    pub index: Arc<Index>,
    pub bus: Bus,
    pub metrics: Arc<Metrics>,
    pub lead: Lead,
}

impl Publisher {
    /// Publishes what an application should be: `packs` are those of all that it is made from.
    pub async fn present(
        &self,
        key: &RepoKey,
        candidate: &Candidate,
        cause: Cause,
        packs: &[Packs],
    ) -> Sent {
        let desired = match self.index.prepare(key, candidate, cause, packs) {
            Prepared::Publish(desired) => desired,
            Prepared::Nothing => return Sent::Done,
            Prepared::Changed => return Sent::Later,
        };
        let published = self.publish(&desired).await;
        let (cause, hard) = match &desired.state {
            DesiredState::Present(present) => (present.trigger.cause, present.trigger.hard),
            DesiredState::Deleted(_) => (cause, false),
        };
        if published {
            self.metrics.published(cause);
        } else if hard || cause == Cause::Again {
            self.index
                .force(&candidate.id, if hard { Cause::Refresh } else { cause });
        }
        self.index.ended(&candidate.id, desired.generation);
        if published { Sent::Done } else { Sent::Failed }
    }

    /// Publishes that an application should be gone. False if it should be tried again.
    pub async fn deleted(&self, id: &AppId, cluster: &ClusterId, deleted: Deleted) -> bool {
        let desired = self.index.prepare_deletion(id, cluster, deleted);
        self.publish(&desired).await
    }

    async fn publish(&self, desired: &Desired) -> bool {
        let Desired {
            app,
            cluster,
            generation,
            ..
        } = desired;
        if !self.lead.holds() {
            tracing::warn!(%app, %generation, "not published: this watcher doesn't lead now");
            return false;
        }
        let subject = subject::desired(cluster, app);
        let stored = self
            .bus
            .publish_generation(Stream::Desired, &subject, desired)
            .await;
        match stored {
            Ok(Published::Stored(_)) => {
                self.index.desired(desired);
                self.index.problem(app, None);
                self.tell(desired).await;
                true
            }
            Ok(Published::Outdated(newer)) => {
                tracing::info!(%app, %generation, %newer, "a newer desired state is there: dropping ours");
                self.index.outdated(app, newer);
                // Whether the newer one is what we want is looked at when the watch delivers it; ours was dropped.
                true
            }
            Err(error @ BusError::TooLarge { .. }) => {
                self.index.problem(
                    app,
                    Some((
                        ConditionType::InvalidSpecError,
                        format!("the specification can't be published: {error}. Move large values into files"),
                    )),
                );
                true
            }
            Err(error) => {
                tracing::warn!(%app, error = &error as &dyn std::error::Error, "publishing failed; trying again");
                false
            }
        }
    }

    async fn tell(&self, desired: &Desired) {
        let message = match &desired.state {
            DesiredState::Present(present) => {
                let revisions = present.sources.iter().map(|source| short(&source.revision));
                format!(
                    "{} should be at {} ({:?})",
                    desired.app,
                    revisions.collect::<Vec<_>>().join(", "),
                    present.trigger.cause
                )
            }
            DesiredState::Deleted(deleted) => format!(
                "{} should be gone from {} ({:?})",
                desired.app, desired.cluster, deleted.cascade
            ),
        };
        let mut event = Event::new(
            &desired.app,
            &desired.cluster,
            EventKind::DesiredPublished,
            message,
        )
        .generation(desired.generation);
        if let DesiredState::Present(present) = &desired.state
            && let Some(source) = present.sources.first()
        {
            event = event.revision(source.revision.clone());
        }
        self.bus.event(&event).await;
    }

    /// Says up to which commit a branch's applications were looked at.
    pub async fn verified(&self, repo_url: &str, target: &str, revision: &str) -> bool {
        if !self.lead.holds() {
            return false;
        }
        let verified = Verified {
            repo_url: repo_url.to_owned(),
            target_revision: target.to_owned(),
            revision: revision.to_owned(),
            time: clock::now_ms(),
        };
        let key = subject::branch(repo_url, target);
        match self.bus.put(Bucket::Verified, &key, &verified).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "can't say what was verified; trying again"
                );
                false
            }
        }
    }
}

/// A commit's or digest's beginning; versions whole.
fn short(revision: &str) -> &str {
    let hex = revision.strip_prefix("sha256:").unwrap_or(revision);
    let is_hex = hex.len() >= 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { &hex[..8] } else { revision }
}
