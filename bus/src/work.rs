//! Work: messages that one of several replicas carries out, at least once.
//!
//! One message is pulled at a time, so that nothing waits behind what a busy replica has already taken. While a
//! [`Delivery`] lives, the broker is told that it is in progress; dropped without an answer, it is handed to another.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::client::{Bus, reconnected};
use crate::envelope;
use crate::message::Message;
use crate::subject::{self, Stream};
use crate::trace::Trace;
use crate::watch::causes;

/// The broker hands a message to another after this time without a word. See [`crate::stream`].
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(15);
/// A message that was delivered so often without success, also because its worker died of it, is a dead letter.
pub const MAX_ATTEMPTS: u64 = 8;
/// How long one pull waits at the broker.
const PULL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(500);
/// However short a consumer is configured to wait.
const SHORTEST_WAIT: Duration = Duration::from_millis(300);

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Again after this time; a dead letter when it was tried [`MAX_ATTEMPTS`] times.
    Retry(Duration),
    /// Never again: a dead letter, with the reason.
    Reject(String),
}

/// A durable consumer, shared by all replicas of its service.
pub struct Work<T> {
    bus: Bus,
    stream: Stream,
    durable: String,
    /// What goes on between two messages is kept here and not in [`Work::next`]'s future, which callers drop.
    taking: Mutex<Taking>,
    _body: PhantomData<fn() -> T>,
}

#[derive(Default)]
struct Taking {
    consumer: Option<PullConsumer>,
    pull: Option<BoxFuture<'static, (jetstream::Message, PullConsumer)>>,
}

impl<T> Clone for Work<T> {
    fn clone(&self) -> Self {
        Self {
            bus: self.bus.clone(),
            stream: self.stream,
            durable: self.durable.clone(),
            taking: Mutex::default(),
            _body: PhantomData,
        }
    }
}

/// One message, held until it is finished.
pub struct Delivery<T> {
    pub value: T,
    pub subject: String,
    /// 1 for the first.
    pub attempt: u64,
    pub trace: Trace,
    held: Held,
}

impl<T: Message> Work<T> {
    pub(crate) fn new(bus: Bus, stream: Stream, durable: String) -> Self {
        Self {
            bus,
            stream,
            durable,
            taking: Mutex::default(),
            _body: PhantomData,
        }
    }

    /// The next message; never ends. What can't be read is a dead letter already. May be dropped and called again: what
    /// is on its way is not lost.
    pub async fn next(&self) -> Delivery<T> {
        loop {
            let (message, beat) = self.take().await;
            if let Some(delivery) = self.receive(message, beat).await {
                return delivery;
            }
        }
    }

    /// A message, and how often to say that it is in progress.
    async fn take(&self) -> (jetstream::Message, Duration) {
        let mut taking = self.taking.lock().await;
        let Taking { consumer, pull } = &mut *taking;
        let pulling = pull.get_or_insert_with(|| {
            let (bus, durable) = (self.bus.clone(), self.durable.clone());
            Box::pin(take(bus, self.stream, durable, consumer.take()))
        });
        let (message, used) = pulling.await;
        *pull = None;
        let beat = used.cached_info().config.ack_wait.max(SHORTEST_WAIT) / 3;
        *consumer = Some(used);
        (message, beat)
    }

    async fn receive(&self, message: jetstream::Message, beat: Duration) -> Option<Delivery<T>> {
        let attempt = message
            .info()
            .map_or(1, |info| u64::try_from(info.delivered).unwrap_or(1));
        let trace = envelope::trace(message.headers.as_ref());
        let subject = message.subject.to_string();
        let decoded = envelope::body::<T>(&subject, message.headers.as_ref(), 0, &message.payload);
        let held = Held::new(self.bus.clone(), self.stream, message, beat);
        match decoded {
            Err(error) => {
                held.finish(Outcome::Reject(causes(&error)), attempt).await;
                None
            }
            // The process that had it last never answered: it would kill this one too.
            Ok(_) if attempt > MAX_ATTEMPTS => {
                held.finish(
                    Outcome::Reject(format!("no answer to {MAX_ATTEMPTS} deliveries")),
                    attempt,
                )
                .await;
                None
            }
            Ok(value) => Some(Delivery {
                value,
                subject,
                attempt,
                trace,
                held,
            }),
        }
    }
}

