//! What happened to an application, as Kubernetes' own Events about its object: for `kubectl describe`, and for whatever watches
//! Events. The bus has them all, and for longer; these are a choice, and bounded.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::{Method, Request, StatusCode, header};
use bus::AppId;
use bus::message::event::{Event, EventKind};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::declared::Declared;
use crate::events::Recorded;
use crate::store::{Notice, Store};

/// Where an Event says that it comes from.
const COMPONENT: &str = "towline-monitor";
/// Older ones are known: Kubernetes keeps its Events for an hour, and would get them anew at each start.
const RECENT_MS: u64 = 10 * 60 * 1_000;
/// The longest message that the API server takes, in bytes.
const MAX_MESSAGE: usize = 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Normal,
    Warning,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Severity and reason, Argo CD's where it has one; none for what is too much for Kubernetes, or another event says.
const fn reason(kind: EventKind) -> Option<(Severity, &'static str)> {
    match kind {
        EventKind::ReleaseWaiting => Some((Severity::Normal, "OperationWaiting")),
        EventKind::ReleaseStarted => Some((Severity::Normal, "OperationStarted")),
        EventKind::ReleaseSucceeded | EventKind::ReleaseSuperseded => {
            Some((Severity::Normal, "OperationCompleted"))
        }
        EventKind::ReleaseFailed => Some((Severity::Warning, "OperationCompleted")),
        EventKind::HealthChanged | EventKind::DriftDetected => {
            Some((Severity::Normal, "ResourceUpdated"))
        }
        EventKind::SourceFailed => Some((Severity::Warning, "SourceFailed")),
        EventKind::RenderFailed => Some((Severity::Warning, "RenderFailed")),
        EventKind::CommandRefused => Some((Severity::Warning, "OperationRefused")),
        EventKind::SecretRefused => Some((Severity::Warning, "SecretRefused")),
        EventKind::RevisionRefused => Some((Severity::Warning, "RevisionRefused")),
        EventKind::DriftContested => Some((Severity::Warning, "ResourceContested")),
        EventKind::ApplicationPinned => Some((Severity::Normal, "Pinned")),
        EventKind::ApplicationUnpinned => Some((Severity::Normal, "Unpinned")),
        EventKind::DesiredPublished
        | EventKind::RenderSucceeded
        | EventKind::RenderMissed
        | EventKind::SnapshotMissing
        | EventKind::DesiredRefused
        | EventKind::ManifestsMissing
        | EventKind::ReleaseApplied
        | EventKind::ReleaseTried
        | EventKind::HookStarted
        | EventKind::HookFinished
        | EventKind::ObjectPruned
        | EventKind::ObjectAdopted
        | EventKind::DriftHealed
        | EventKind::ApplicationDeleted
        | EventKind::CommandAccepted
        | EventKind::SecretResolved
        | EventKind::SecretRotated => None,
    }
}

/// The Event's object. Its name follows from what it tells, so that telling it twice makes one.
fn object(event: &Event, declared: &Declared) -> Option<Value> {
    let (severity, reason) = reason(event.kind)?;
    let (namespace, name) = (event.app.namespace(), event.app.name());
    let time = i64::try_from(event.time).ok()?;
    let time = jiff::Timestamp::from_millisecond(time).ok()?;
    let seconds = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let by = event.user.as_ref().map(|user| format!(" (by {user})"));
    let mut message = format!("{}{}", event.message, by.unwrap_or_default());
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    Some(json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{name}.{:x}.{}", event.time, event.kind.token()),
            "namespace": namespace,
        },
        "involvedObject": {
            "apiVersion": format!("{}/{}", api::GROUP, api::VERSION),
            "kind": api::Application::KIND,
            "namespace": namespace,
            "name": name,
            "uid": declared.uid,
            "resourceVersion": declared.resource_version,
        },
        "type": severity.as_str(),
        "reason": reason,
        "message": message,
        "source": {"component": COMPONENT},
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "count": 1,
    }))
}

/// So many at once, and one more as time goes by.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: f64,
    at: Instant,
}

#[derive(Clone, Copy)]
struct Rate {
    most: f64,
    per_second: f64,
}

/// As much as Kubernetes' own clients say of one object.
const OF_ONE: Rate = Rate {
    most: 25.0,
    per_second: 1.0 / 60.0,
};
/// A change of all applications must not keep the API server busy with telling of it.
const OF_ALL: Rate = Rate {
    most: 50.0,
    per_second: 10.0,
};

impl Budget {
    fn new(rate: Rate, now: Instant) -> Self {
        Self {
            left: rate.most,
            at: now,
        }
    }

    fn spend(&mut self, rate: Rate, now: Instant) -> bool {
        let grown = now.duration_since(self.at).as_secs_f64() * rate.per_second;
        self.left = (self.left + grown).min(rate.most);
        self.at = now;
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }

