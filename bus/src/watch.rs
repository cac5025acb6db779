//! Last-per-subject state, read from the start at each start-up and followed from there, without acknowledgements.
//!
//! Built on an ephemeral consumer made by hand and filtered to one prefix, so that the server limits what its reader sees.
//! Whatever goes wrong (a reconnect, a wiped broker, a gap, silence), the answer is one: begin again from the last values.

use std::marker::PhantomData;
use std::time::Duration;

use async_nats::jetstream::consumer::push::{Config, Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures::StreamExt;
use tokio::sync::watch;

use crate::client::{Bus, Stored, decode, is_deletion};
use crate::envelope;
use crate::error::BusError;
use crate::message::Message;

/// The server says that it is still there this often; twice without a word is silence.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// An abandoned consumer is removed after this time.
const ABANDONED: Duration = Duration::from_secs(30);
/// The values that were there at the start come one after another; such a pause means that one was removed meanwhile.
const STALLED: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(500);

/// What a watch delivers.
#[derive(Clone, Debug)]
pub enum Update<T> {
    Put(Stored<T>),
    Deleted {
        subject: String,
    },
    /// Every value that was there has been delivered. Comes again after each reconnect, behind the values delivered anew;
    /// a value that isn't among them is not known, which never means deleted.
    Ready,
    Unreadable {
        subject: String,
        error: String,
    },
}

/// An endless source of [`Update`]s.
pub struct Watch<T> {
    bus: Bus,
    stream: String,
    filter: String,
    connections: watch::Receiver<u64>,
    session: Option<Session>,
    _body: PhantomData<fn() -> T>,
}

/// One consumer's life.
struct Session {
    messages: Messages,
    /// Sequence of the consumer's next message, to notice a gap.
    next: u64,
    /// Messages until the values that were there at the start are through; none after that.
    pending: Option<u64>,
}

impl<T: Message> Watch<T> {
    pub(crate) fn new(bus: Bus, stream: String, filter: String) -> Self {
        let connections = bus.connections();
        Self {
            bus,
            stream,
            filter,
            connections,
            session: None,
            _body: PhantomData,
        }
    }

    /// The next update; never ends.
    pub async fn next(&mut self) -> Update<T> {
        loop {
            let Some(session) = &mut self.session else {
                self.begin().await;
                continue;
            };
            if session.pending == Some(0) {
                session.pending = None;
                return Update::Ready;
            }
            let stalled = session.pending.is_some();
            let message = tokio::select! {
                message = session.messages.next() => message,
                _ = self.connections.changed() => None,
                // A value that was purged before it came never comes: without this, neither would `Ready`.
                () = tokio::time::sleep(STALLED), if stalled => None,
            };
            let Some(Ok(message)) = message else {
                tracing::debug!(
                    stream = self.stream,
                    filter = self.filter,
                    "watch begins again"
                );
                self.session = None;
                continue;
            };
            let Ok(info) = message.info() else {
                self.session = None;
                continue;
            };
            if info.consumer_sequence != session.next {
                tracing::debug!(stream = self.stream, "gap in a watch");
                self.session = None;
                continue;
            }
            session.next += 1;
            if let Some(pending) = &mut session.pending {
                *pending = (*pending - 1).min(info.pending);
            }
            let (subject, sequence) = (message.subject.to_string(), info.stream_sequence);
            if is_deletion(message.headers.as_ref()) {
                return Update::Deleted { subject };
            }
            return match decode(&subject, T::KIND, &message.payload) {
                Ok(value) => Update::Put(Stored {
                    subject,
                    sequence,
                    value,
                    trace: envelope::trace(message.headers.as_ref()),
                }),
                Err(error) => Update::Unreadable {
                    subject,
                    error: causes(&error),
                },
            };
        }
    }

    /// Makes a consumer, or waits a little when that fails: the caller tries again.
    async fn begin(&mut self) {
        self.connections.mark_unchanged();
        match self.create().await {
            Ok(session) => self.session = Some(session),
            Err(error) => {
                tracing::warn!(
                    stream = self.stream,
                    filter = self.filter,
                    error = causes(&error),
                    "can't watch; trying again"
                );
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    _ = self.connections.changed() => {}
                }
            }
        }
    }

    async fn create(&self) -> Result<Session, BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Subscribe {
            subject: self.filter.clone(),
            source,
        };
        let config = Config {
            deliver_subject: self.bus.inner.client.new_inbox(),
            name: Some(format!(
                "{}-{}",
                self.bus.inner.service,
                uuid::Uuid::new_v4().simple()
            )),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            filter_subject: self.filter.clone(),
            idle_heartbeat: HEARTBEAT,
            inactive_threshold: ABANDONED,
            memory_storage: true,
            num_replicas: 1,
            ..Config::default()
        };
        let consumer = self
            .bus
            .inner
            .jetstream
            .create_consumer_on_stream(config, &self.stream)
            .await
            .map_err(|error| failed(error.into()))?;
        let info = consumer.cached_info();
        // Messages may be on their way before we subscribe: what was delivered by then is seen as a gap.
        let pending = info.num_pending + info.delivered.consumer_sequence;
        let messages = consumer
            .messages()
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(Session {
            messages,
            next: 1,
            pending: Some(pending),
        })
    }
}

/// An error with all its causes, in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
