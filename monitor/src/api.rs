//! The JSON API under `/api/v1`, for `towline` and other programs.
//!
//! | method and path | Kubernetes verb on `applications.argoproj.io` | answer |
//! | --- | --- | --- |
//! | `GET applications` | `list` | `{"items": [Summary]}` |
//! | `GET applications/{namespace}/{name}` | `get` | a [`View`](crate::view::View) |
//! | `GET events?app=&limit=` | `get` of that one, `list` without `app` | `{"items": [Event]}`, or a stream ([`crate::live`]) for `Accept: text/event-stream` |
//! | `GET applications/{namespace}/{name}/diff` | `get` | what a release would change, as [`Differences`] |
//! | `POST applications/{namespace}/{name}/diff` | `diff` or `update` | the same, with the manifests `{"manifests"}`: a JSON array, gzip, base64 |
//! | `GET applications/{namespace}/{name}/secrets` | `get` | which secrets it reads, whether it may and they are there, as [`Report`]; never a value |
//! | `POST applications/{namespace}/{name}/secrets` | `diff` or `update` | the same, with the manifests `{"manifests"}` |
//! | `GET applications/{namespace}/{name}/tree` | `get` | its objects with what they own in turn, as [`Tree`] |
//! | `POST applications/{namespace}/{name}/{verb}` | the verb (`refresh`, `sync`, `rollback`, `pin`, `unpin`, `terminate`), or `update` | 202 and `{"id"}` |
//!
//! Every request carries `Authorization: Bearer <token>`; a cookie counts for nothing here, so no other site can send
//! commands from somebody's browser. A command's `Idempotency-Key` makes repeating it harmless.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bus::message::check::{self, Report};
use bus::message::command::Command;
use bus::message::diff::{Differences, Question};
use bus::message::event::Event;
use bus::message::tree::{self, Tree};
use bus::{AppId, ClusterId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::access::{Wish, bearer};
use crate::command::{self, Order};
use crate::events::MAX_PER_APPLICATION;
use crate::live::{self, Guard};
use crate::problem::Problem;
use crate::server::Shared;
use crate::view::{Summary, View};

/// Header by which a client makes a command repeatable.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest body of a comparison, in bytes.
const MAX_DIFF: usize = Question::MAX_MANIFESTS + 1_024;
/// Events that are given when nobody says how many.
const EVENTS: usize = 100;

/// A list of anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Items<T> {
    pub items: Vec<T>,
}

/// The answer to a command that is on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// As in the events about it.
    pub id: String,
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/applications", get(list))
        .route("/applications/{namespace}/{name}", get(one))
        .route(
            "/applications/{namespace}/{name}/diff",
            get(diff)
                .post(diff_of)
                .layer(DefaultBodyLimit::max(MAX_DIFF)),
        )
        .route(
            "/applications/{namespace}/{name}/secrets",
            get(secrets)
                .post(secrets_of)
                .layer(DefaultBodyLimit::max(MAX_DIFF)),
        )
        .route("/applications/{namespace}/{name}/tree", get(grown))
        .route("/applications/{namespace}/{name}/{verb}", post(order))
        .route("/events", get(events))
}

async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<Json<Items<Summary>>, Problem> {
    let user = shared.access.require_user(bearer(&headers)).await?;
    shared
        .access
        .require(&user, &[Wish::on_all("list", &shared.namespace)])
        .await?;
    let views = shared.store.views();
    let own = views
        .iter()
        .filter(|view| view.app.namespace() == shared.namespace);
    Ok(Json(Items {
        items: own.map(View::summary).collect(),
    }))
}

