//! A server without a socket, a control cluster that is asked, and applications in all states that there are.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use bus::message::condition::{Condition, ConditionType};
use bus::message::event::{Event, EventKind};
use bus::message::state::{HealthStatus, OperationPhase, SyncStatus};
use bus::{ClusterId, Generation};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::sample;
use crate::server::*;

/// A control cluster that knows three people: `vera` may do all, `guest` may read, `pilot` may pin and nothing else.
pub(super) fn cluster() -> kube::Client {
    let answer = |request: Request<kube::client::Body>| async move {
        let bytes = request.into_body().collect().await.unwrap().to_bytes();
        let mut review: Value = serde_json::from_slice(&bytes).unwrap();
        if review["kind"] == "TokenReview" {
            let name = review["spec"]["token"]
                .as_str()
                .unwrap()
                .strip_suffix("-token")
                .map(ToOwned::to_owned);
            review["status"] = match name {
                Some(name) => {
                    json!({"authenticated": true, "user": {"username": name, "groups": ["people"]}})
                }
                None => json!({"authenticated": false}),
            };
        } else {
            let verb = review["spec"]["resourceAttributes"]["verb"]
                .as_str()
                .unwrap();
            let allowed = match review["spec"]["user"].as_str().unwrap() {
                "vera" => ["get", "list", "update"].contains(&verb),
                "guest" => ["get", "list"].contains(&verb),
                "pilot" => verb == "pin",
                _ => false,
            };
            review["status"] = json!({"allowed": allowed});
        }
        Ok::<_, Infallible>(axum::http::Response::new(Body::from(review.to_string())))
    };
    kube::Client::new(tower::service_fn(answer), "argocd")
}

pub(super) struct Served {
    pub(super) store: Arc<Store>,
    pub(super) router: Router,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) asks: mpsc::Receiver<Ask>,
}

pub(super) fn served(page_auth: Option<PageAuth>, address: &str) -> Served {
    let store = Arc::new(Store::default());
    let (sender, orders) = mpsc::channel(8);
    let (asker, asks) = mpsc::channel(8);
    let shared = Shared::new(
        Arc::clone(&store),
        Access::new(cluster()),
        (sender, asker),
        "argocd".to_owned(),
        page_auth,
        address.parse().unwrap(),
        CancellationToken::new(),
    );
    observatory(&store);
    Served {
        store,
        router: router(shared),
        orders,
        asks,
    }
}

/// Applications in all the states that a page has to show.
pub(super) fn observatory(store: &Store) {
    for environment in ["summit", "valley"] {
        for service in ["dome", "guider", "night-log", "spectrograph", "weather"] {
            let name = format!("{service}-{environment}");
            let mut object = sample::object(&name);
            object["metadata"]["labels"] = json!({"towline.dev/environment": environment});
            store.declare(sample::declared(&object));
            let mut watcher = sample::watcher(&name, 3);
            let mut applier = sample::applier(&name, 3);
            match (service, environment) {
                ("dome", "valley") => applier.pin = Some(sample::pin(2)),
                ("guider", "summit") => {
                    applier.health.status = HealthStatus::Degraded;
                    applier.health.message =
                        "Deployment guider: pod guider-6c9f7-x2x4q: CrashLoopBackOff: <script>alert(1)</script>".to_owned();
                    applier.resources[1].health = Some(HealthStatus::Degraded);
                    applier.resources[1].message = applier.health.message.clone();
                    applier.conditions = vec![Condition::new(
                        ConditionType::SyncError,
                        "release 3 failed: Deployment guider is Degraded",
                        sample::NOW,
                    )];
                    let operation = applier.operation.as_mut().unwrap();
                    operation.phase = OperationPhase::Failed;
                    operation.message = "Deployment guider is Degraded".to_owned();
                    operation.timeline.healthy = None;
                }
                ("night-log", "summit") => {
                    watcher.generation = Some(Generation(4));
                    watcher.conditions = vec![sample::render_error()];
                }
                ("spectrograph", "valley") => {
                    applier.health.status = HealthStatus::Progressing;
                    applier.sync = SyncStatus::OutOfSync;
                }
                _ => {}
            }
            if (service, environment) == ("weather", "summit") {
                watcher.cluster = None;
                watcher.generation = None;
                store.put_watcher(None, watcher);
                continue;
            }
            store.put_watcher(Some(ClusterId::in_cluster()), watcher);
            store.put_renderer(sample::renderer(&name, 3));
            store.put_applier(applier);
            for (sequence, kind) in [
                EventKind::DesiredPublished,
                EventKind::RenderSucceeded,
                EventKind::ReleaseStarted,
                EventKind::HealthChanged,
            ]
            .into_iter()
            .enumerate()
            {
                let mut event = Event::new(
                    &sample::app(&name),
                    &ClusterId::in_cluster(),
                    kind,
                    format!("{} at {}", kind.token(), &sample::revision(3)[..8]),
                );
                event.time = sample::NOW - 4_000 + sequence as u64;
                store.record(sequence as u64 + 1, event);
            }
        }
    }
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

pub(super) async fn ask(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router
        .clone()
        .oneshot(request.body(Body::from(body.to_owned())).unwrap())
        .await
        .unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer {
        status,
        headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

pub(super) async fn get(router: &Router, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    ask(
        router,
        Method::GET,
        path,
        &[("authorization", &bearer), ("host", "localhost")],
        "",
    )
    .await
}
