//! What every message carries besides its body: `CloudEvents` 1.0 headers (NATS binding, binary mode) and a W3C `traceparent`.

use async_nats::HeaderMap;

use crate::clock;
use crate::message::Message;
use crate::trace::Trace;

/// Length limit of any header value that is read.
const MAX_VALUE: usize = 512;

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

pub(crate) fn rfc3339(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or_default()
        .to_string()
}
