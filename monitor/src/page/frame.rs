//! What all pages have in common: the document, its style and script, and a policy that lets nothing else in.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::problem::Problem;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");

pub(crate) struct Frame<'a> {
    title: &'a str,
    /// Where the page hears of changes.
    live: &'a str,
    logged_in: bool,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(title: &'a str, live: &'a str, logged_in: bool) -> Self {
        Self {
            title,
            live,
            logged_in,
        }
    }

    pub(crate) fn page(&self, tools: &Markup, body: &Markup) -> Response {
        let nonce = nonce();
        let head = html! {
            noscript { meta http-equiv="refresh" content="15"; }
        };
        let tools = html! {
            (tools)
            span id="live" role="status" {}
            @if self.logged_in {
                form method="post" action="/logout" { button { "Log out" } }
            }
        };
        let script = html! { script nonce=(nonce) data-live=(self.live) { (PreEscaped(SCRIPT)) } };
        document(self.title, &nonce, &head, &tools, body, &script)
    }
}

pub(crate) fn problem(problem: &Problem) -> Response {
    let body = html! {
        section class="notice" {
            h1 { (capital(&problem.error)) }
            p { (capital(&problem.hint)) "." }
            p { a href="/" { "All applications" } }
        }
    };
    let none = html! {};
    let mut response = document(&problem.error, &nonce(), &none, &none, &body, &none);
    *response.status_mut() = problem.status;
    response
}

pub(crate) fn login(error: Option<&str>) -> Response {
    let body = html! {
        section class="notice" {
            h1 { "Log in" }
            @if let Some(error) = error {
                p class="error" role="alert" { (capital(error)) }
            }
            form method="post" action="/login" class="login" {
                label { span { "Token of the control cluster" }
                    input type="password" name="token" required autocomplete="off" autofocus;
                }
                button { "Log in" }
            }
            p { "For example of " code { "kubectl create token <service account>" }
                ". It needs the right to " code { "list" } " applications.argoproj.io. "
                "Without https the browser keeps it on this machine only." }
        }
    };
    let none = html! {};
    document("Log in", &nonce(), &none, &none, &body, &none)
}

/// Good for one answer.
fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn document(
    title: &str,
    nonce: &str,
    head: &Markup,
    tools: &Markup,
    body: &Markup,
    end: &Markup,
) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Towline" }
                (head)
                style nonce=(nonce) { (PreEscaped(STYLE)) }
            }
            body {
                header class="top" {
                    a class="brand" href="/" { "Towline" }
                    (tools)
                }
                main id="main" { (body) }
                (end)
            }
        }
    };
    let mut response = page.into_response();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
