//! An answer that says what is wrong and what to do: `{"error", "hint"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub error: String,
    /// What to do.
    pub hint: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    hint: &'a str,
}

macro_rules! problems {
    ($($(#[doc = $doc:literal])* $name:ident = $status:ident),* $(,)?) => {
        impl Problem {$(
            $(#[doc = $doc])*
            pub fn $name(error: impl Into<String>, hint: impl Into<String>) -> Self {
                Self { status: StatusCode::$status, error: error.into(), hint: hint.into() }
            }
        )*}
    };
}

problems! {
    bad_request = BAD_REQUEST,
    unauthorized = UNAUTHORIZED,
    forbidden = FORBIDDEN,
    not_found = NOT_FOUND,
    conflict = CONFLICT,
    timeout = REQUEST_TIMEOUT,
    too_large = PAYLOAD_TOO_LARGE,
    /// Something that we depend on can't be reached now.
    unavailable = SERVICE_UNAVAILABLE,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(Body {
            error: &self.error,
            hint: &self.hint,
        });
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = axum::http::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(axum::http::header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
