//! `POST /api/webhook`: a Git host or a registry says that somebody pushed.
//!
//! [`body`] → [`read`] (by its [`head`] → one file per sender: [`check`], [`payload`]) → [`change`] → the index, which wakes whom it
//! concerns. Nothing of a body is believed but where to look.

mod azure_devops;
mod bitbucket;
mod bitbucket_server;
mod body;
mod change;
mod check;
mod docker_hub;
mod error;
mod ghcr;
mod github;
mod gitlab;
mod gogs;
mod harbor;
mod head;
mod payload;
mod read;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use bus::service::listen;
use bus::trace::Trace;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::index::Index;
use crate::metrics::Metrics;
use body::Bodies;
pub use change::Change;
pub use error::WebhookError;
pub use head::Head;
pub use read::{Provider, Said, read};

/// Refusals are said in the log at most so often: anyone who reaches the port can cause them.
const SAY_EVERY: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Webhook {
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    bodies: Arc<Bodies>,
    refused: Arc<Mutex<Option<Instant>>>,
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
        .with_state(Webhook {
            index,
            metrics,
            bodies: Arc::default(),
            refused: Arc::default(),
        });
    listen(listener, router, token).await
}

async fn receive(State(webhook): State<Webhook>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let limit = webhook
        .index
        .environment(|environment| environment.settings.webhook_max_payload);
    let head = Head::new(&parts.headers, parts.uri.query());
    let read = webhook
        .bodies
        .read(body, limit, |bytes| webhook.take(head, bytes))
        .await;
    read.unwrap_or_else(|error| webhook.refuse(None, error.status(), &error))
}

impl Webhook {
    fn take(&self, head: Head<'_>, body: &[u8]) -> Answer {
        // It isn't ready either: who sends by way of a Service reaches the one that leads.
        if !self.index.leads() {
            self.metrics.webhook("unknown", "follows");
            let why =
                "this watcher doesn't lead: send webhooks to the one that is ready\n".to_owned();
            return (StatusCode::SERVICE_UNAVAILABLE, why);
        }
        // Before argocd-secret was read nobody can say whether a signature is needed.
        let Some(secrets) = self.index.webhook_secrets() else {
            self.metrics.webhook("unknown", "starting");
            let why = "still starting: argocd-secret is not read yet\n".to_owned();
            return (StatusCode::SERVICE_UNAVAILABLE, why);
        };
        let (provider, said) = read(head, body, &secrets);
        let label = provider.map_or("unknown", Provider::label);
        match said {
            Ok(Said::Changed(change)) => {
                let woken = self.index.pushed(&change, Trace::new());
                let outcome = if woken > 0 { "accepted" } else { "foreign" };
                self.metrics.webhook(label, outcome);
                // The rest is for whoever set the webhook up; the log is for what has consequences.
                if woken > 0 {
                    tracing::info!(
                        provider = label,
                        place = change.place(),
                        repositories = woken,
                        "a webhook tells of a push"
                    );
                }
                let answer = format!("{woken} repositories are looked at\n");
                (StatusCode::OK, answer)
            }
            Ok(Said::Nothing) => {
                self.metrics.webhook(label, "nothing");
                (StatusCode::OK, "nothing to do for this event\n".to_owned())
            }
            Err(error) => self.refuse(provider, error.status(), &error),
        }
    }

    fn refuse(
        &self,
        provider: Option<Provider>,
        status: StatusCode,
        why: &dyn std::error::Error,
    ) -> Answer {
        let label = provider.map_or("unknown", Provider::label);
        let outcome = if status == StatusCode::UNAUTHORIZED {
            "unauthorized"
        } else {
            "refused"
        };
        self.metrics.webhook(label, outcome);
        let mut said = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            tracing::warn!(
                provider = label,
                why = %why,
                "a webhook is refused; more of the next seconds are counted only"
            );
        }
        (status, format!("{why}\n"))
    }
}
