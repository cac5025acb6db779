//! People's commands, from the work queue to their application, and the answer back.

use std::time::Duration;

use bus::message::command::Command;
use bus::subject::{self, Stream};
use bus::{AppId, Bus, ClusterId, Delivery, Outcome};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lease::Lead;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::app::Note;

/// Commands under way at once: a sync that waits for health must not hold up another application's.
const CONCURRENCY: usize = 64;
/// How soon a command is delivered again that couldn't be handed over.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error("nobody takes commands any more")]
pub(crate) struct NobodyListens;

pub(crate) async fn run(
    bus: Bus,
    cluster: ClusterId,
    lead: Lead,
    to: mpsc::Sender<(AppId, Note)>,
    token: CancellationToken,
) -> Result<(), NobodyListens> {
    let work = bus.work::<Command>(Stream::Commands, &subject::applier_commands(&cluster));
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            // What is under way is handed back when it is dropped.
            () = token.cancelled() => return Ok(()),
            // One that may not act leaves them to whoever does.
            delivery = async { lead.acts().await; work.next().await }, if under_way.len() < CONCURRENCY => {
                if delivery.value.cluster != cluster {
                    let why = format!("it is for cluster {}", delivery.value.cluster);
                    delivery.finish(Outcome::Reject(why)).await;
                    continue;
                }
                let (done, answered) = oneshot::channel();
                let note = Note::Command(Box::new(delivery.value.clone()), done);
                to.send((delivery.value.app.clone(), note)).await.map_err(|_| NobodyListens)?;
                under_way.push(finish(delivery, answered));
            }
            Some(()) = under_way.next() => {}
        }
    }
}

async fn finish(delivery: Delivery<Command>, answered: oneshot::Receiver<Outcome>) {
    let outcome = answered.await.unwrap_or(Outcome::Retry(AGAIN));
    delivery.finish(outcome).await;
}
