//! Whoever asks for the page, and whether they may read it.

use std::net::IpAddr;

use api::Sensitive;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::access::{Wish, bearer, cookie};
use crate::page::frame;
use crate::problem::Problem;
use crate::server::{PageAuth, Shared};

/// A reader of the page: anybody, or somebody with a token.
pub(crate) struct Reader(Option<Sensitive>);

/// Why somebody doesn't get to read.
pub(crate) enum Barred {
    Login,
    Problem(Problem),
}

impl From<Problem> for Barred {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Barred {
    fn into_response(self) -> Response {
        match self {
            Self::Login => Redirect::to("/login").into_response(),
            Self::Problem(problem) => frame::problem(&problem),
        }
    }
}

impl FromRequestParts<Shared> for Reader {
    type Rejection = Barred;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Barred> {
        match shared.page_auth {
            PageAuth::Token => {
                let token = bearer(&parts.headers).or_else(|| cookie(&parts.headers));
                token.map_or(Err(Barred::Login), |token| Ok(Self(Some(token))))
            }
            // A site whose name was made to point at this machine could read what is meant for it only.
            PageAuth::None if shared.loopback && !is_local(&parts.headers) => Err(Problem::forbidden(
                "the page is served to this machine only",
                "open it as localhost or 127.0.0.1, or listen on another address with --page-auth token",
            )
            .into()),
            PageAuth::None => Ok(Self(None)),
        }
    }
}

impl Reader {
    pub(crate) async fn require(&self, shared: &Shared, wish: Wish) -> Result<(), Barred> {
        let Some(token) = &self.0 else {
            return Ok(());
        };
        let user = shared
            .access
            .require_user(Some(token.clone()))
            .await
            .map_err(|problem| {
                if problem.status == StatusCode::UNAUTHORIZED {
                    Barred::Login
                } else {
                    problem.into()
                }
            })?;
        Ok(shared.access.require(&user, &[wish]).await?)
    }

    pub(crate) fn has_token(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn into_token(self) -> Option<Sensitive> {
        self.0
    }
}

/// Whether the request names this machine itself.
pub(crate) fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether a form was sent from our own page.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
    };
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, from)| from == host),
        // Every browser sends an origin with a form; what is no browser has no cookie to abuse.
        (None, _) => !headers.contains_key("sec-fetch-site"),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let parse = |(name, value): &(&str, &str)| {
            (
                name.parse::<header::HeaderName>().unwrap(),
                value.parse().unwrap(),
            )
        };
        pairs.iter().map(parse).collect()
    }

    #[test]
    fn a_rebound_name_is_not_this_machine() {
        for local in [
            "localhost",
            "localhost:8484",
            "127.0.0.1:8484",
            "[::1]:8484",
            "127.9.9.9",
        ] {
            assert!(is_local(&headers(&[("host", local)])), "{local}");
        }
        for other in [
            "evil.example.org",
            "localhost.evil.example.org:8484",
            "10.0.0.1",
            "",
        ] {
            assert!(!is_local(&headers(&[("host", other)])), "{other}");
        }
        assert!(!is_local(&HeaderMap::new()));
    }

    #[test]
    fn a_form_of_another_site_is_not_ours() {
        let from = |origin| {
            is_same_origin(&headers(&[
                ("origin", origin),
                ("host", "towline.example.org"),
            ]))
        };
        assert!(from("https://towline.example.org"));
        assert!(!from("https://evil.example.org"));
        assert!(!from("null"));
        assert!(!is_same_origin(&headers(&[(
            "sec-fetch-site",
            "cross-site"
        )])));
    }
}
