//! The port itself: what it answers, and that nobody can hold it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use watcher::index::{Fixed, Index, Part};
use watcher::metrics::Metrics;
use watcher::webhook::{self, Provider};

use super::payloads::SECRET;
use super::{of, secrets};

struct Port {
    address: SocketAddr,
    index: Arc<Index>,
    registry: prometheus::Registry,
    _stop: tokio_util::sync::DropGuard,
}

impl Port {
    async fn open() -> Self {
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(Metrics::register(&registry).unwrap());
        let (index, _) = Index::new(Fixed {
            control_namespace: "argocd".to_owned(),
            file_repositories: false,
            cache: "/never/there".into(),
        });
        index.started(Part::Lead);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(webhook::serve(
            listener,
            Arc::clone(&index),
            metrics,
            stop.clone(),
        ));
        Self {
            address,
            index,
            registry,
            _stop: stop.drop_guard(),
        }
    }

    fn url(&self) -> String {
        format!("http://{}/api/webhook", self.address)
    }

    async fn post(&self, body: Vec<u8>) -> (StatusCode, String) {
        let headers = of(Provider::GitHub).proven(&body, SECRET);
        let answer = reqwest::Client::new()
            .post(self.url())
            .headers(headers)
            .body(body)
            .send()
            .await
            .unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    fn counted(&self, provider: &str, outcome: &str) -> u64 {
        let families = self.registry.gather();
        let webhooks = families
            .iter()
            .find(|family| family.name() == "towline_watcher_webhooks_total");
        let metrics = webhooks
            .map(prometheus::proto::MetricFamily::get_metric)
            .unwrap_or_default();
        let is = |metric: &prometheus::proto::Metric, name: &str, value: &str| {
            let mut labels = metric.get_label().iter();
            labels.any(|label| label.name() == name && label.value() == value)
        };
        metrics
            .iter()
            .find(|it| is(it, "provider", provider) && is(it, "outcome", outcome))
            .map_or(0, |it| {
                it.get_counter().get_value().to_string().parse().unwrap()
            })
    }
}

#[tokio::test]
async fn a_webhook_is_answered_by_what_it_is() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let port = Port::open().await;
    let good = of(Provider::GitHub).bytes();
    // Nobody can say yet whether it needs to be signed.
    assert_eq!(
        port.post(good.clone()).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    port.index.set_webhook_secrets(secrets());
    let (status, answer) = port.post(good).await;
    assert_eq!(
        (status, answer.as_str()),
        (StatusCode::OK, "0 repositories are looked at\n")
    );
    assert_eq!(port.counted("github", "foreign"), 1);
    let (status, answer) = port.post(b"{}".to_vec()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer.contains("names no repository"), "{answer}");
    assert_eq!(port.counted("github", "refused"), 1);

    let client = reqwest::Client::new();
    let get = client.get(port.url()).send().await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    let unsigned = client.post(port.url()).header("x-github-event", "push");
    let unsigned = unsigned.body("{}").send().await.unwrap();
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(port.counted("github", "unauthorized"), 1);
    let unknown = client.post(port.url()).body("{}").send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);
    let elsewhere = client
        .post(format!("http://{}/", port.address))
        .send()
        .await
        .unwrap();
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_without_being_read_to_its_end() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let port = Port::open().await;
    port.index.set_webhook_secrets(secrets());
    port.index
        .configure(|it| it.settings.webhook_max_payload = 1 << 20);
    let (status, answer) = port.post(vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.contains("webhook.maxPayloadSizeMB"), "{answer}");
    // A push of many commits is below it.
    let mut body = of(Provider::GitHub).bytes();
    body.resize(900 << 10, b' ');
    assert_eq!(port.post(body).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_half_sent_webhooks_hold_up_no_good_one() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let port = Port::open().await;
    port.index.set_webhook_secrets(secrets());
    let mut held = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        let half = if number % 2 == 0 {
            "POST /api/webhook HTTP/1.1\r\nhost: h\r\nx-"
        } else {
            "POST /api/webhook HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n{"
        };
        stream.write_all(half.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let begun = Instant::now();
    assert_eq!(
        port.post(of(Provider::GitHub).bytes()).await.0,
        StatusCode::OK
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    // Whoever doesn't get its body across is told so, and hung up on.
    let mut answer = [0; 12];
    held[1].read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let port = Port::open().await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let head = format!("POST /api/webhook HTTP/1.1\r\nx: {}", "y".repeat(1 << 20));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}
