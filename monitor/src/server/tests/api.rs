use axum::body::Body;
use axum::http::{Method, StatusCode};
use bus::ClusterId;
use bus::message::diff::{Answer, Differences, Question};
use bus::message::event::{Event, EventKind};
use bus::message::{check, tree};
use futures::StreamExt;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::setup::{ask, get, served};
use crate::ask::{Ask, Awaited};
use crate::sample;
use crate::server::{MAX_BODY, Request};

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

const DIFF: &str = "/api/v1/applications/argocd/dome-summit/diff";

async fn diff_asked(asks: &mut mpsc::Receiver<Ask>) -> (Question, Awaited<Answer>) {
    match asks.recv().await.unwrap() {
        Ask::Diff(question, done) => (question, done),
        Ask::Check(..) | Ask::Tree(..) => panic!("a comparison was asked for"),
    }
}

#[tokio::test]
async fn what_a_release_would_change_is_asked_of_the_applier_for_whoever_may_read() {
    let mut served = served(None, "127.0.0.1:80");
    let answering = async {
        let (question, done) = diff_asked(&mut served.asks).await;
        assert_eq!(question.user, "guest");
        assert_eq!(question.manifests, None);
        let differences = Differences {
            omitted: vec!["ConfigMap shop/huge".to_owned()],
            ..Differences::default()
        };
        assert!(done.send(Ok(Answer::Compared(differences))).is_ok());
        let refused = Answer::Refused {
            message: "nothing was rendered".to_owned(),
        };
        let (_, done) = diff_asked(&mut served.asks).await;
        assert!(done.send(Ok(refused)).is_ok());
    };
    let asking = async {
        let answer = get(&served.router, DIFF, "guest-token").await;
        assert_eq!(answer.json()["omitted"][0], "ConfigMap shop/huge");
        let answer = get(&served.router, DIFF, "guest-token").await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(answer.json()["error"], "nothing was rendered");
    };
    tokio::join!(answering, asking);
    let answer = get(&served.router, DIFF, "pilot-token").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn comparing_ones_own_manifests_takes_more_than_reading_and_is_bounded() {
    let mut served = served(None, "127.0.0.1:80");
    let post = async |token: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("host", "localhost")];
        ask(&served.router, Method::POST, DIFF, &headers, body).await
    };
    let body = r#"{"manifests":"cGFja2Vk"}"#;
    assert_eq!(
        post("guest-token", body).await.status,
        StatusCode::FORBIDDEN
    );
    let large = "x".repeat(Question::MAX_MANIFESTS + 2_048);
    for (body, status) in [
        ("{}".to_owned(), StatusCode::BAD_REQUEST),
        (r#"{"manifests":7}"#.to_owned(), StatusCode::BAD_REQUEST),
        (
            format!("{{\"manifests\":\"{large}\"}}"),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        assert_eq!(post("vera-token", &body).await.status, status);
    }
    let answering = async {
        let (question, done) = diff_asked(&mut served.asks).await;
        assert_eq!(question.manifests.as_deref(), Some("cGFja2Vk"));
        assert!(
            done.send(Ok(Answer::Compared(Differences::default())))
                .is_ok()
        );
    };
    let (answer, ()) = tokio::join!(post("vera-token", body), answering);
    assert_eq!(answer.status, StatusCode::OK);
}

const SECRETS: &str = "/api/v1/applications/argocd/dome-summit/secrets";

#[tokio::test]
async fn which_secrets_are_read_is_told_to_readers_and_of_ones_own_manifests_to_those_who_may_compare()
 {
    let mut served = served(None, "127.0.0.1:80");
    let post = async |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("host", "localhost")];
        let body = r#"{"manifests":"cGFja2Vk"}"#;
        ask(&served.router, Method::POST, SECRETS, &headers, body).await
    };
    assert_eq!(post("guest-token").await.status, StatusCode::FORBIDDEN);
    let answer = get(&served.router, SECRETS, "pilot-token").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answering = async {
        for manifests in [None, Some("cGFja2Vk")] {
            let Ask::Check(question, done) = served.asks.recv().await.unwrap() else {
                panic!("a check was asked for")
            };
            assert_eq!(question.manifests.as_deref(), manifests);
            let report = check::Report {
                problems: vec!["a problem".to_owned()],
                ..check::Report::default()
            };
            assert!(done.send(Ok(check::Answer::Checked(report))).is_ok());
        }
    };
    let asking = async {
        for answer in [
            get(&served.router, SECRETS, "guest-token").await,
            post("vera-token").await,
        ] {
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.json()["problems"][0], "a problem");
        }
    };
    tokio::join!(answering, asking);
}

const TREE: &str = "/api/v1/applications/argocd/dome-summit/tree";

#[tokio::test]
async fn what_objects_own_is_asked_of_the_applier_for_whoever_may_read() {
    let mut served = served(None, "127.0.0.1:80");
    let answering = async {
        let Ask::Tree(question, done) = served.asks.recv().await.unwrap() else {
            panic!("a tree was asked for")
        };
        assert_eq!(question.user, "guest");
        let found = tree::Tree {
            omitted: 3,
            ..tree::Tree::default()
        };
        assert!(done.send(Ok(tree::Answer::Found(found))).is_ok());
    };
    let asking = get(&served.router, TREE, "guest-token");
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["omitted"], 3);
    let answer = get(&served.router, TREE, "pilot-token").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
