//! Deletions: what was published and should no longer be, and what was carried out and can be forgotten.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::message::state::ApplierState;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, BusError, ClusterId, Generation};
use futures::StreamExt;
use kube::Api;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::index::{Index, Presence};
use crate::publish::Publisher;
use crate::seen::Watched;

/// Applications that are looked at at the same time.
const TOGETHER: usize = 16;
/// What failed is tried again after this time.
const RETRY: Duration = Duration::from_secs(2);
/// A deletion that nobody reported as carried out is asked after this often: the report may have been missed.
const REMIND: Duration = Duration::from_mins(1);

pub struct Lifecycle {
    pub index: Arc<Index>,
    pub bus: Bus,
    pub publisher: Publisher,
    pub client: kube::Client,
    pub scope: crate::applications::Scope,
}

/// When to look at an application again.
type Later = Option<(AppId, Duration)>;

#[derive(Debug, thiserror::Error)]
enum LifecycleError {
    #[error("asking the API server for Application {0}")]
    Ask(AppId, #[source] kube::Error),
    #[error("reading the applier's state of {0}")]
    State(AppId, #[source] BusError),
    #[error("purging the deletion of {0}")]
    Purge(AppId, #[source] BusError),
    #[error("the deletion of {0} is purged by who leads, which isn't this watcher now")]
    Follows(AppId),
    #[error("publishing a deletion of {0}")]
    Publish(AppId),
}

impl Lifecycle {
    pub async fn run(self, token: CancellationToken) -> Result<(), Infallible> {
        let mut later: BTreeMap<AppId, Instant> = BTreeMap::new();
        loop {
            let soonest = later.values().min().copied();
            let mut now = std::collections::BTreeSet::new();
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                (waiting, _) = self.index.lifecycle.next() => now = waiting,
                () = until(soonest) => {}
            }
            let due = Instant::now();
            later.retain(|id, at| {
                let keep = *at > due && !now.contains(id);
                if !keep {
                    now.insert(id.clone());
                }
                keep
            });
            if !self.index.is_started() {
                later.extend(now.into_iter().map(|id| (id, due + RETRY)));
                continue;
            }
            let looked: Vec<Later> = futures::stream::iter(now)
                .map(|id| self.look(id))
                .buffer_unordered(TOGETHER)
                .collect()
                .await;
            let from = Instant::now();
            later.extend(
                looked
                    .into_iter()
                    .flatten()
                    .map(|(id, wait)| (id, from + wait)),
            );
        }
    }

    async fn look(&self, id: AppId) -> Later {
        match self.act(&id).await {
            Ok(true) => Some((id, REMIND)),
            Ok(false) => None,
            Err(error) => {
                tracing::warn!(app = %id, error = &error as &dyn std::error::Error, "trying again");
                Some((id, RETRY))
            }
        }
    }

    /// True while a deletion is on its way.
    async fn act(&self, id: &AppId) -> Result<bool, LifecycleError> {
        let mut gone = false;
        if self.index.presence(id) == Presence::Unknown && self.scope.covers(id.namespace()) {
            gone = self.is_gone(id).await?;
            if !gone {
                // Another selector's, or the watch is behind.
                return Ok(true);
            }
            self.index.application_gone(id);
        }
        for (cluster, deleted) in self.index.deletions(id, gone) {
            if !self.publisher.deleted(id, &cluster, deleted).await {
                return Err(LifecycleError::Publish(id.clone()));
            }
        }
        let mut waits = false;
        for (cluster, uid, generation) in self.index.deleted(id) {
            waits |= !self.purge(id, &cluster, &uid, generation).await?;
        }
        Ok(waits)
    }

    /// Whether the API server, asked by name, has no such object.
    async fn is_gone(&self, id: &AppId) -> Result<bool, LifecycleError> {
        let api: Api<Watched> = Api::namespaced(self.client.clone(), id.namespace());
        let found = api.get_metadata_opt(id.name()).await;
        let found = found.map_err(|error| LifecycleError::Ask(id.clone(), error))?;
        Ok(found.is_none())
    }

    /// Removes a deletion from the bus that its applier reports as carried out. False if it doesn't.
    async fn purge(
        &self,
        id: &AppId,
        cluster: &ClusterId,
        uid: &str,
        generation: Generation,
    ) -> Result<bool, LifecycleError> {
        if !self.publisher.lead.holds() {
            return Err(LifecycleError::Follows(id.clone()));
        }
        let done = self.index.is_reported(id, cluster, uid, generation)
            || self.is_carried_out(id, cluster, uid, generation).await?;
        if !done || !self.index.begin_purge(id, cluster, generation) {
            return Ok(false);
        }
        let purged = self
            .bus
            .purge(Stream::Desired, &subject::desired(cluster, id))
            .await;
        match purged {
            Ok(()) => {
                tracing::info!(app = %id, %cluster, "the deletion was carried out: its desired state is removed");
                self.index.purged(id, cluster);
                Ok(true)
            }
            Err(error) => {
                self.index.not_purged(id, cluster);
                Err(LifecycleError::Purge(id.clone(), error))
            }
        }
    }

    /// What the applier's state says, which lasts longer than its report.
    async fn is_carried_out(
        &self,
        id: &AppId,
        cluster: &ClusterId,
        uid: &str,
        generation: Generation,
    ) -> Result<bool, LifecycleError> {
        let key = subject::state("applier", Some(cluster), id);
        let state = self
            .bus
            .get::<ApplierState>(Bucket::State, &key)
            .await
            .map_err(|error| LifecycleError::State(id.clone(), error))?;
        Ok(state.is_some_and(|state| {
            state.value.deleted.as_deref() == Some(uid) && state.value.generation >= generation
        }))
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
