//! What a release would change: a person's question to the cluster's applier, and its answer back.

use std::time::Duration;

use bus::message::diff::{Answer, Differences, Question};
use bus::{Bus, BusError, subject};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::problem::Problem;

/// The applier gives up a little earlier, and says why.
const WITHIN: Duration = Duration::from_secs(28);
/// Questions under way at once, and those that wait.
const AT_ONCE: usize = 16;
pub const WAITING: usize = 64;

/// A question on its way, and where the answer is awaited.
pub struct Ask {
    pub question: Question,
    pub done: oneshot::Sender<Result<Answer, BusError>>,
}

/// Asks what is to be asked until nobody is left who wants to know.
pub async fn carry(bus: Bus, mut asks: mpsc::Receiver<Ask>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            ask = asks.recv(), if under_way.len() < AT_ONCE => match ask {
                Some(ask) => under_way.push(one(&bus, ask)),
                None => break,
            },
            Some(()) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
}

async fn one(bus: &Bus, ask: Ask) {
    let subject = subject::diff(&ask.question.cluster);
    let answer = bus.ask(&subject, &ask.question, WITHIN).await;
    // The request may have been given up meanwhile.
    let _ = ask.done.send(answer);
}

/// Asks, and reads the answer.
pub async fn ask(asks: &mpsc::Sender<Ask>, question: Question) -> Result<Differences, Problem> {
    let unavailable = |cluster: &str| {
        Problem::unavailable(
            format!("the applier of cluster {cluster} doesn't answer"),
            "try again; /readyz of the applier and of the monitor say more",
        )
    };
    let cluster = question.cluster.to_string();
    let (done, answer) = oneshot::channel();
    asks.try_send(Ask { question, done })
        .map_err(|_| unavailable(&cluster))?;
    match answer.await {
        Ok(Ok(Answer::Compared(differences))) => Ok(differences),
        Ok(Ok(Answer::Refused { message })) => Err(Problem::conflict(
            message,
            "correct that, then ask again; the application's conditions may say more",
        )),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an applier can't be asked"
            );
            Err(unavailable(&cluster))
        }
        Err(_) => Err(unavailable(&cluster)),
    }
}
