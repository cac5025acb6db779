//! `POST /api/webhook`: a Git host says that somebody pushed.

mod change;
pub mod github;

use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bus::trace::Trace;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::index::Index;
use crate::metrics::Metrics;
pub use change::Change;
use github::WebhookError;

/// The largest body.
const MAX_BODY: usize = 1024 * 1024;
/// A host that doesn't get its body across in this time is hung up on.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

#[derive(Clone)]
struct Webhook {
    index: Arc<Index>,
    metrics: Arc<Metrics>,
}

type Answer = (StatusCode, String);

pub async fn serve(
    listener: TcpListener,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    token: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/api/webhook", post(receive))
        .with_state(Webhook { index, metrics });
    axum::serve(listener, router)
        .with_graceful_shutdown(token.cancelled_owned())
        .await
}

async fn receive(State(webhook): State<Webhook>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let answer = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => webhook.take(&parts.headers, &body),
        Ok(Err(_)) => refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            &"the body is over 1 MiB, or broke off",
        ),
        Err(_) => refusal(
            StatusCode::REQUEST_TIMEOUT,
            &"the body did not arrive in time",
        ),
    };
    webhook.metrics.webhook(match answer.0 {
        StatusCode::OK => "accepted",
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::SERVICE_UNAVAILABLE => "starting",
        _ => "refused",
    });
    answer
}

impl Webhook {
    fn take(&self, headers: &HeaderMap, body: &Bytes) -> Answer {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // Before argocd-secret was read nobody can say whether a signature is needed.
        let Some(secret) = self.index.webhook_secret() else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, &"still starting");
        };
        if let Some(secret) = secret
            && let Err(error) = github::verify(secret.expose(), header("x-hub-signature-256"), body)
        {
            return refusal(StatusCode::UNAUTHORIZED, &error);
        }
        match header("x-github-event") {
            Some("push") => match github::push(body) {
                Ok(push) => {
                    let woken = self.index.pushed(&push, Trace::new());
                    tracing::debug!(place = push.place(), woken, "push");
                    (
                        StatusCode::OK,
                        format!("{woken} repositories are looked at\n"),
                    )
                }
                Err(error @ (WebhookError::Body | WebhookError::Incomplete)) => {
                    refusal(StatusCode::BAD_REQUEST, &error)
                }
                Err(error) => refusal(StatusCode::UNAUTHORIZED, &error),
            },
            Some(_) => (StatusCode::OK, "nothing to do for this event\n".to_owned()),
            None => refusal(
                StatusCode::BAD_REQUEST,
                &"not a webhook that is known: the header X-GitHub-Event is missing",
            ),
        }
    }
}

fn refusal(status: StatusCode, why: &impl ToString) -> Answer {
    (status, format!("{}\n", why.to_string()))
}
