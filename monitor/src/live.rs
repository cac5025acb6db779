//! Server-sent events: what happens, as it happens.
//!
//! The API's stream carries events of the bus as JSON, with their sequence as id. The page's stream carries the identities of
//! applications that changed (`event: changed`), or that some were left out (`event: lagged`), so that all is to be read again.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api::Sensitive;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use bus::AppId;
use futures::{Stream, StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::access::Wish;
use crate::events::Recorded;
use crate::problem::Problem;
use crate::server::Shared;
use crate::store::Notice;

/// Whether whoever listens still may is asked this often.
const CHECKED: Duration = Duration::from_mins(1);

/// Who listens, and what they need the right to.
pub struct Guard {
    pub token: Sensitive,
    pub wish: Wish,
}

/// Past and coming events of one application, or of all.
pub fn events(
    shared: &Shared,
    app: Option<&AppId>,
    limit: usize,
    guard: Guard,
    headers: &HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>> + use<>>, Problem> {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    // Listen first, look back then: what comes between is in both, and left out by its sequence.
    let scope = Scope {
        app: app.cloned(),
        namespace: shared.namespace.clone(),
    };
    let coming = follow(shared, scope, Some(guard))?;
    let past: Vec<_> = (shared.store.events(app, limit).into_iter())
        .filter(|recorded| Some(recorded.sequence) > last)
        .filter(|recorded| app.is_some() || recorded.event.app.namespace() == shared.namespace)
        .collect();
    let seen: HashSet<u64> = past.iter().map(|recorded| recorded.sequence).collect();
    let coming = coming.filter_map(move |notice| {
        let message = match notice {
            Heard::Event(recorded) if seen.contains(&recorded.sequence) => None,
            Heard::Event(recorded) => Some(event(&recorded)),
            Heard::Changed(_) => None,
            Heard::Lagged => Some(Message::default().comment("some events were left out")),
        };
        std::future::ready(message.map(Ok))
    });
    let past = stream::iter(past).map(|recorded| Ok(event(&recorded)));
    Ok(Sse::new(past.chain(coming)).keep_alive(KeepAlive::default()))
}

/// Which applications changed, for the page.
pub fn changes(
    shared: &Shared,
    app: Option<AppId>,
    guard: Option<Guard>,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>> + use<>>, Problem> {
    let coming = follow(
        shared,
        Scope {
            app,
            namespace: shared.namespace.clone(),
        },
        guard,
    )?;
    let messages = coming.map(|notice| {
        Ok(match notice {
            Heard::Event(recorded) => changed(&recorded.event.app),
            Heard::Changed(app) => changed(&app),
            Heard::Lagged => Message::default().event("lagged").data(""),
        })
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::default()))
}

fn event(recorded: &Recorded) -> Message {
    let message = Message::default()
        .event("event")
        .id(recorded.sequence.to_string());
    // An event came as JSON; that it can't be written as such does not happen.
    message.json_data(&recorded.event).unwrap_or_default()
}

fn changed(app: &AppId) -> Message {
    Message::default().event("changed").data(app.to_string())
}

enum Heard {
    Event(Arc<Recorded>),
    Changed(AppId),
    Lagged,
}

/// What the listener may hear: one application, or all of a namespace.
struct Scope {
    app: Option<AppId>,
    namespace: String,
}

impl Scope {
    fn holds(&self, app: &AppId) -> bool {
        match &self.app {
            Some(own) => own == app,
            None => app.namespace() == self.namespace,
        }
    }
}

struct Listener {
    notices: Receiver<Notice>,
    scope: Scope,
    shared: Shared,
    guard: Option<Guard>,
    checked: tokio::time::Instant,
    _place: OwnedSemaphorePermit,
}

fn follow(
    shared: &Shared,
    scope: Scope,
    guard: Option<Guard>,
) -> Result<impl Stream<Item = Heard> + use<>, Problem> {
    let place = Arc::clone(&shared.streams)
        .try_acquire_owned()
        .map_err(|_| {
            Problem::unavailable(
                "too many streams are open",
                "close some, or ask again later",
            )
        })?;
    let listener = Listener {
        notices: shared.store.listen(),
        scope,
        shared: shared.clone(),
        guard,
        checked: tokio::time::Instant::now(),
        _place: place,
    };
    Ok(stream::unfold(listener, |mut listener| async move {
        let heard = listener.next().await?;
        Some((heard, listener))
    }))
}

impl Listener {
    async fn next(&mut self) -> Option<Heard> {
        loop {
            let notice = tokio::select! {
                notice = self.notices.recv() => notice,
                () = self.shared.stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.checked + CHECKED) => {
                    self.checked = tokio::time::Instant::now();
                    if self.is_barred().await {
                        return None;
                    }
                    continue;
                }
            };
            match notice {
                Ok(Notice::Event(recorded)) if self.scope.holds(&recorded.event.app) => {
                    return Some(Heard::Event(recorded));
                }
                Ok(Notice::Changed(app)) if self.scope.holds(&app) => {
                    return Some(Heard::Changed(app));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Some(Heard::Lagged),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Whether whoever listens may no longer: their token expired, or their right was taken. While the control cluster can't be
    /// asked, what it said last holds.
    async fn is_barred(&self) -> bool {
        let Some(Guard { token, wish }) = &self.guard else {
            return false;
        };
        let access = &self.shared.access;
        match access.authenticate(token).await {
            Ok(Some(user)) => access.may(&user, wish).await.is_ok_and(|may| !may),
            Ok(None) => true,
            Err(_) => false,
        }
    }
}
