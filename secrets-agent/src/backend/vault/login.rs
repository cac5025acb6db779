//! How the agent gets its token: from a file, from the environment, or for a JWT. What is in a file is read at each login, so a
//! rotated one takes effect when Vault refuses the old one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use api::Sensitive;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::http::{Http, Reply};
use crate::args::VaultArgs;
use crate::backend::BackendError;

/// The longest token file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;

pub(super) enum Login {
    File(PathBuf),
    Token(Sensitive),
    Jwt {
        mount: String,
        role: String,
        file: PathBuf,
    },
}

/// A token as the header that carries it, marked so that no log of headers shows it.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    /// When another one should be had; none for a token that others renew.
    renew_at: Option<Instant>,
}

impl Login {
    pub(super) fn new(args: &VaultArgs) -> Option<Self> {
        if let Some(role) = &args.vault_jwt_role {
            return Some(Self::Jwt {
                mount: args.vault_jwt_mount.trim_matches('/').to_owned(),
                role: role.clone(),
                file: args.vault_jwt_file.clone(),
            });
        }
        if let Some(path) = &args.vault_token_file {
            return Some(Self::File(path.clone()));
        }
        args.vault_token
            .as_ref()
            .filter(|token| !token.is_empty())
            .map(|token| Self::Token(token.clone()))
    }

    pub(super) async fn log_in(&self, http: &Http) -> Result<Token, BackendError> {
        match self {
            Self::Token(token) => Token::new(token.expose(), None),
            Self::File(path) => Token::new(&read(path).await?, None),
            Self::Jwt { mount, role, file } => {
                with_jwt(http, mount, role, &read(file).await?).await
            }
        }
    }
}

impl Token {
    fn new(text: &str, lasts: Option<Duration>) -> Result<Self, BackendError> {
        let mut header = HeaderValue::from_str(text).map_err(|_| BackendError::Login {
            why: "the token holds characters that no header may hold".to_owned(),
        })?;
        header.set_sensitive(true);
        Ok(Self {
            header,
            // Well before its end, so that no request meets it.
            renew_at: lasts.map(|lasts| Instant::now() + lasts.mul_f64(2.0 / 3.0)),
        })
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.renew_at.is_none_or(|renew_at| now < renew_at)
    }
}

#[derive(Serialize)]
struct JwtBody<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Deserialize)]
struct LoginBody {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Sensitive,
    lease_duration: u64,
}

async fn with_jwt(http: &Http, mount: &str, role: &str, jwt: &str) -> Result<Token, BackendError> {
    let failed = |why: String| BackendError::Login { why };
    let body = serde_json::to_vec(&JwtBody { role, jwt })
        .map(Zeroizing::new)
        .map_err(|_| failed("the request cannot be encoded".to_owned()))?;
    let reply = match http.post(&format!("auth/{mount}/login"), &body).await {
        Ok(reply) => reply,
        // What Vault answers to a JWT that it does not accept.
        Err(BackendError::Failing { status: 400, .. }) => Reply::Denied,
        Err(error) => return Err(error),
    };
    match reply {
        Reply::Body(body) => {
            let LoginBody { auth } = serde_json::from_slice(&body)
                .map_err(|_| failed("Vault's answer holds no token".to_owned()))?;
            let lasts = (auth.lease_duration > 0).then(|| Duration::from_secs(auth.lease_duration));
            Token::new(auth.client_token.expose(), lasts)
        }
        Reply::Missing => Err(failed(format!("no auth method is mounted at `{mount}`"))),
        Reply::Denied => Err(failed(format!(
            "role `{role}` of auth method `{mount}` does not accept this agent's JWT"
        ))),
    }
}

async fn read(path: &PathBuf) -> Result<Zeroizing<String>, BackendError> {
    use tokio::io::AsyncReadExt as _;

    let failed = |error: std::io::Error| BackendError::Login {
        why: format!("{} cannot be read: {}", path.display(), error.kind()),
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .await
        .map_err(failed)?;
    let token = Zeroizing::new(text.trim().to_owned());
    if token.is_empty() {
        return Err(BackendError::Login {
            why: format!("{} is empty", path.display()),
        });
    }
    Ok(token)
}
