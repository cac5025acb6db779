//! Questions from the bus, each to its application and, once that said what is to be compared, on its way to the answer.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::message::diff::{Answer, Question};
use bus::{AppId, Asked, BusError, subject};
use flate2::read::GzDecoder;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::compare;
use crate::app::Note;
use crate::context::Context;

/// Comparisons under way at once; others wait in the broker's buffers.
const CONCURRENCY: usize = 4;
/// Whoever asks waits a little longer than this.
const WITHIN: Duration = Duration::from_secs(25);
/// The largest manifests that are unpacked, in bytes.
const MAX_MANIFESTS: u64 = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DiffsError {
    #[error("hearing questions about differences")]
    Serve(#[from] BusError),
    #[error("the connection to the broker is gone")]
    Connection,
}

pub(crate) async fn run(
    ctx: Arc<Context>,
    to: mpsc::Sender<(AppId, Note)>,
    token: CancellationToken,
) -> Result<(), DiffsError> {
    let mut questions = ctx.bus.serve::<Question>(&subject::diff(&ctx.id)).await?;
    let mut under_way = FuturesUnordered::<BoxFuture<'static, ()>>::new();
    loop {
        tokio::select! {
            // Whoever asked is told by the silence.
            () = token.cancelled() => return Ok(()),
            asked = questions.next(), if under_way.len() < CONCURRENCY => match asked {
                Some(asked) => under_way.push(answer(ctx.clone(), to.clone(), asked).boxed()),
                None => return Err(DiffsError::Connection),
            },
            Some(()) = under_way.next() => {}
        }
    }
}

async fn answer(ctx: Arc<Context>, to: mpsc::Sender<(AppId, Note)>, asked: Asked<Question>) {
    let answer = match &asked.value {
        Ok(question) => tokio::time::timeout(WITHIN, compared(&ctx, &to, question))
            .await
            .unwrap_or_else(|_| {
                let seconds = WITHIN.as_secs();
                Err(format!("comparing took longer than {seconds} s"))
            }),
        Err(error) => Err(error.to_string()),
    };
    let answer = answer.unwrap_or_else(|message| Answer::Refused { message });
    if let Err(error) = asked.reply(&answer).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an answer about differences is lost"
        );
    }
}

async fn compared(
    ctx: &Arc<Context>,
    to: &mpsc::Sender<(AppId, Note)>,
    question: &Question,
) -> Result<Answer, String> {
    if question.cluster != ctx.id {
        return Err(format!(
            "this is cluster {}, not {}",
            ctx.id, question.cluster
        ));
    }
    let manifests = question.manifests.as_deref().map(unpack).transpose()?;
    let (done, prepared) = oneshot::channel();
    let note = Note::Diff(manifests, done);
    let gone = || "the applier is stopping".to_owned();
    to.send((question.app.clone(), note))
        .await
        .map_err(|_| gone())?;
    let comparison = prepared.await.map_err(|_| gone())??;
    compare::differences(ctx, &comparison).await
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
