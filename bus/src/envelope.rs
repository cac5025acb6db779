//! What every message carries besides its body: `CloudEvents` 1.0 headers (NATS binding, binary mode) and a W3C `traceparent`.

use async_nats::HeaderMap;

use crate::client::decode;
use crate::clock;
use crate::error::BusError;
use crate::message::Message;
use crate::subject;
use crate::trace::Trace;

/// Length limit of any header value that is read.
const MAX_VALUE: usize = 512;

/// The broker's word for where a copy came from.
const FROM: &str = "Nats-Stream";

/// The headers of `body`, as published by `service`.
pub(crate) fn headers<T: Message>(service: &str, body: &T) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", uuid::Uuid::now_v7().to_string());
    headers.insert("ce-type", format!("dev.towline.{}.v1", T::KIND));
    headers.insert("ce-source", format!("towline/{service}"));
    if let Some(app) = body.about() {
        headers.insert("ce-subject", app.to_string());
    }
    headers.insert("ce-time", rfc3339(clock::now_ms()));
    headers.insert("ce-datacontenttype", "application/json");
    headers.insert("traceparent", Trace::current().child().to_string());
    headers
}

/// The trace that a message belongs to; a new one when it names none that can be read.
pub(crate) fn trace(headers: Option<&HeaderMap>) -> Trace {
    headers
        .and_then(|headers| headers.get("traceparent"))
        .map(async_nats::HeaderValue::as_str)
        .filter(|value| value.len() <= MAX_VALUE)
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(Trace::new)
}

/// A stored message's body, proven to be one that was published there.
///
/// The broker sends an answer wherever a request says, and does so with its own rights: whoever may read anything can have it
/// copied onto a subject that it may not publish to. A copy tells where it came from (`Nats-Stream`; `copies` says how
/// often the way by which it was read adds that itself), or else names another application or cluster than its subject.
pub(crate) fn body<T: Message>(
    subject: &str,
    headers: Option<&HeaderMap>,
    copies: usize,
    payload: &[u8],
) -> Result<T, BusError> {
    let misplaced = |why| BusError::Decode {
        subject: subject.to_owned(),
        kind: T::KIND,
        source: serde::de::Error::custom(why),
    };
    let sources = headers.map_or(0, |headers| headers.get_all(FROM).count());
    if sources > copies {
        return Err(misplaced("it was copied there, not published"));
    }
    let body: T = decode(subject, T::KIND, payload)?;
    let names = |part: &str| format!("{subject}.").contains(&format!(".{part}."));
    if let Some(app) = body.about() {
        let (namespace, name) = (
            subject::escape(app.namespace()),
            subject::escape(app.name()),
        );
        let proven = match body.cluster() {
            Some(cluster) => names(&format!("{cluster}.{namespace}.{name}")),
            None => names(&format!("{namespace}.{name}")),
        };
        if !proven {
            return Err(misplaced("it is about another application or cluster"));
        }
    }
    Ok(body)
}

pub(crate) fn rfc3339(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or_default()
        .to_string()
}
