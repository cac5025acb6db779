//! Questions from the bus, request/reply: each goes to its application, which answers at once with all that the answer takes, and its answer
//! is worked out beside that application's own work.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::message::Message;
use bus::{AppId, Asked, Bus, BusError, ClusterId};
use flate2::read::GzDecoder;
use futures::future::{BoxFuture, ready};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::app::Note;
use crate::context::Context;

/// Answers under way at once, of one kind; others wait in the broker's buffers.
const CONCURRENCY: usize = 4;
/// Whoever asks waits a little longer than this.
const WITHIN: Duration = Duration::from_secs(25);
/// The largest manifests that are unpacked, in bytes.
const MAX_MANIFESTS: u64 = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum QuestionsError {
    #[error("hearing questions")]
    Serve(#[from] BusError),
    #[error("the connection to the broker is gone")]
    Connection,
}

/// Answers what is asked on a subject until the process drains. What can't be answered is `refused`, in words for a person.
pub(crate) async fn answer<Q: Message + Clone, A: Serialize + Send + 'static>(
    bus: Bus,
    subject: String,
    token: CancellationToken,
    answer: impl Fn(Q) -> BoxFuture<'static, Result<A, String>>,
    refused: fn(String) -> A,
) -> Result<(), QuestionsError> {
    let mut questions = bus.serve::<Q>(&subject).await?;
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            // Whoever asked is told by the silence.
            () = token.cancelled() => return Ok(()),
            asked = questions.next(), if under_way.len() < CONCURRENCY => {
                let asked = asked.ok_or(QuestionsError::Connection)?;
                let answer = match &asked.value {
                    Ok(question) => answer(question.clone()),
                    Err(error) => ready(Err(error.to_string())).boxed(),
                };
                under_way.push(reply(asked, answer, refused));
            }
            Some(()) = under_way.next() => {}
        }
    }
}

async fn reply<Q, A: Serialize>(
    asked: Asked<Q>,
    answer: BoxFuture<'static, Result<A, String>>,
    refused: fn(String) -> A,
) {
    let answer = tokio::time::timeout(WITHIN, answer)
        .await
        .unwrap_or_else(|_| {
            let seconds = WITHIN.as_secs();
            Err(format!("answering took longer than {seconds} s"))
        });
    if let Err(error) = asked.reply(&answer.unwrap_or_else(refused)).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an answer is lost"
        );
    }
}

/// Asks an application, about its own manifests or these packed ones.
pub(crate) async fn of_app<T>(
    ctx: &Context,
    to: &mpsc::Sender<(AppId, Note)>,
    cluster: &ClusterId,
    app: &AppId,
    manifests: Option<&str>,
    note: impl FnOnce(Option<Arc<[u8]>>, oneshot::Sender<Result<T, String>>) -> Note,
) -> Result<T, String> {
    if *cluster != ctx.id {
        return Err(format!("this is cluster {}, not {cluster}", ctx.id));
    }
    let manifests = manifests.map(unpack).transpose()?;
    let (done, answered) = oneshot::channel();
    let gone = || "the applier is stopping".to_owned();
    to.send((app.clone(), note(manifests, done)))
        .await
        .map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}

fn unpack(text: &str) -> Result<Arc<[u8]>, String> {
    let refused = |why: String| format!("the manifests can't be read: {why}");
    let packed = STANDARD
        .decode(text)
        .map_err(|error| refused(error.to_string()))?;
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(&packed[..]).take(MAX_MANIFESTS + 1);
    let read = decoder
        .read_to_end(&mut bytes)
        .map_err(|error| refused(error.to_string()))?;
    if read as u64 > MAX_MANIFESTS {
        return Err(refused(format!(
            "they are larger than {MAX_MANIFESTS} bytes"
        )));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(bytes: &[u8]) -> String {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        STANDARD.encode(encoder.finish().unwrap())
    }

    #[test]
    fn manifests_are_unpacked_up_to_a_bound() {
        assert_eq!(&*unpack(&packed(b"[]")).unwrap(), b"[]");
        let large = vec![b' '; usize::try_from(MAX_MANIFESTS).unwrap() + 1];
        assert!(unpack(&packed(&large)).unwrap_err().contains("larger"));
        assert!(unpack("!").is_err() && unpack("AAAA").is_err());
    }
}
