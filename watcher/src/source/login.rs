//! As whom an HTTP request speaks.

use api::Sensitive;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use url::Url;
use zeroize::Zeroizing;

use super::access::Access;
use super::github::{self, AppError};

/// The user of a password or token that comes without one: hosts that know tokens take any.
const TOKEN_USER: &str = "x-access-token";

impl Access {
    /// What the repository's host is told, at once and not only when it asks, as Argo CD does it: nothing where there is no
    /// login. In its order: a bearer token, user and password, a GitHub App, what the URL holds.
    pub async fn authorization(
        &self,
        client: &reqwest::Client,
        repository: &Url,
    ) -> Result<Option<HeaderValue>, AppError> {
        let credentials = &self.credentials;
        let own = credentials.password.as_ref().map(|password| {
            let user = credentials.username.as_ref().map(Sensitive::expose);
            basic(user.unwrap_or(TOKEN_USER), password.expose())
        });
        if let Some(own) = own.as_ref().filter(|_| self.force_basic) {
            return Ok(own.clone());
        }
        if let Some(token) = &credentials.bearer_token {
            return Ok(sensitive(&format!("Bearer {}", token.expose())));
        }
        if let Some(own) = own {
            return Ok(own);
        }
        if let Some(app) = github::App::of(credentials, repository) {
            let token = app.token(client).await?;
            return Ok(basic_of_token(&token));
        }
        // Some write a token where the user belongs.
        let (user, password) = (repository.username(), repository.password());
        if user.is_empty() && password.is_none() {
            return Ok(None);
        }
        let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        Ok(basic(&decode(user), &decode(password.unwrap_or_default())))
    }
}

fn basic_of_token(token: &Sensitive) -> Option<HeaderValue> {
    basic(TOKEN_USER, token.expose())
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let pair = Zeroizing::new(format!("{user}:{password}"));
    sensitive(&format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// A header whose value isn't shown; none if it can't be one.
fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(value).ok()?;
    header.set_sensitive(true);
    Some(header)
}