async fn one(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<View>, Problem> {
    let user = shared.access.require_user(bearer(&headers)).await?;
    let app = identity(&namespace, &name)?;
    shared
        .access
        .require(&user, &[Wish::on("get", &app)])
        .await?;
    shared
        .store
        .view(&app)
        .map(Json)
        .ok_or_else(|| unknown(&app))
}

#[derive(Deserialize)]
struct EventsQuery {
    app: Option<String>,
    limit: Option<usize>,
}

async fn events(
    State(shared): State<Shared>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = bearer(&headers);
    let user = shared.access.require_user(token.clone()).await?;
    let app = match query.app.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => {
            let (namespace, name) = text.split_once('/').unwrap_or((&shared.namespace, text));
            Some(identity(namespace, name)?)
        }
        None => None,
    };
    let wish = match &app {
        Some(app) => Wish::on("get", app),
        None => Wish::on_all("list", &shared.namespace),
    };
    shared
        .access
        .require(&user, std::slice::from_ref(&wish))
        .await?;
    let limit = query.limit.unwrap_or(EVENTS).min(MAX_PER_APPLICATION);
    let streamed = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if streamed.is_some_and(|accept| accept.contains("text/event-stream"))
        && let Some(token) = token
    {
        let guard = Guard { token, wish };
        return live::events(&shared, app.as_ref(), limit, guard, &headers)
            .map(IntoResponse::into_response);
    }
    let recorded = shared.store.events(app.as_ref(), limit);
    let own = recorded
        .iter()
        .filter(|one| app.is_some() || one.event.app.namespace() == shared.namespace);
    let items: Vec<Event> = own.map(|recorded| recorded.event.clone()).collect();
    Ok(Json(Items { items }).into_response())
}