/// Waits for a message, through whatever goes wrong.
async fn take(
    bus: Bus,
    stream: Stream,
    durable: String,
    mut known: Option<PullConsumer>,
) -> (jetstream::Message, PullConsumer) {
    let mut connections = bus.connections();
    loop {
        connections.mark_unchanged();
        let pulled = tokio::select! {
            pulled = pull(&bus, stream, &durable, known.take()) => pulled,
            () = reconnected(&mut connections) => continue,
        };
        match pulled {
            Ok((Some(message), consumer)) => return (message, consumer),
            Ok((None, consumer)) => known = Some(consumer),
            Err(error) => {
                tracing::warn!(
                    stream = stream.name(),
                    durable,
                    error = causes(error.as_ref()),
                    "can't take work; trying again"
                );
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn pull(
    bus: &Bus,
    stream: Stream,
    durable: &str,
    known: Option<PullConsumer>,
) -> Result<(Option<jetstream::Message>, PullConsumer), Box<dyn std::error::Error + Send + Sync>> {
    let consumer: PullConsumer = if let Some(consumer) = known {
        consumer
    } else {
        let context = &bus.inner.jetstream;
        context
            .get_consumer_from_stream(durable, stream.name())
            .await?
    };
    // No heartbeats: async-nats (0.51) loses the wake-up that follows one, and with it the message after.
    let fetch = consumer.fetch().max_messages(1).expires(PULL);
    let mut batch = fetch.messages().await?;
    let message = batch.next().await.transpose()?;
    drop(batch);
    Ok((message, consumer))
}

impl<T> Delivery<T> {
    /// Says what becomes of the message.
    pub async fn finish(self, outcome: Outcome) {
        self.held.finish(outcome, self.attempt).await;
    }
}

/// The message itself, with the task that says it is in progress.
struct Held {
    bus: Bus,
    stream: Stream,
    message: Arc<jetstream::Message>,
    progress: JoinHandle<()>,
    answered: bool,
}

impl Held {
    fn new(bus: Bus, stream: Stream, message: jetstream::Message, beat: Duration) -> Self {
        let message = Arc::new(message);
        let progress = tokio::spawn({
            let message = Arc::clone(&message);
            async move {
                loop {
                    tokio::time::sleep(beat).await;
                    if let Err(error) = message.ack_with(AckKind::Progress).await {
                        tracing::debug!(error = %error, "can't say that a message is in progress");
                    }
                }
            }
        });
        Self {
            bus,
            stream,
            message,
            progress,
            answered: false,
        }
    }

    async fn finish(mut self, outcome: Outcome, attempt: u64) {
        let answer = match outcome {
            Outcome::Done => AckKind::Ack,
            Outcome::Retry(after) if attempt < MAX_ATTEMPTS => AckKind::Nak(Some(after)),
            Outcome::Retry(_) => self.bury(&format!("{attempt} attempts failed")).await,
            Outcome::Reject(reason) => self.bury(&reason).await,
        };
        if let Err(error) = self.message.ack_with(answer).await {
            // The broker will deliver it again, which at-least-once allows.
            tracing::warn!(subject = %self.message.subject, error = %error, "can't answer for a message");
        }
        self.answered = true;
    }

    /// Copies the message to DEAD; it stays where it is until that succeeded.
    async fn bury(&self, reason: &str) -> AckKind {
        let subject = subject::dead(self.stream);
        tracing::error!(subject = %self.message.subject, reason, "dead letter");
        // `Nats-*` headers steer the broker: on another subject they would refuse the copy.
        let original = self
            .message
            .headers
            .iter()
            .flat_map(async_nats::HeaderMap::iter);
        let mut headers = async_nats::HeaderMap::new();
        for (name, values) in original.filter(|(name, _)| !name.to_string().starts_with("Nats-")) {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.insert("towline-subject", self.message.subject.as_str());
        headers.insert("towline-reason", reason.replace(['\r', '\n'], " ").as_str());
        // Buried twice (an answer was lost) is kept once.
        let place = self.message.info().map_or(0, |info| info.stream_sequence);
        let copy = PublishMessage::build()
            .headers(headers)
            .message_id(format!("{}:{place}", self.message.subject))
            .payload(self.message.payload.clone());
        match self.bus.send_message(&subject, copy).await {
            Ok(_) => AckKind::Term,
            Err(error) => {
                tracing::error!(%subject, error = causes(&error), "can't bury a dead letter; keeping the message");
                AckKind::Nak(Some(ACK_WAIT))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.progress.abort();
        if self.answered {
            return;
        }
        // Without a runtime (process ending) the broker's ack wait does the same, later.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let message = Arc::clone(&self.message);
            runtime.spawn(async move {
                if let Err(error) = message.ack_with(AckKind::Nak(None)).await {
                    tracing::debug!(error = %error, "can't hand a message back");
                }
            });
        }
    }
}