    /// Whether it is as if it had never been used.
    fn is_whole(&self, rate: Rate, now: Instant) -> bool {
        let grown = now.duration_since(self.at).as_secs_f64() * rate.per_second;
        self.left + grown >= rate.most
    }
}

pub(crate) struct Teller {
    store: Arc<Store>,
    client: kube::Client,
    of_all: Budget,
    of_each: HashMap<AppId, Budget>,
}

impl Teller {
    pub(crate) fn new(store: Arc<Store>, client: kube::Client) -> Self {
        Self {
            store,
            client,
            of_all: Budget::new(OF_ALL, Instant::now()),
            of_each: HashMap::new(),
        }
    }

    /// Tells what is heard, until the store ends. What is missed while the API server is slow, or over the budget, is on the bus.
    pub(crate) async fn run(mut self, mut heard: broadcast::Receiver<Notice>) {
        loop {
            match heard.recv().await {
                Ok(Notice::Event(recorded)) => self.tell(&recorded).await,
                Ok(Notice::Changed(_)) => {}
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "events are not told to Kubernetes");
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    async fn tell(&mut self, recorded: &Recorded) {
        let event = &recorded.event;
        let recent = event.time + RECENT_MS > bus::clock::now_ms();
        if !recent || reason(event.kind).is_none() {
            return;
        }
        let declared = self
            .store
            .subject(&event.app)
            .and_then(|subject| subject.declared);
        let Some(object) = declared.and_then(|declared| object(event, &declared)) else {
            return;
        };
        if !self.may(&event.app, Instant::now()) {
            return;
        }
        if let Err(error) = self.create(&event.app, &object).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(app = %event.app, error, "an event is not told to Kubernetes");
        }
    }

    fn may(&mut self, app: &AppId, now: Instant) -> bool {
        self.of_each
            .retain(|_, budget| !budget.is_whole(OF_ONE, now));
        let own = self
            .of_each
            .entry(app.clone())
            .or_insert_with(|| Budget::new(OF_ONE, now));
        own.spend(OF_ONE, now) && self.of_all.spend(OF_ALL, now)
    }

    async fn create(&self, app: &AppId, object: &Value) -> Result<(), kube::Error> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/v1/namespaces/{}/events", app.namespace()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(object).map_err(kube::Error::SerdeError)?)
            .map_err(kube::Error::HttpError)?;
        match self.client.request::<Told>(request).await {
            Ok(Told {}) => Ok(()),
            // Told before the monitor was started again.
            Err(kube::Error::Api(status)) if status.code == StatusCode::CONFLICT => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What we read of an Event that was made: nothing.
#[derive(Deserialize)]
struct Told {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bus::ClusterId;

    use super::*;

    fn event(kind: EventKind, message: &str) -> Event {
        let app = AppId::new("argocd", "dome").unwrap();
        let mut event = Event::new(&app, &ClusterId::in_cluster(), kind, message);
        event.time = 1_700_000_000_123;
        event
    }

    fn told(event: &Event) -> Option<Value> {
        object(
            event,
            &crate::sample::declared(&crate::sample::object("dome")),
        )
    }

    #[test]
    fn a_release_is_told_by_argo_cds_reasons() {
        let failed = told(&event(EventKind::ReleaseFailed, "no such kind")).unwrap();
        assert_eq!(failed["type"], "Warning");
        assert_eq!(failed["reason"], "OperationCompleted");
        assert_eq!(failed["involvedObject"]["kind"], "Application");
        assert_eq!(failed["lastTimestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(told(&event(EventKind::RenderSucceeded, "")), None);
    }

    #[test]
    fn the_same_event_has_the_same_name_and_another_another() {
        let name = |event: &Event| told(event).unwrap()["metadata"]["name"].clone();
        let first = event(EventKind::ReleaseStarted, "a");
        assert_eq!(name(&first), name(&first.clone()));
        assert_ne!(name(&first), name(&event(EventKind::ReleaseSucceeded, "a")));
    }

    #[test]
    fn a_long_message_is_cut_where_a_letter_ends() {
        let long = told(&event(EventKind::HealthChanged, &"é".repeat(2_000))).unwrap();
        assert_eq!(long["message"].as_str().unwrap().len(), MAX_MESSAGE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_much_is_heard_less() {
        let start = Instant::now();
        let mut budget = Budget::new(OF_ONE, start);
        let heard = (0..100).filter(|_| budget.spend(OF_ONE, start)).count();
        assert_eq!(heard, 25);
        let later = start + Duration::from_mins(1);
        assert!(budget.spend(OF_ONE, later) && !budget.spend(OF_ONE, later));
        assert!(budget.is_whole(OF_ONE, later + Duration::from_hours(1)));
    }
}