async fn diff(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Differences>, Problem> {
    let user = shared.access.require_user(bearer(&headers)).await?;
    let app = identity(&namespace, &name)?;
    let wish = [Wish::on("get", &app)];
    shared.access.require(&user, &wish).await?;
    compare(&shared, app, &user.name, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestsBody {
    manifests: String,
}

/// Whoever gives manifests has the applier look at objects of their choice, within the project: more than reading.
async fn diff_of(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Differences>, Problem> {
    let (app, user, manifests) = given(&shared, &namespace, &name, &headers, body).await?;
    compare(&shared, app, &user, Some(manifests)).await
}

async fn secrets(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Report>, Problem> {
    let user = shared.access.require_user(bearer(&headers)).await?;
    let app = identity(&namespace, &name)?;
    let wish = [Wish::on("get", &app)];
    shared.access.require(&user, &wish).await?;
    check(&shared, app, &user.name, None).await
}

/// Whoever gives manifests learns of any path of the project's whether it is there: more than reading, as for a comparison.
async fn secrets_of(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Report>, Problem> {
    let (app, user, manifests) = given(&shared, &namespace, &name, &headers, body).await?;
    check(&shared, app, &user, Some(manifests)).await
}

async fn grown(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Tree>, Problem> {
    let user = shared.access.require_user(bearer(&headers)).await?;
    let app = identity(&namespace, &name)?;
    let wish = [Wish::on("get", &app)];
    shared.access.require(&user, &wish).await?;
    let question = tree::Question {
        cluster: cluster_of(&shared, &app)?,
        app,
        user: user.name.clone(),
    };
    crate::ask::tree(&shared.asks, question).await.map(Json)
}

/// The application, the user's name and the manifests of a request that may give some.
async fn given(
    shared: &Shared,
    namespace: &str,
    name: &str,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(AppId, String, String), Problem> {
    let user = shared.access.require_user(bearer(headers)).await?;
    let app = identity(namespace, name)?;
    let wishes = [Wish::on("diff", &app), Wish::on("update", &app)];
    shared.access.require(&user, &wishes).await?;
    let too_large = |_| {
        Problem::too_large(
            format!("the body can't be read, or is over {} KiB", MAX_DIFF / 1024),
            "give fewer objects at once",
        )
    };
    let body: ManifestsBody =
        serde_json::from_slice(&body.map_err(too_large)?).map_err(|error| {
            Problem::bad_request(
                format!("the body is not what is looked at: {error}"),
                "send {\"manifests\": <a JSON array of objects, gzip, base64>}",
            )
        })?;
    if body.manifests.len() > Question::MAX_MANIFESTS {
        return Err(Problem::too_large(
            format!(
                "packed manifests are over {} KiB",
                Question::MAX_MANIFESTS / 1024
            ),
            "give fewer objects at once",
        ));
    }
    Ok((app, user.name.clone(), body.manifests))
}

async fn compare(
    shared: &Shared,
    app: AppId,
    user: &str,
    manifests: Option<String>,
) -> Result<Json<Differences>, Problem> {
    let question = Question {
        cluster: cluster_of(shared, &app)?,
        app,
        user: user.to_owned(),
        manifests,
    };
    crate::ask::diff(&shared.asks, question).await.map(Json)
}

async fn check(
    shared: &Shared,
    app: AppId,
    user: &str,
    manifests: Option<String>,
) -> Result<Json<Report>, Problem> {
    let question = check::Question {
        cluster: cluster_of(shared, &app)?,
        app,
        user: user.to_owned(),
        manifests,
    };
    crate::ask::check(&shared.asks, question).await.map(Json)
}

fn cluster_of(shared: &Shared, app: &AppId) -> Result<ClusterId, Problem> {
    let view = shared.store.view(app).ok_or_else(|| unknown(app))?;
    view.cluster.clone().ok_or_else(|| {
        Problem::conflict(
            format!("the destination of {app} matches no cluster"),
            "correct spec.destination, or register the cluster; the conditions say more",
        )
    })
}

async fn order(
    State(shared): State<Shared>,
    Path((namespace, name, verb)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let user = shared.access.require_user(bearer(&headers)).await?;
    let verb = command::verb(&verb).ok_or_else(|| {
        Problem::not_found(
            "there is no such command",
            "use refresh, sync, rollback, pin, unpin or terminate",
        )
    })?;
    let app = identity(&namespace, &name)?;
    let wishes = [Wish::on(verb.token(), &app), Wish::on("update", &app)];
    shared.access.require(&user, &wishes).await?;
    let body = body.map_err(|_| {
        Problem::too_large(
            "the body can't be read, or is over 64 KiB",
            "name fewer resources, or none for all",
        )
    })?;
    let action = command::action(verb, &body)?;
    let view = shared.store.view(&app).ok_or_else(|| unknown(&app))?;
    let cluster = command::destination(&view, verb)?;
    command::check_release(&view, &action)?;
    let key =
        match headers.get(IDEMPOTENCY_KEY) {
            Some(key) => Some(key.to_str().map_err(|_| {
                Problem::bad_request("the Idempotency-Key is not text", "send a UUID")
            })?),
            None => None,
        };
    let id = command::id(key, &user.name, &view, verb)?;
    let command = Command {
        id: id.clone(),
        app,
        cluster,
        user: user.name.clone(),
        issued: bus::clock::now_ms(),
        action,
    };
    publish(&shared, command).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { id })))
}

async fn publish(shared: &Shared, command: Command) -> Result<(), Problem> {
    let unavailable = || {
        Problem::unavailable(
            "the command can't reach the broker now",
            "try again with the same Idempotency-Key; /readyz and the log say more",
        )
    };
    let (done, answer) = oneshot::channel();
    shared
        .orders
        .try_send(Order { command, done })
        .map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Closed(_) => unavailable(),
        })?;
    match answer.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a command can't be published"
            );
            Err(unavailable())
        }
        Err(_) => Err(unavailable()),
    }
}

fn identity(namespace: &str, name: &str) -> Result<AppId, Problem> {
    AppId::new(namespace, name).map_err(|error| {
        Problem::bad_request(
            error.to_string(),
            "name the Application as <namespace>/<name>",
        )
    })
}

fn unknown(app: &AppId) -> Problem {
    Problem::not_found(
        format!("no Application {app} is known"),
        "check namespace and name; one that was just created shows within a second",
    )
}
