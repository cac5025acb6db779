//! Answering requests: a queue subscription, so that of several replicas one answers.

use std::marker::PhantomData;

use async_nats::{Message as Raw, Subscriber};
use futures::StreamExt;
use serde::Serialize;

use crate::client::{Bus, decode};
use crate::error::BusError;
use crate::message::Message;

/// The largest request that is read, in bytes.
const MAX_REQUEST: usize = 512 * 1024;

/// Requests on one subject.
pub struct Serve<Q> {
    bus: Bus,
    subscriber: Subscriber,
    _question: PhantomData<fn() -> Q>,
}

/// One request.
pub struct Asked<Q> {
    bus: Bus,
    raw: Raw,
    /// What was asked, or why it can't be read.
    pub value: Result<Q, BusError>,
}

impl<Q: Message> Serve<Q> {
    pub(crate) async fn new(bus: Bus, subject: &str) -> Result<Self, BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Subscribe {
            subject: subject.to_owned(),
            source,
        };
        let subscriber = bus
            .inner
            .client
            .queue_subscribe(subject.to_owned(), bus.inner.service.to_owned())
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(Self {
            bus,
            subscriber,
            _question: PhantomData,
        })
    }

    /// The next request; none when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Asked<Q>> {
        let raw = self.subscriber.next().await?;
        let subject = raw.subject.to_string();
        let value = if raw.payload.len() > MAX_REQUEST {
            Err(BusError::TooLarge {
                subject,
                size: raw.payload.len(),
                limit: MAX_REQUEST,
            })
        } else {
            decode(&subject, Q::KIND, &raw.payload)
        };
        Some(Asked {
            bus: self.bus.clone(),
            raw,
            value,
        })
    }
}

impl<Q> Asked<Q> {
    /// Sends the answer; a request that wants none gets none.
    pub async fn reply<A: Serialize>(&self, answer: &A) -> Result<(), BusError> {
        let Some(reply) = self.raw.reply.clone() else {
            return Ok(());
        };
        let subject = reply.to_string();
        let payload = serde_json::to_vec(answer).map_err(|source| BusError::Encode {
            subject: subject.clone(),
            source,
        })?;
        let client = &self.bus.inner.client;
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Publish {
            subject: subject.clone(),
            source,
        };
        let sent = client.publish(reply, payload.into()).await;
        sent.map_err(|error| failed(error.into()))?;
        // A process that ends right after must not take the answer with it.
        client.flush().await.map_err(|error| failed(error.into()))
    }
}
