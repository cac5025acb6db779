//! A person's question to a cluster's applier, and its answer back: what a release would change, which secrets are read, what
//! its objects own.

use std::time::Duration;

use bus::message::diff::Differences;
use bus::message::tree::{self, Tree};
use bus::message::{Message, check, diff};
use bus::{Bus, BusError, ClusterId, subject};
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
pub enum Ask {
    Diff(diff::Question, Awaited<diff::Answer>),
    Check(check::Question, Awaited<check::Answer>),
    Tree(tree::Question, Awaited<tree::Answer>),
}

/// Where an answer is awaited.
pub type Awaited<A> = oneshot::Sender<Result<A, BusError>>;

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
    match ask {
        Ask::Diff(question, done) => {
            to(bus, subject::diff(&question.cluster), &question, done).await;
        }
        Ask::Check(question, done) => {
            to(bus, subject::check(&question.cluster), &question, done).await;
        }
        Ask::Tree(question, done) => {
            to(bus, subject::tree(&question.cluster), &question, done).await;
        }
    }
}

async fn to<Q: Message, A: Message>(bus: &Bus, subject: String, question: &Q, done: Awaited<A>) {
    let answer = bus.ask(&subject, question, WITHIN).await;
    // The request may have been given up meanwhile.
    let _ = done.send(answer);
}

/// What a release would change.
pub async fn diff(
    asks: &mpsc::Sender<Ask>,
    question: diff::Question,
) -> Result<Differences, Problem> {
    let cluster = question.cluster.clone();
    match answered(asks, &cluster, |done| Ask::Diff(question, done)).await? {
        diff::Answer::Compared(differences) => Ok(differences),
        diff::Answer::Refused { message } => Err(refused(message)),
    }
}

/// Which secrets are read, and whether they may and are there.
pub async fn check(
    asks: &mpsc::Sender<Ask>,
    question: check::Question,
) -> Result<check::Report, Problem> {
    let cluster = question.cluster.clone();
    match answered(asks, &cluster, |done| Ask::Check(question, done)).await? {
        check::Answer::Checked(report) => Ok(report),
        check::Answer::Refused { message } => Err(refused(message)),
    }
}

/// What an application's objects own.
pub async fn tree(asks: &mpsc::Sender<Ask>, question: tree::Question) -> Result<Tree, Problem> {
    let cluster = question.cluster.clone();
    match answered(asks, &cluster, |done| Ask::Tree(question, done)).await? {
        tree::Answer::Found(tree) => Ok(tree),
        tree::Answer::Refused { message } => Err(refused(message)),
    }
}

async fn answered<A>(
    asks: &mpsc::Sender<Ask>,
    cluster: &ClusterId,
    ask: impl FnOnce(Awaited<A>) -> Ask,
) -> Result<A, Problem> {
    let unavailable = || {
        Problem::unavailable(
            format!("the applier of cluster {cluster} doesn't answer"),
            "try again; /readyz of the applier and of the monitor say more",
        )
    };
    let (done, answer) = oneshot::channel();
    asks.try_send(ask(done)).map_err(|_| unavailable())?;
    match answer.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an applier can't be asked"
            );
            Err(unavailable())
        }
        Err(_) => Err(unavailable()),
    }
}

fn refused(message: String) -> Problem {
    Problem::conflict(
        message,
        "correct that, then ask again; the application's conditions may say more",
    )
}
