//! Keeps the `Application` objects in step with what is known: status, operation, refresh annotation, finalizer.
//!
//! What changes within a moment is written once, a few objects at a time; what fails is tried again, later each time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use bus::message::command::Command;
use bus::subject::{self, Bucket};
use bus::{AppId, Bus, BusError};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::command::publish;
use crate::declared::{Declared, version};
use crate::patch::{self, Ops, Patched, Written};
use crate::request;
use crate::status;
use crate::store::{Store, Subject};
use crate::view::Requested;

/// What changes within this time is written at once.
const SETTLE: Duration = Duration::from_millis(250);
/// Objects that are written at a time.
const AT_ONCE: usize = 8;
/// More applications than this that wait to be written are a crowd: those that move on anyway let the others go first.
const CROWD: usize = 64;
/// For so long at most.
const GIVES_WAY: Duration = Duration::from_secs(3);
const GIVES_WAY_STEP: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Our name in the object's managed fields.
const MANAGER: &str = "towline-monitor";

#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("building the status of {0}")]
    Build(AppId, #[source] serde_json::Error),
    #[error("patching Application {0}")]
    Patch(AppId, #[source] Box<kube::Error>),
    #[error("publishing the operation of {0}")]
    Publish(AppId, #[source] BusError),
    #[error("deleting the state of {0}")]
    Forget(AppId, #[source] BusError),
}

/// What a look at one application led to.
enum Outcome {
    /// It is as it should be, or the watch will tell when to look again.
    Settled(Option<Written>),
    /// Look again after this time.
    Later(Duration),
    /// Nothing is left of it.
    Gone,
}

pub(crate) struct Writer {
    pub(crate) store: Arc<Store>,
    pub(crate) bus: Bus,
    pub(crate) client: kube::Client,
}

/// When to look at an application, and how often that failed.
#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    /// When it changed since it was last written.
    since: Instant,
    failures: u32,
}

impl Due {
    fn after(wait: Duration) -> Self {
        let now = Instant::now();
        Self {
            at: now + wait,
            since: now,
            failures: 0,
        }
    }

    fn turn(&self, waiting: usize, now: Instant) -> Turn {
        if waiting > CROWD && now < self.since + GIVES_WAY {
            Turn::Polite
        } else {
            Turn::Own
        }
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Own,
    /// Many wait: what will be another soon by itself lets the others go first.
    Polite,
}

impl Writer {
    /// Writes until `stop` resolves; what is under way then is finished.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let mut due: HashMap<AppId, Due> = HashMap::new();
        let mut written: HashMap<AppId, Written> = HashMap::new();
        let mut busy: BTreeSet<AppId> = BTreeSet::new();
        let mut looks = FuturesUnordered::new();
        let writer = &self;
        tokio::pin!(stop);
        loop {
            let now = Instant::now();
            let ready: Vec<(AppId, Due)> = (due.iter())
                .filter(|(app, due)| due.at <= now && !busy.contains(*app))
                .take(AT_ONCE.saturating_sub(busy.len()))
                .map(|(app, due)| (app.clone(), *due))
                .collect();
            for (app, was) in ready {
                let turn = was.turn(due.len(), now);
                due.remove(&app);
                busy.insert(app.clone());
                let before = written.get(&app).cloned();
                looks.push(async move {
                    let outcome = writer.look(&app, before.as_ref(), turn).await;
                    (app, was, outcome)
                });
            }
            let waiting = due.iter().filter(|(app, _)| !busy.contains(*app));
            let next = (busy.len() < AT_ONCE)
                .then(|| waiting.map(|(_, due)| due.at).min())
                .flatten();
            tokio::select! {
                () = &mut stop => break,
                changed = self.store.changed() => {
                    for app in changed {
                        let soon = Due::after(SETTLE);
                        due.entry(app).and_modify(|due| due.at = due.at.min(soon.at)).or_insert(soon);
                    }
                }
                () = sleep_until(next), if next.is_some() => {}
                Some((app, was, outcome)) = looks.next() => {
                    busy.remove(&app);
                    match outcome {
                        Ok(Outcome::Settled(Some(now))) => {
                            written.insert(app, now);
                        }
                        Ok(Outcome::Settled(None)) => {}
                        Ok(Outcome::Gone) => {
                            written.remove(&app);
                        }
                        Ok(Outcome::Later(after)) => {
                            let later = Due { since: was.since, ..Due::after(after) };
                            due.entry(app).and_modify(|due| due.since = was.since).or_insert(later);
                        }
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(%app, error, "an Application can't be kept in step; trying again");
                            let after = RETRY.saturating_mul(1 << was.failures.min(5)).min(RETRY_MAX);
                            due.insert(app, Due { failures: was.failures + 1, ..Due::after(after) });
                        }
                    }
                }
            }
        }
        while looks.next().await.is_some() {}
    }

    async fn look(
        &self,
        app: &AppId,
        written: Option<&Written>,
        turn: Turn,
    ) -> Result<Outcome, WriteError> {
        let Some(subject) = self.store.subject(app) else {
            return Ok(Outcome::Gone);
        };
        let Some(declared) = subject.declared.clone() else {
            if subject.gone && subject.view.deleted.is_some() {
                self.forget(app, &subject).await?;
            }
            return Ok(Outcome::Settled(None));
        };
        if subject.view.observe || patch::lags(&declared, written) {
            return Ok(Outcome::Settled(None));
        }
        let farewell = patch::finalize(&declared, subject.view.deleted.as_deref());
        if !farewell.is_empty() {
            self.apply(app, &farewell).await?;
            return Ok(Outcome::Settled(None));
        }
        let now = bus::clock::now_ms();
        let mut ops = Ops::new();
        let mut subject = subject;
        if let Some(operation) = &declared.operation {
            let requested = self.accept(&declared, operation, &subject, now).await?;
            ops.extend(patch::take_operation(operation));
            subject.view.requested = Some(Arc::new(requested));
        }
        ops.extend(patch::refresh(&declared, subject.refreshed.as_ref()));
        let mut next = Written {
            compared: subject.compared.clone(),
            ..written.cloned().unwrap_or_default()
        };
        if turn == Turn::Polite && ops.is_empty() && subject.view.is_under_way() {
            return Ok(Outcome::Later(GIVES_WAY_STEP));
        }
        // What the watcher has not spoken of is not ours to describe.
        if subject.view.generation.is_some() || !subject.view.conditions.is_empty() {
            let fields = status::fields(&subject.view, &declared, now)
                .map_err(|source| WriteError::Build(app.clone(), source))?;
            let status = patch::status(&fields, &subject, &declared.shown, written, now);
            next.wanted = patch::wanted(&fields);
            if ops.is_empty() && patch::is_fought(&status, next.wanted, written, now) {
                tracing::warn!(%app, "the status is not as it was written: does another controller write it, or does the CRD drop fields?");
                return Ok(Outcome::Later(Duration::from_millis(patch::FOUGHT)));
            }
            ops.extend(status);
        }
        if !ops.is_empty() {
            let version = self.apply(app, &ops).await?;
            next.patch = Some(Patched { version, at: now });
        }
        Ok(Outcome::Settled(Some(next)))
    }

    /// Sends an operation that stands in the object on its way, once.
    async fn accept(
        &self,
        declared: &Declared,
        operation: &Value,
        subject: &Subject,
        now: u64,
    ) -> Result<Requested, WriteError> {
        let app = &declared.app;
        let request = request::read(operation, &subject.view);
        let waiting = subject.view.requested.as_deref();
        let mut requested = match waiting.filter(|waiting| waiting.operation == request.operation) {
            Some(waiting) => waiting.clone(),
            None => Requested {
                id: patch::request_id(declared),
                operation: request.operation,
                at: now,
                refused: None,
            },
        };
        let action = request
            .action
            .and_then(|action| match &subject.view.cluster {
                Some(cluster) => Ok((action, cluster.clone())),
                None => {
                    Err("the destination matches no cluster: correct spec.destination".to_owned())
                }
            });
        match action {
            Ok((action, cluster)) => {
                let command = Command {
                    id: requested.id.clone(),
                    app: app.clone(),
                    cluster,
                    user: request.user,
                    issued: now,
                    action,
                };
                publish(&self.bus, &command, &request.ignored)
                    .await
                    .map_err(|source| WriteError::Publish(app.clone(), source))?;
            }
            Err(refused) => requested.refused = Some(refused),
        }
        self.store.request(app, requested.clone());
        Ok(requested)
    }

    /// Deletes all states of an application that is gone.
    async fn forget(&self, app: &AppId, subject: &Subject) -> Result<(), WriteError> {
        for (speaker, cluster) in &subject.spoken {
            let key = subject::state(speaker.service(), cluster.as_ref(), app);
            let deleted = self.bus.delete(Bucket::State, &key).await;
            deleted.map_err(|source| WriteError::Forget(app.clone(), source))?;
        }
        Ok(())
    }

    /// Patches the object; gives its version after that, none if it is gone.
    async fn apply(&self, app: &AppId, ops: &Ops) -> Result<Option<u64>, WriteError> {
        match self.patch(app, ops).await {
            Ok(patched) => Ok(version(&patched.metadata.resource_version)),
            Err(kube::Error::Api(status)) if status.code == StatusCode::NOT_FOUND => Ok(None),
            Err(error) => Err(WriteError::Patch(app.clone(), Box::new(error))),
        }
    }

    async fn patch(&self, app: &AppId, ops: &Ops) -> Result<Object, kube::Error> {
        let url = format!(
            "/apis/{}/{}/namespaces/{}/{}/{}?fieldManager={MANAGER}",
            api::GROUP,
            api::VERSION,
            app.namespace(),
            api::Application::PLURAL,
            app.name()
        );
        let body = serde_json::to_vec(ops).map_err(kube::Error::SerdeError)?;
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(url)
            .header(header::CONTENT_TYPE, "application/json-patch+json")
            .header(header::ACCEPT, "application/json")
            .body(body)
            .map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}

/// What we read of an object after its patch.
#[derive(Deserialize)]
struct Object {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_version: String,
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_in_a_crowd_and_only_for_a_while_others_go_first() {
        let due = Due::after(SETTLE);
        let turn = |waiting, after| due.turn(waiting, due.since + after);
        assert_eq!(turn(CROWD, Duration::ZERO), Turn::Own);
        assert_eq!(turn(CROWD + 1, Duration::ZERO), Turn::Polite);
        assert_eq!(turn(CROWD + 1, GIVES_WAY), Turn::Own);
    }
}
