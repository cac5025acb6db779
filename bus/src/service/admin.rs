//! The admin port: `/livez` (the process turns), `/readyz` (and can do its job; else 503 with the reasons), `/metrics`.

use std::sync::PoisonError;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Waits;
use super::listen::listen;

#[derive(Clone)]
struct Admin {
    registry: Registry,
    waits: Waits,
    token: CancellationToken,
}

pub(super) async fn serve(
    listener: TcpListener,
    registry: Registry,
    waits: Waits,
    token: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin {
            registry,
            waits,
            token: token.clone(),
        });
    listen(listener, router, token).await
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.token.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let waits = admin.waits.lock().unwrap_or_else(PoisonError::into_inner);
    let reasons: Vec<String> = waits
        .iter()
        .filter_map(|(name, why)| why.as_ref().map(|why| format!("{name}: {why}\n")))
        .collect();
    if reasons.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.concat())
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&admin.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
