//! A host whose answers are told beforehand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

/// A host whose answers are told beforehand.
#[derive(Clone, Default)]
pub(crate) struct Host(Arc<Mutex<Told>>);

impl Host {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let host = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (host, address)
    }

    pub(crate) fn tell(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.say(path, StatusCode::OK, Vec::new(), body);
    }

    pub(crate) fn say(
        &self,
        path: &str,
        status: StatusCode,
        headers: Vec<(&'static str, String)>,
        body: impl Into<Vec<u8>>,
    ) {
        let mut told = self.0.lock().unwrap();
        told.answers
            .insert(path.to_owned(), (status, headers, body.into()));
    }

    /// What it has an answer for.
    pub(crate) fn offered(&self) -> Vec<String> {
        self.0.lock().unwrap().answers.keys().cloned().collect()
    }

    /// How often a path was asked for, by its end.
    pub(crate) fn asked(&self, end: &str) -> usize {
        self.paths().filter(|path| path.ends_with(end)).count()
    }

    /// What was asked for, with queries.
    pub(crate) fn paths(&self) -> impl Iterator<Item = String> {
        let asked = self.0.lock().unwrap().asked.clone();
        asked.into_iter().map(|(path, _)| path)
    }

    pub(crate) fn logins(&self) -> Vec<Option<String>> {
        let told = self.0.lock().unwrap();
        told.asked.iter().map(|(_, login)| login.clone()).collect()
    }

    pub(crate) fn down(&self) {
        self.0.lock().unwrap().down = true;
    }

    pub(crate) fn guard(&self, login: &str, challenge: String) {
        self.0.lock().unwrap().guard = Some((login.to_owned(), challenge));
    }
}

/// Status, headers and body.
type Answer = (StatusCode, Vec<(&'static str, String)>, Vec<u8>);

#[derive(Default)]
struct Told {
    /// Path with query → answer.
    answers: BTreeMap<String, Answer>,
    /// What must be in `Authorization`; others are answered with this challenge.
    guard: Option<(String, String)>,
    /// Path with query, and `Authorization`.
    asked: Vec<(String, Option<String>)>,
    down: bool,
}

async fn answer(State(host): State<Host>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    let header = |headers: &HeaderMap, name| {
        headers
            .get(name)
            .and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
            .map(str::to_owned)
    };
    let login = header(request.headers(), "authorization");
    let mut told = host.0.lock().unwrap();
    told.asked.push((path.clone(), login.clone()));
    if told.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if let Some((expected, challenge)) = &told.guard
        && login.as_ref() != Some(expected)
    {
        let challenge = [("www-authenticate", challenge.clone())];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let Some((status, headers, body)) = told.answers.get(&path).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let known = header(request.headers(), "if-none-match");
    if known.is_some()
        && headers
            .iter()
            .any(|(name, tag)| *name == "etag" && Some(tag) == known.as_ref())
    {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let mut answer = (status, body).into_response();
    for (name, value) in headers {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}
