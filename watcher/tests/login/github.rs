//! GitHub's API, as far as an app logs in with it: it believes only what the app's key signed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

pub(crate) const KEY: &str = include_str!("app.pem");
pub(crate) const APP: u64 = 4711;
pub(crate) const INSTALLATION: u64 = 42;

#[derive(Clone)]
pub(crate) struct GitHub {
    pub(crate) address: SocketAddr,
    issued: Arc<AtomicUsize>,
    /// How long a token is good, in seconds.
    good: i64,
}

impl GitHub {
    pub(crate) async fn start(good: i64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let github = Self {
            address: listener.local_addr().unwrap(),
            issued: Arc::default(),
            good,
        };
        let router = Router::new()
            .route("/api/v3/app/installations/{id}/access_tokens", post(issue))
            .route("/api/v3/repos/{owner}/{name}/installation", get(find))
            .with_state(github.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        github
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}/api/v3/", self.address)
    }

    pub(crate) fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }
}

/// Whether a request's JSON Web Token is the app's, and of now.
fn is_app(headers: &HeaderMap) -> bool {
    let Some(token) = headers
        .get("authorization")
        .and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "))
    else {
        return false;
    };
    let (said, signature) = token.rsplit_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let key = PrivatePkcs1KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_der(key.secret_pkcs1_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public());
    let (header, claims) = said.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
    let now = jiff::Timestamp::now().as_second();
    let (from, until) = (
        claims["iat"].as_i64().unwrap(),
        claims["exp"].as_i64().unwrap(),
    );
    public.verify(said.as_bytes(), &decode(signature)).is_ok()
        && header == json!({"alg": "RS256", "typ": "JWT"})
        && claims["iss"].as_str().and_then(|it| it.parse().ok()) == Some(APP)
        && from <= now
        && now < until
        && until - from <= 600
}

async fn issue(
    State(github): State<GitHub>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    if !is_app(&headers) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    if id != INSTALLATION {
        return Err(StatusCode::NOT_FOUND);
    }
    github.issued.fetch_add(1, Ordering::SeqCst);
    let ends = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + github.good);
    let body = json!({"token": "ghs_canary", "expires_at": ends.unwrap().to_string()});
    Ok((StatusCode::CREATED, Json(body)))
}

async fn find(
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    if !is_app(&headers) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    if (owner.as_str(), name.as_str()) != ("team", "repo") {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(Json(
        json!({"id": INSTALLATION, "account": {"login": "team"}}),
    ))
}
