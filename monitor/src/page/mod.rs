//! The page: applications × environments, and one application in full. For people; readable without JavaScript, no asset
//! from elsewhere, kept up to date by server-sent events where a script may run.

mod application;
mod badge;
mod filter;
mod frame;
mod matrix;
mod reader;

use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Router, http};
use bus::AppId;
use serde::Deserialize;

use crate::access::{COOKIE_NAME, Wish};
use crate::live::{self, Guard};
use crate::problem::Problem;
use crate::server::{PageAuth, Shared};
use filter::Filter;
use frame::Frame;
use reader::{Barred, Reader};

/// Events that an application's page shows.
const EVENTS: usize = 60;
/// Browsers keep about 4 KiB per cookie.
const MAX_COOKIE: usize = 3_800;
/// Seconds until somebody has to log in again.
const LOGIN_KEPT: u32 = 8 * 3_600;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(overview))
        .route("/applications/{namespace}/{name}", get(one))
        .route("/live", get(changes))
        .route("/login", get(login).post(log_in))
        .route("/logout", axum::routing::post(log_out))
}

async fn overview(
    State(shared): State<Shared>,
    Query(filter): Query<Filter>,
    reader: Reader,
) -> Result<Response, Barred> {
    reader
        .require(&shared, Wish::on_all("list", &shared.namespace))
        .await?;
    let mut views = shared.store.views();
    views.retain(|view| view.app.namespace() == shared.namespace);
    let now = bus::clock::now_ms();
    let frame = Frame::new("Applications", "/live", reader.has_token());
    Ok(frame.page(&filter.form(), &matrix::body(&views, &filter, now)))
}

async fn one(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    reader: Reader,
) -> Result<Response, Barred> {
    let app = identity(&namespace, &name)?;
    reader.require(&shared, Wish::on("get", &app)).await?;
    let view = shared.store.view(&app).ok_or_else(|| unknown(&app))?;
    let events = shared.store.events(Some(&app), EVENTS);
    let now = bus::clock::now_ms();
    let live = format!("/live?app={app}");
    let title = app.to_string();
    let frame = Frame::new(&title, &live, reader.has_token());
    Ok(frame.page(&maud::html! {}, &application::body(&view, &events, now)))
}

#[derive(Deserialize)]
struct Live {
    app: Option<String>,
}

async fn changes(
    State(shared): State<Shared>,
    Query(query): Query<Live>,
    reader: Reader,
) -> Result<Response, Barred> {
    let app = match query
        .app
        .as_deref()
        .map(|text| text.split_once('/').unwrap_or((&shared.namespace, text)))
    {
        Some((namespace, name)) => Some(identity(namespace, name)?),
        None => None,
    };
    let wish = match &app {
        Some(app) => Wish::on("get", app),
        None => Wish::on_all("list", &shared.namespace),
    };
    reader.require(&shared, wish.clone()).await?;
    let guard = reader.into_token().map(|token| Guard { token, wish });
    Ok(live::changes(&shared, app, guard)?.into_response())
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn login(State(shared): State<Shared>) -> Response {
    if shared.page_auth == PageAuth::None {
        return Redirect::to("/").into_response();
    }
    frame::login(None)
}

async fn log_in(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<Login>,
) -> Response {
    if !reader::is_same_origin(&headers) {
        let problem = Problem::forbidden(
            "this login came from another site",
            "log in on the page itself",
        );
        return frame::problem(&problem);
    }
    let token = api::Sensitive::new(form.token.trim());
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\');
    if token.expose().len() > MAX_COOKIE || !token.expose().bytes().all(fits) {
        return frame::login(Some(
            "This token can't be kept in a cookie: send it as a header.",
        ));
    }
    match shared.access.require_user(Some(token.clone())).await {
        Ok(user) => tracing::info!(user = user.name, "logged in on the page"),
        Err(problem) => {
            return frame::login(Some(&format!("{}: {}.", problem.error, problem.hint)));
        }
    }
    // Over http only this machine keeps it.
    let secure = if reader::is_local(&headers) {
        ""
    } else {
        "; Secure"
    };
    let cookie = format!(
        "{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={LOGIN_KEPT}{secure}",
        token.expose()
    );
    let mut response = Redirect::to("/").into_response();
    if let Ok(mut value) = HeaderValue::from_str(&cookie) {
        value.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

async fn log_out(headers: HeaderMap) -> Response {
    if !reader::is_same_origin(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let gone = format!("{COOKIE_NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    let mut response = Redirect::to("/login").into_response();
    if let Ok(value) = HeaderValue::from_str(&gone) {
        response
            .headers_mut()
            .insert(http::header::SET_COOKIE, value);
    }
    response
}

fn identity(namespace: &str, name: &str) -> Result<AppId, Problem> {
    AppId::new(namespace, name).map_err(|error| {
        Problem::bad_request(
            error.to_string(),
            "the address is /applications/<namespace>/<name>",
        )
    })
}

fn unknown(app: &AppId) -> Problem {
    Problem::not_found(
        format!("no Application {app} is known"),
        "go back to the overview; one that was just created shows within a second",
    )
}
