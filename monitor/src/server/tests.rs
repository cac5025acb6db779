use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use bus::message::condition::{Condition, ConditionType};
use bus::message::event::{Event, EventKind};
use bus::message::state::{HealthStatus, OperationPhase, SyncStatus};
use bus::{ClusterId, Generation};
use futures::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::sample;

/// A control cluster that knows three people: `vera` may do all, `guest` may read, `pilot` may pin and nothing else.
fn cluster() -> kube::Client {
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

struct Served {
    store: Arc<Store>,
    router: Router,
    orders: mpsc::Receiver<Order>,
}

fn served(page_auth: Option<PageAuth>, address: &str) -> Served {
    let store = Arc::new(Store::default());
    let (sender, orders) = mpsc::channel(8);
    let shared = Shared::new(
        Arc::clone(&store),
        Access::new(cluster()),
        sender,
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
    }
}

/// Applications in all the states that a page has to show.
fn observatory(store: &Store) {
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

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

async fn ask(
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

async fn get(router: &Router, path: &str, token: &str) -> Answer {
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

const SYNC: &str = "/api/v1/applications/argocd/dome-summit/sync";

#[tokio::test]
async fn the_api_wants_a_token_that_the_cluster_knows() {
    let served = served(None, "127.0.0.1:80");
    let nobody = ask(&served.router, Method::GET, "/api/v1/applications", &[], "").await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.headers["www-authenticate"], "Bearer");
    assert!(
        nobody.json()["hint"]
            .as_str()
            .unwrap()
            .contains("Authorization")
    );
    assert_eq!(
        get(&served.router, "/api/v1/applications", "stolen")
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        get(&served.router, "/api/v1/applications", "pilot-token")
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    let cookie = [("cookie", "towline_token=vera-token")];
    let by_cookie = ask(
        &served.router,
        Method::GET,
        "/api/v1/applications",
        &cookie,
        "",
    )
    .await;
    assert_eq!(
        by_cookie.status,
        StatusCode::UNAUTHORIZED,
        "a cookie is no token for the API"
    );
}

#[tokio::test]
async fn applications_are_listed_and_shown() {
    let served = served(None, "127.0.0.1:80");
    let list = get(&served.router, "/api/v1/applications", "guest-token")
        .await
        .json();
    assert_eq!(list["items"].as_array().unwrap().len(), 10);
    let one = get(
        &served.router,
        "/api/v1/applications/argocd/dome-summit",
        "guest-token",
    )
    .await;
    assert_eq!(one.json()["health"]["status"], "Healthy");
    assert_eq!(one.json()["history"].as_array().unwrap().len(), 3);
    assert_eq!(
        get(
            &served.router,
            "/api/v1/applications/argocd/none",
            "guest-token"
        )
        .await
        .status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        get(
            &served.router,
            "/api/v1/applications/argocd/No%20name",
            "guest-token"
        )
        .await
        .status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        get(
            &served.router,
            "/api/v1/applications/argocd/none",
            "pilot-token"
        )
        .await
        .status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_command_reaches_the_bus_in_the_name_of_its_sender() {
    let mut served = served(None, "127.0.0.1:80");
    let carry = tokio::spawn(async move {
        let order = served.orders.recv().await.unwrap();
        order.done.send(Ok(())).unwrap();
        order.command
    });
    let headers = [
        ("authorization", "Bearer vera-token"),
        ("idempotency-key", "k1"),
        ("content-type", "application/json"),
    ];
    let answer = ask(
        &served.router,
        Method::POST,
        SYNC,
        &headers,
        r#"{"prune":true}"#,
    )
    .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let command = carry.await.unwrap();
    assert_eq!(answer.json()["id"], command.id);
    assert_eq!(
        (command.user.as_str(), command.app.name()),
        ("vera", "dome-summit")
    );
}

#[tokio::test]
async fn a_command_that_may_not_or_cannot_be_says_so() {
    let served = served(None, "127.0.0.1:80");
    let post = async |path: &str, token: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        ask(
            &served.router,
            Method::POST,
            path,
            &[("authorization", &bearer)],
            body,
        )
        .await
    };
    assert_eq!(
        post(SYNC, "guest-token", "").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post(SYNC, "pilot-token", "").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post(SYNC, "vera-token", "{").await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        post(
            "/api/v1/applications/argocd/dome-summit/explode",
            "vera-token",
            ""
        )
        .await
        .status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        post("/api/v1/applications/argocd/none/sync", "vera-token", "")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let nowhere = post(
        "/api/v1/applications/argocd/weather-summit/sync",
        "vera-token",
        "",
    )
    .await;
    assert_eq!(nowhere.status, StatusCode::CONFLICT);
    let back = post(
        "/api/v1/applications/argocd/dome-summit/rollback",
        "vera-token",
        r#"{"release":77}"#,
    )
    .await;
    assert_eq!(back.status, StatusCode::CONFLICT);
    let large = post(SYNC, "vera-token", &" ".repeat(MAX_BODY + 1)).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    drop(served.orders);
    assert_eq!(
        post(SYNC, "vera-token", "").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_verb_of_its_own_suffices_for_a_command() {
    let served = served(None, "127.0.0.1:80");
    drop(served.orders);
    let headers = [("authorization", "Bearer pilot-token")];
    let pin = ask(
        &served.router,
        Method::POST,
        "/api/v1/applications/argocd/dome-summit/pin",
        &headers,
        "",
    )
    .await;
    assert_eq!(
        pin.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "allowed; only the broker is missing"
    );
}

#[tokio::test]
async fn events_are_given_and_followed() {
    let served = served(None, "127.0.0.1:80");
    let events = get(
        &served.router,
        "/api/v1/events?app=argocd/dome-summit&limit=2",
        "guest-token",
    )
    .await
    .json();
    assert_eq!(events["items"].as_array().unwrap().len(), 2);
    let request = Request::get("/api/v1/events?app=dome-summit&limit=1")
        .header("authorization", "Bearer guest-token")
        .header("accept", "text/event-stream");
    let response = served
        .router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let mut stream = response.into_body().into_data_stream();
    let mut next =
        async || String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(next().await.contains("health.changed"));
    let event = Event::new(
        &sample::app("dome-summit"),
        &ClusterId::in_cluster(),
        EventKind::DriftHealed,
        "healed",
    );
    served.store.record(
        9,
        Event {
            app: sample::app("dome-valley"),
            ..event.clone()
        },
    );
    served.store.record(10, event);
    let came = next().await;
    assert!(
        came.contains("drift.healed") && came.contains("id: 10") && came.contains("dome-summit"),
        "{came}"
    );
}

#[tokio::test]
async fn the_page_shows_every_application_and_what_is_wrong() {
    let served = served(None, "127.0.0.1:80");
    let page = get(&served.router, "/", "").await;
    assert_eq!(page.status, StatusCode::OK);
    for word in [
        "spectrograph",
        "valley",
        "Degraded",
        "ComparisonError",
        "pinned to 2",
        "OutOfSync",
    ] {
        assert!(page.text.contains(word), "{word}");
    }
    let filtered = get(&served.router, "/?health=Degraded", "").await;
    assert!(filtered.text.contains("guider-summit") && !filtered.text.contains("dome-valley"));
    let odd = get(
        &served.router,
        "/?health=%3Cscript%3E&name=%22%3E%3Cscript%3E",
        "",
    )
    .await;
    assert!(!odd.text.contains("\"><script>"));
}

#[tokio::test]
async fn what_others_wrote_is_text_on_the_page() {
    let served = served(None, "127.0.0.1:80");
    let page = get(&served.router, "/applications/argocd/guider-summit", "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.text.contains("<script>alert(1)"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(
        get(&served.router, "/applications/argocd/none", "")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_page_for_this_machine_is_not_shown_under_another_name() {
    let served = served(None, "127.0.0.1:80");
    let rebound = ask(
        &served.router,
        Method::GET,
        "/",
        &[("host", "evil.example.org")],
        "",
    )
    .await;
    assert_eq!(rebound.status, StatusCode::FORBIDDEN);
    let live = ask(
        &served.router,
        Method::GET,
        "/live",
        &[("host", "evil.example.org")],
        "",
    )
    .await;
    assert_eq!(live.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_page_beyond_this_machine_wants_a_login() {
    let served = served(None, "0.0.0.0:80");
    for path in ["/", "/live", "/applications/argocd/dome-summit"] {
        let stranger = ask(
            &served.router,
            Method::GET,
            path,
            &[("cookie", "towline_token=stolen")],
            "",
        )
        .await;
        assert_eq!(stranger.headers["location"], "/login", "{path}");
    }
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", "t.example.org"),
        ("origin", "https://t.example.org"),
    ];
    let login = ask(
        &served.router,
        Method::POST,
        "/login",
        &form,
        "token=guest-token",
    )
    .await;
    let cookie = login.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("HttpOnly; SameSite=Strict") && cookie.ends_with("Secure"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let page = ask(&served.router, Method::GET, "/", &[("cookie", cookie)], "").await;
    assert_eq!(page.status, StatusCode::OK);
    let wrong = ask(&served.router, Method::POST, "/login", &form, "token=wrong").await;
    assert!(wrong.headers.get("set-cookie").is_none());
    let foreign = [form[0], form[1], ("origin", "https://evil.example.org")];
    let forged = ask(
        &served.router,
        Method::POST,
        "/login",
        &foreign,
        "token=guest-token",
    )
    .await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert!(forged.headers.get("set-cookie").is_none());
}

/// To look at the page: `TOWLINE_SAMPLE=127.0.0.1:8485 cargo test -p monitor --lib -- --ignored a_sample_to_look_at`.
#[tokio::test]
#[ignore = "serves until it is stopped"]
async fn a_sample_to_look_at() {
    let address = std::env::var("TOWLINE_SAMPLE").unwrap();
    let served = served(Some(PageAuth::None), &address);
    let listener = TcpListener::bind(address).await.unwrap();
    axum::serve(listener, served.router).await.unwrap();
}
