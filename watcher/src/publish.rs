//! Publishing: desired states by compare-and-set, and up to where branches were looked at.

use std::sync::Arc;

use bus::message::condition::ConditionType;
use bus::message::desired::{Cause, Deleted, Desired, DesiredState};
use bus::message::event::{Event, EventKind};
use bus::message::verified::Verified;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, BusError, ClusterId, Published, clock};
use git2::Oid;

use crate::index::{Candidate, Index, RepoKey};
use crate::metrics::Metrics;
use crate::packs::Packs;

#[derive(Clone)]
pub struct Publisher {
    pub index: Arc<Index>,
    pub bus: Bus,
    pub metrics: Arc<Metrics>,
}

impl Publisher {
    /// Publishes what an application should be. False if it should be tried again.
    pub async fn present(
        &self,
        key: &RepoKey,
        candidate: &Candidate,
        cause: Cause,
        packs: &Packs,
    ) -> bool {
        let Some(desired) = self.index.prepare(key, candidate, cause, packs) else {
            return true;
        };
        let published = self.publish(&desired).await;
        let hard = matches!(&desired.state, DesiredState::Present(present) if present.trigger.hard);
        if published {
            self.metrics.published(cause);
        } else if hard || cause == Cause::Again {
            self.index
                .force(&candidate.id, if hard { Cause::Refresh } else { cause });
        }
        published
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
                let source = present.sources.first();
                let revision = source.map_or("", |source| &source.revision);
                let short = revision.get(..8).unwrap_or(revision);
                format!(
                    "{} should be at {short} ({:?})",
                    desired.app, present.trigger.cause
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
    pub async fn verified(&self, repo_url: &str, target: &str, commit: Oid) -> bool {
        let verified = Verified {
            repo_url: repo_url.to_owned(),
            target_revision: target.to_owned(),
            revision: commit.to_string(),
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
