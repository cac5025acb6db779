//! A host that lets in who says the right word, and writes down what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HOST, LOCATION};
use axum::response::{IntoResponse, Response};

/// What one request said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) host: String,
    pub(crate) authorization: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    said: Arc<Mutex<Vec<Said>>>,
    kind: Arc<Kind>,
}

pub(crate) enum Kind {
    /// Lets everybody through to the host behind.
    Open(SocketAddr),
    /// Lets through who says this.
    Closed(SocketAddr, String),
    /// Sends everybody to another host.
    Elsewhere(String),
}

impl Gate {
    pub(crate) async fn start(kind: Kind) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Self {
            address: listener.local_addr().unwrap(),
            said: Arc::default(),
            kind: Arc::new(kind),
        };
        let router = Router::new().fallback(answer).with_state(gate.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        gate
    }

    pub(crate) fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/team/repo.git", self.address)
    }
}

async fn answer(State(gate): State<Gate>, request: Request) -> Response {
    let headers = request.headers().clone();
    let header = |name| {
        let value = headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let authorization = header(AUTHORIZATION);
    gate.said.lock().unwrap().push(Said {
        host: header(HOST).unwrap_or_default(),
        authorization: authorization.clone(),
    });
    let path = request.uri().path_and_query().unwrap().to_string();
    let behind = match &*gate.kind {
        Kind::Elsewhere(base) => {
            return (StatusCode::FOUND, [(LOCATION, format!("{base}{path}"))]).into_response();
        }
        Kind::Closed(_, word) if authorization.as_ref() != Some(word) => {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        Kind::Closed(behind, _) | Kind::Open(behind) => *behind,
    };
    forward(behind, &path, request).await
}

pub(crate) async fn forward(behind: SocketAddr, path: &str, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(HOST);
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .request(parts.method, format!("http://{behind}{path}"))
        .headers(parts.headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = Response::builder().status(answer.status());
    *response.headers_mut().unwrap() = answer.headers().clone();
    response
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}
