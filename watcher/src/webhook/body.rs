//! A request's body, bounded in size, in time, and in the memory that all of them take together.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::sync::Semaphore;

/// A body up to this size is read beside all others; more is a push of hundreds of commits.
const SMALL: usize = 256 * 1024;
/// Larger bodies that are read at the same time.
const LARGE_AT_A_TIME: usize = 1;
/// A host that doesn't get its body across in this time is hung up on.
const WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Bodies {
    large: Semaphore,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is over {0} bytes, the limit of argocd-cm's webhook.maxPayloadSizeMB")]
    TooLarge(usize),
    #[error("the body did not arrive within {WITHIN:?}")]
    TooSlow,
    #[error("the body broke off")]
    Broken,
}

impl BodyError {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            large: Semaphore::new(LARGE_AT_A_TIME),
        }
    }
}

impl Bodies {
    /// Reads a body and does with it what is to be done, while its memory is accounted for.
    pub(super) async fn read<T>(
        &self,
        body: Body,
        limit: usize,
        act: impl FnOnce(&Bytes) -> T,
    ) -> Result<T, BodyError> {
        let reading = async {
            let mut chunks = body.into_data_stream();
            let (mut bytes, mut place) = (BytesMut::new(), None);
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|_| BodyError::Broken)?;
                let size = bytes.len() + chunk.len();
                if size > limit {
                    return Err(BodyError::TooLarge(limit));
                }
                if size > SMALL && place.is_none() {
                    place = self.large.acquire().await.ok();
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok((bytes.freeze(), place))
        };
        let (bytes, _place) = tokio::time::timeout(WITHIN, reading)
            .await
            .map_err(|_| BodyError::TooSlow)??;
        Ok(act(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn chunks(sizes: &'static [usize]) -> Body {
        let chunks = sizes
            .iter()
            .map(|size| Ok::<_, std::convert::Infallible>(vec![b' '; *size]));
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let bodies = Bodies::default();
        let read = |sizes| bodies.read(chunks(sizes), 1 << 20, Bytes::len);
        assert_eq!(read(&[]).await, Ok(0));
        assert_eq!(read(&[1 << 19, 1 << 19]).await, Ok(1 << 20));
        let over = Err(BodyError::TooLarge(1 << 20));
        assert_eq!(read(&[1 << 19, 1 << 19, 1]).await, over);
        assert_eq!(read(&[1 << 22]).await, over);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_large_body_holds_up_no_small_one() {
        let bodies = Bodies::default();
        let endless = || {
            let first = stream::iter([Ok::<_, std::convert::Infallible>(vec![0; SMALL + 1])]);
            Body::from_stream(first.chain(stream::pending()))
        };
        let slow = bodies.read(endless(), 1 << 20, Bytes::len);
        let small = bodies.read(chunks(&[100]), 1 << 20, Bytes::len);
        let (slow, small) = tokio::join!(slow, small);
        assert_eq!(slow, Err(BodyError::TooSlow));
        assert_eq!(small, Ok(100));
        // Its place is free again.
        let large = bodies.read(chunks(&[SMALL, SMALL]), 1 << 20, Bytes::len);
        assert_eq!(large.await, Ok(2 * SMALL));
    }
}
