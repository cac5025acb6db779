//! What the monitor serves over HTTP: the JSON API for programs, the page for people.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::ask::Ask;
use crate::command::Order;
use crate::problem::Problem;
use crate::store::Store;
use crate::{api, page};
use bus::service::listen;

/// Longest body of a request, in bytes.
const MAX_BODY: usize = 64 * 1_024;
/// Longest time from the head of a request to the head of its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Streams of events at a time.
const STREAMS: usize = 512;

/// Whether reading the page needs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PageAuth {
    /// Whoever reaches the address may read
    None,
    /// A token of the control cluster with the right to list Applications
    Token,
}

/// What every handler works with.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

pub struct Inner {
    pub store: Arc<Store>,
    pub access: Access,
    pub orders: mpsc::Sender<Order>,
    pub asks: mpsc::Sender<Ask>,
    /// Where the Applications live.
    pub namespace: String,
    pub page_auth: PageAuth,
    /// Whether the page is served to this machine only: then a request that names another host came by a trick.
    pub loopback: bool,
    pub streams: Arc<Semaphore>,
    pub stop: CancellationToken,
}

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Shared {
    pub fn new(
        store: Arc<Store>,
        access: Access,
        (orders, asks): (mpsc::Sender<Order>, mpsc::Sender<Ask>),
        namespace: String,
        page_auth: Option<PageAuth>,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> Self {
        let loopback = address.ip().is_loopback();
        let page_auth = page_auth.unwrap_or(if loopback {
            PageAuth::None
        } else {
            PageAuth::Token
        });
        let streams = Arc::new(Semaphore::new(STREAMS));
        Self(Arc::new(Inner {
            store,
            access,
            orders,
            asks,
            namespace,
            page_auth,
            loopback,
            streams,
            stop,
        }))
    }
}

pub async fn serve(listener: TcpListener, shared: Shared) -> std::io::Result<()> {
    let stop = shared.stop.clone();
    listen(listener, router(shared), stop).await
}

pub fn router(shared: Shared) -> Router {
    Router::new()
        .nest("/api/v1", api::routes())
        .merge(page::routes())
        .fallback(async || {
            Problem::not_found("nothing is here", "the page is at /, the API under /api/v1")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(with_security_headers))
        .with_state(shared)
}

/// A body that dribbles in holds nobody up for long. A stream's answer is its head, so it may go on.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timeout("the request took too long", "send it again").into_response(),
    }
}

/// No answer is to be sniffed, framed, cached or leaked by its address.
async fn with_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    response
}

#[cfg(test)]
mod tests;
