//! Last-per-subject state, read from the start at each start-up and followed from there, without acknowledgements.
//!
//! Built on an ephemeral consumer made by hand and filtered to one prefix, so that the server limits what its reader sees.
//! Whatever goes wrong (a reconnect, a wiped broker, a gap, silence), the answer is one: begin again from the last values.

use std::marker::PhantomData;
use std::time::Duration;

use async_nats::jetstream::consumer::push::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::{StatusCode, Subscriber, jetstream};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{Bus, Stored, is_deletion, reconnected};
use crate::envelope;
use crate::error::BusError;
use crate::message::Message;

/// The server says that it is still there this often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// So long without a word, and the consumer is taken for lost.
const SILENCE: Duration = Duration::from_secs(12);
/// An abandoned consumer is removed after this time.
const ABANDONED: Duration = Duration::from_secs(30);
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
    state: State,
    _body: PhantomData<fn() -> T>,
}

/// Everything that goes on between two updates is kept here and not in [`Watch::next`]'s future, which callers drop.
enum State {
    Beginning(BoxFuture<'static, Session>),
    Following(Session),
}

/// One consumer's life.
struct Session {
    subscriber: Subscriber,
    connections: watch::Receiver<u64>,
    /// Sequence of the consumer's next message, to notice a gap.
    next: u64,
    /// Messages until the values that were there at the start are through; none after that.
    pending: Option<u64>,
    /// When to give up, unless the server says something.
    silent: Instant,
}

impl<T: Message> Watch<T> {
    pub(crate) fn new(bus: Bus, stream: String, filter: String) -> Self {
        let state = State::begin(&bus, &stream, &filter);
        Self {
            bus,
            stream,
            filter,
            state,
            _body: PhantomData,
        }
    }

    /// The next update; never ends. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Update<T> {
        loop {
            let session = match &mut self.state {
                State::Beginning(beginning) => {
                    self.state = State::Following(beginning.await);
                    continue;
                }
                State::Following(session) => session,
            };
            if session.pending == Some(0) {
                session.pending = None;
                return Update::Ready;
            }
            let message = tokio::select! {
                // First: what came counts, also when the caller was too busy to ask for it in time.
                biased;
                message = session.subscriber.next() => message.ok_or("the subscription ended"),
                () = reconnected(&mut session.connections) => Err("the connection is a new one"),
                () = tokio::time::sleep_until(session.silent) => Err("the server is silent"),
            };
            session.silent = Instant::now() + SILENCE;
            let accepted = match message {
                Ok(message) if message.status.is_some() => {
                    session.control(&self.bus, &message).await.map(|()| None)
                }
                Ok(message) => {
                    let message = jetstream::Message {
                        message,
                        context: self.bus.inner.jetstream.clone(),
                    };
                    let sequence = session.accept(&message);
                    sequence.map(|sequence| Some((message, sequence)))
                }
                Err(why) => Err(why),
            };
            match accepted {
                Ok(None) => {}
                Ok(Some((message, sequence))) => return update(&message.message, sequence),
                Err(why) => {
                    tracing::debug!(
                        stream = self.stream,
                        filter = self.filter,
                        why,
                        "watch begins again"
                    );
                    self.state = State::begin(&self.bus, &self.stream, &self.filter);
                }
            }
        }
    }
}

impl State {
    fn begin(bus: &Bus, stream: &str, filter: &str) -> Self {
        Self::Beginning(Box::pin(begin(
            bus.clone(),
            stream.to_owned(),
            filter.to_owned(),
        )))
    }
}

impl Session {
    /// Takes a value's place in the sequence; its sequence in the stream.
    fn accept(&mut self, message: &jetstream::Message) -> Result<u64, &'static str> {
        let info = message
            .info()
            .map_err(|_| "a message doesn't tell its place")?;
        if info.consumer_sequence != self.next {
            return Err("a value is missing");
        }
        self.next += 1;
        if let Some(pending) = &mut self.pending {
            *pending = pending.saturating_sub(1).min(info.pending);
        }
        Ok(info.stream_sequence)
    }

    /// Heeds a heartbeat or a request to confirm what came so far (flow control).
    async fn control(
        &mut self,
        bus: &Bus,
        message: &async_nats::Message,
    ) -> Result<(), &'static str> {
        if message.status != Some(StatusCode::IDLE_HEARTBEAT) {
            return Err("the server ended the consumer");
        }
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            Some(headers.get(name)?.as_str())
        };
        let stalled = header("Nats-Consumer-Stalled").map(async_nats::Subject::from);
        if let Some(confirm) = message.reply.clone().or(stalled) {
            // The server takes no answer for "not yet", and asks again with its next heartbeat.
            return match bus.inner.client.publish(confirm, bytes::Bytes::new()).await {
                Ok(()) => Ok(()),
                Err(_) => Err("the client is closed"),
            };
        }
        if let Some(last) = header("Nats-Last-Consumer").and_then(|last| last.parse::<u64>().ok()) {
            if last + 1 != self.next {
                return Err("the last values are missing");
            }
            // Nothing is left to send: what is still pending was removed before it came.
            self.pending = self.pending.and(Some(0));
        }
        Ok(())
    }
}

fn update<T: Message>(message: &async_nats::Message, sequence: u64) -> Update<T> {
    let subject = message.subject.to_string();
    if is_deletion(message.headers.as_ref()) {
        return Update::Deleted { subject };
    }
    match envelope::body(&subject, message.headers.as_ref(), 0, &message.payload) {
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
    }
}

/// Makes a consumer; tries until that succeeds.
async fn begin(bus: Bus, stream: String, filter: String) -> Session {
    let mut connections = bus.connections();
    loop {
        connections.mark_unchanged();
        let created = tokio::select! {
            created = create(&bus, &stream, &filter) => created,
            () = reconnected(&mut connections) => continue,
        };
        match created {
            Ok((subscriber, pending)) => {
                return Session {
                    subscriber,
                    connections,
                    next: 1,
                    pending: Some(pending),
                    silent: Instant::now() + SILENCE,
                };
            }
            Err(error) => {
                tracing::warn!(
                    stream,
                    filter,
                    error = causes(&error),
                    "can't watch; trying again"
                );
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = reconnected(&mut connections) => {}
                }
            }
        }
    }
}

/// A consumer's messages, and how many of them there are already.
async fn create(bus: &Bus, stream: &str, filter: &str) -> Result<(Subscriber, u64), BusError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Subscribe {
        subject: filter.to_owned(),
        source,
    };
    let inbox = bus.inner.client.new_inbox();
    // Before the consumer: its first values come at once.
    let subscriber = bus
        .inner
        .client
        .subscribe(inbox.clone())
        .await
        .map_err(|error| failed(error.into()))?;
    let config = Config {
        deliver_subject: inbox,
        name: Some(format!(
            "{}-{}",
            bus.inner.service,
            uuid::Uuid::new_v4().simple()
        )),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ack_policy: AckPolicy::None,
        max_deliver: 1,
        filter_subject: filter.to_owned(),
        // The server waits for the reader: however much there is to read, little of it is in memory.
        flow_control: true,
        idle_heartbeat: HEARTBEAT,
        inactive_threshold: ABANDONED,
        memory_storage: true,
        num_replicas: 1,
        ..Config::default()
    };
    let consumer = bus
        .inner
        .jetstream
        .create_consumer_on_stream(config, stream)
        .await
        .map_err(|error| failed(error.into()))?;
    let info = consumer.cached_info();
    // What was delivered before the server answered is counted among what was there.
    let pending = info.num_pending + info.delivered.consumer_sequence;
    Ok((subscriber, pending))
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
