//! One connection to the broker: reading last values, publishing with an answer, asking and answering.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, stream::DirectGetErrorKind};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::envelope;
use crate::error::BusError;
use crate::identity::Generation;
use crate::message::event::Event;
use crate::message::{Generational, Message};
use crate::objects::Objects;
use crate::subject::{self, Bucket, Store, Stream};
use crate::trace::Trace;
use crate::watch::Watch;
use crate::work::Work;

/// The largest body that is published or read: below the broker's usual limit of 1 MiB with its headers.
pub const MAX_BODY: usize = 1_000_000;

/// A last value: what a subject holds, and the sequence that a compare-and-set needs.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    pub subject: String,
    pub sequence: u64,
    pub value: T,
    pub trace: Trace,
}

/// What became of a publish by generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Stored at this stream sequence.
    Stored(u64),
    /// The subject holds this generation already, which is not older: nothing was written.
    Outdated(Generation),
}

/// A connection that heals itself. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) service: &'static str,
    /// Counts connections: a change means that whatever lived in the old one is gone.
    pub(crate) connections: watch::Receiver<u64>,
}

impl Bus {
    /// Whether the broker can be reached now.
    pub fn is_connected(&self) -> bool {
        self.inner.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Counts connections: a change means a reconnect, to a broker that may have lost everything.
    pub fn connections(&self) -> watch::Receiver<u64> {
        let mut connections = self.inner.connections.clone();
        connections.mark_unchanged();
        connections
    }

    /// The last message of a subject.
    pub async fn last<T: Message>(
        &self,
        stream: Stream,
        subject: &str,
    ) -> Result<Option<Stored<T>>, BusError> {
        self.last_raw(stream.name(), subject).await
    }

    /// The value of a key.
    pub async fn get<T: Message>(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> Result<Option<Stored<T>>, BusError> {
        self.last_raw(&bucket.stream(), &bucket.subject(key)).await
    }

    /// Publishes `body`; with `id` (`Nats-Msg-Id`), publishing it again soon after is harmless.
    pub async fn publish<T: Message>(
        &self,
        stream: Stream,
        subject: &str,
        body: &T,
        id: Option<&str>,
    ) -> Result<u64, BusError> {
        let mut message = self.message(subject, body)?.expected_stream(stream.name());
        if let Some(id) = id {
            message = message.message_id(id);
        }
        Ok(self.send_message(subject, message).await?.sequence)
    }

    /// Publishes `body` unless the subject holds its generation or a newer one.
    pub async fn publish_generation<T: Generational>(
        &self,
        stream: Stream,
        subject: &str,
        body: &T,
    ) -> Result<Published, BusError> {
        self.replace_older(stream.name(), subject, body).await
    }

    /// Writes a key.
    pub async fn put<T: Message>(
        &self,
        bucket: Bucket,
        key: &str,
        value: &T,
    ) -> Result<u64, BusError> {
        let ack = self.send(&bucket.subject(key), value, None, None).await?;
        Ok(ack.sequence)
    }

    /// Writes a key unless it holds the value's generation or a newer one.
    pub async fn put_generation<T: Generational>(
        &self,
        bucket: Bucket,
        key: &str,
        value: &T,
    ) -> Result<Published, BusError> {
        self.replace_older(&bucket.stream(), &bucket.subject(key), value)
            .await
    }

    /// Deletes a key; its watchers hear of it.
    pub async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), BusError> {
        let subject = bucket.subject(key);
        let message = PublishMessage::build()
            .header("KV-Operation", "DEL")
            .payload(Bytes::new());
        self.send_message(&subject, message).await.map(|_| ())
    }

    /// Removes all messages of a subject.
    pub async fn purge(&self, stream: Stream, subject: &str) -> Result<(), BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Purge {
            subject: subject.to_owned(),
            source,
        };
        let handle = self
            .inner
            .jetstream
            .get_stream_no_info(stream.name())
            .await
            .map_err(|error| failed(error.into()))?;
        handle
            .purge()
            .filter(subject)
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// Watches the subjects of a stream that match `filter`.
    pub fn watch_stream<T: Message>(&self, stream: Stream, filter: &str) -> Watch<T> {
        Watch::new(self.clone(), stream.name().to_owned(), filter.to_owned())
    }

    /// Watches the keys of a bucket that match `filter`; `>` is all.
    pub fn watch_bucket<T: Message>(&self, bucket: Bucket, filter: &str) -> Watch<T> {
        Watch::new(self.clone(), bucket.stream(), bucket.subject(filter))
    }

    /// Takes work from an existing durable consumer.
    pub fn work<T: Message>(&self, stream: Stream, durable: &str) -> Work<T> {
        Work::new(self.clone(), stream, durable.to_owned())
    }

    pub fn objects(&self, store: &Store) -> Objects {
        Objects::new(self.clone(), store)
    }

    /// Publishes an event. Events inform people: one that can't be published is logged, nothing fails.
    pub async fn event(&self, event: &Event) {
        tracing::info!(app = %event.app, kind = event.kind.token(), "{}", event.message);
        let subject = subject::event(&event.cluster, &event.app, event.kind);
        if let Err(error) = self.send(&subject, event, None, None).await {
            tracing::warn!(%subject, error = &error as &dyn std::error::Error, "an event was lost");
        }
    }

    /// Asks whoever serves `subject`, for one answer.
    pub async fn ask<Q: Message, A: DeserializeOwned>(
        &self,
        subject: &str,
        question: &Q,
        timeout: Duration,
    ) -> Result<A, BusError> {
        let payload = encode(subject, question)?;
        let request = async_nats::Request::new()
            .payload(payload)
            .headers(envelope::headers(self.inner.service, question))
            .timeout(Some(timeout));
        let reply = self
            .inner
            .client
            .send_request(subject.to_owned(), request)
            .await
            .map_err(|source| BusError::Ask {
                subject: subject.to_owned(),
                source: source.into(),
            })?;
        decode(subject, "answer", &reply.payload)
    }

    /// Answers what is asked on `subject`, together with others of the same service.
    pub async fn serve<Q: Message>(
        &self,
        subject: &str,
    ) -> Result<crate::serve::Serve<Q>, BusError> {
        crate::serve::Serve::new(self.clone(), subject).await
    }

    async fn replace_older<T: Generational>(
        &self,
        stream: &str,
        subject: &str,
        body: &T,
    ) -> Result<Published, BusError> {
        let id = format!("{subject}:{}", body.generation());
        let mut id = Some(id.as_str());
        loop {
            let last = self.last_message(stream, subject).await?;
            let expected = last.as_ref().map_or(0, |last| last.sequence);
            match last.map(|last| stored::<T>(subject, &last)).transpose() {
                Ok(Some(Some(last))) if last.value.generation() >= body.generation() => {
                    return Ok(Published::Outdated(last.value.generation()));
                }
                Ok(_) => {}
                // What can't be read can't hold a place for ever: it is overwritten where it stands.
                Err(error) => {
                    tracing::warn!(
                        error = crate::watch::causes(&error),
                        "replacing an unreadable message"
                    );
                }
            }
            match self.send(subject, body, id, Some(expected)).await {
                Ok(ack) if !ack.duplicate => return Ok(Published::Stored(ack.sequence)),
                // It was stored before, by us (whose answer was lost) or by another; and may be gone since.
                Ok(ack) => {
                    let last = self.last_message(stream, subject).await?;
                    if last.is_some_and(|last| last.sequence == ack.sequence) {
                        return Ok(Published::Stored(ack.sequence));
                    }
                    id = None;
                }
                Err(BusError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn last_raw<T: Message>(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Stored<T>>, BusError> {
        let Some(message) = self.last_message(stream, subject).await? else {
            return Ok(None);
        };
        stored(subject, &message)
    }

    async fn last_message(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<jetstream::message::StreamMessage>, BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Read {
            subject: subject.to_owned(),
            source,
        };
        let handle = self
            .inner
            .jetstream
            .get_stream_no_info(stream)
            .await
            .map_err(|error| failed(error.into()))?;
        match handle.direct_get_last_for_subject(subject).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    pub(crate) async fn send<T: Message>(
        &self,
        subject: &str,
        body: &T,
        id: Option<&str>,
        expected: Option<u64>,
    ) -> Result<PublishAck, BusError> {
        let mut message = self.message(subject, body)?;
        if let Some(id) = id {
            message = message.message_id(id);
        }
        if let Some(sequence) = expected {
            message = message.expected_last_subject_sequence(sequence);
        }
        self.send_message(subject, message).await
    }

    fn message<T: Message>(&self, subject: &str, body: &T) -> Result<PublishMessage, BusError> {
        Ok(PublishMessage::build()
            .headers(envelope::headers(self.inner.service, body))
            .payload(encode(subject, body)?))
    }

    pub(crate) async fn send_message(
        &self,
        subject: &str,
        message: PublishMessage,
    ) -> Result<PublishAck, BusError> {
        let failed = |error: jetstream::context::PublishError| match error.kind() {
            PublishErrorKind::WrongLastSequence => BusError::Conflict {
                subject: subject.to_owned(),
            },
            _ => BusError::Publish {
                subject: subject.to_owned(),
                source: error.into(),
            },
        };
        let ack = self
            .inner
            .jetstream
            .send_publish(subject.to_owned(), message)
            .await
            .map_err(failed)?;
        ack.await.map_err(failed)
    }
}

/// Completes at the next connection that `connections` hasn't seen; never, when there will be none.
pub(crate) async fn reconnected(connections: &mut watch::Receiver<u64>) {
    if connections.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The value in a message; none in one that says that its key is gone.
fn stored<T: Message>(
    subject: &str,
    message: &jetstream::message::StreamMessage,
) -> Result<Option<Stored<T>>, BusError> {
    if is_deletion(Some(&message.headers)) {
        return Ok(None);
    }
    let value = envelope::body(subject, Some(&message.headers), 1, &message.payload)?;
    Ok(Some(Stored {
        subject: subject.to_owned(),
        sequence: message.sequence,
        value,
        trace: envelope::trace(Some(&message.headers)),
    }))
}

/// Whether a bucket's message says that its key is gone.
pub(crate) fn is_deletion(headers: Option<&async_nats::HeaderMap>) -> bool {
    headers
        .and_then(|headers| headers.get("KV-Operation"))
        .is_some_and(|operation| matches!(operation.as_str(), "DEL" | "PURGE"))
}

fn encode<T: Message>(subject: &str, body: &T) -> Result<Bytes, BusError> {
    let payload = serde_json::to_vec(body).map_err(|source| BusError::Encode {
        subject: subject.to_owned(),
        source,
    })?;
    if payload.len() > MAX_BODY {
        return Err(BusError::TooLarge {
            subject: subject.to_owned(),
            size: payload.len(),
            limit: MAX_BODY,
        });
    }
    Ok(payload.into())
}

pub(crate) fn decode<T: DeserializeOwned>(
    subject: &str,
    kind: &'static str,
    payload: &[u8],
) -> Result<T, BusError> {
    serde_json::from_slice(payload).map_err(|source| BusError::Decode {
        subject: subject.to_owned(),
        kind,
        source,
    })
}
