//! What is too large for a message: objects named by the digest of their bytes, written once and never changed.
//!
//! Whoever stores what is there already touches it: what was touched lately isn't collected ([`collect`]).

mod collect;

use std::sync::Arc;
use std::time::Duration;

use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::object_store::{GetErrorKind, ObjectInfo, ObjectStore};
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures::TryStreamExt;
use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;

use crate::client::Bus;
use crate::clock;
use crate::envelope;
use crate::error::BusError;
use crate::identity::Digest;
use crate::subject::Store;

pub use collect::{Listed, Orphan};

/// Bytes of one chunk, as other clients cut them.
const CHUNK: usize = 128 * 1024;
/// Chunks whose confirmations are awaited together.
const WINDOW: usize = 16;
/// What was touched within this time isn't touched again: one write an hour, not one each time.
const TOUCHED: Duration = Duration::from_hours(1);
/// Of two writers one succeeds, so that a second attempt finds the object there.
const ATTEMPTS: usize = 5;
/// An object without a chunk for so long has lost it.
const STALLED: Duration = Duration::from_secs(5);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One object store. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    bus: Bus,
    name: String,
    handle: Arc<OnceCell<(ObjectStore, Stream)>>,
}

impl Objects {
    pub(crate) fn new(bus: Bus, store: &Store) -> Self {
        Self {
            bus,
            name: store.name(),
            handle: Arc::new(OnceCell::new()),
        }
    }

    /// Stores `bytes`, unless they are there whole. Nothing is written over: of two writers one stores, and both succeed.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), BusError> {
        for _ in 0..ATTEMPTS {
            if self.try_put(digest, &bytes).await? {
                return Ok(());
            }
        }
        Err(BusError::Conflict {
            subject: self.meta(digest),
        })
    }

    /// False when another changed the object meanwhile: stored it, touched it, or took it out.
    async fn try_put(&self, digest: &Digest, bytes: &Bytes) -> Result<bool, BusError> {
        let failed = |source: BoxError| BusError::PutObject {
            name: digest.to_string(),
            source,
        };
        let (_, stream) = self.open().await?;
        let meta = self.meta(digest);
        let (expected, broken) = match stream.direct_get_last_for_subject(&meta).await {
            Ok(last) => {
                let info = serde_json::from_slice::<ObjectInfo>(&last.payload).ok();
                if let Some(info) = &info
                    && info.size == bytes.len()
                    && self.is_whole(info).await.map_err(failed)?
                {
                    return self.touch(digest, info, last.sequence).await;
                }
                (last.sequence, info)
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => (0, None),
            Err(error) => return Err(failed(error.into())),
        };
        let nuid = uuid::Uuid::new_v4().simple().to_string();
        self.put_chunks(&nuid, bytes).await.map_err(failed)?;
        let stored = self.set(digest, &nuid, bytes.len(), expected).await?;
        // What nobody names any more: our own chunks when another was faster, those of a broken object when not.
        let superfluous = if stored {
            broken.map(|info| info.nuid)
        } else {
            Some(nuid)
        };
        if let Some(nuid) = superfluous {
            let purge = stream.purge().filter(self.chunks(&nuid));
            purge.await.map_err(|error| failed(error.into()))?;
        }
        Ok(stored)
    }

    /// The object's bytes, proven by their digest; none when there is no such object, or not all of it.
    pub async fn get(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, BusError> {
        // async-nats keeps a lot in it: not in the futures of all callers.
        Box::pin(self.read(digest, limit)).await
    }

    async fn read(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::GetObject {
            name: digest.to_string(),
            source,
        };
        let corrupt = || BusError::ObjectCorrupt {
            name: digest.to_string(),
        };
        let (store, _) = self.open().await?;
        let object = match store.get(digest.as_str()).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let info = object.info().clone();
        if info.size > limit {
            return Err(BusError::ObjectTooLarge {
                name: digest.to_string(),
                size: info.size,
                limit,
            });
        }
        let mut bytes = Vec::with_capacity(info.size);
        // There may be more than it says there is.
        let mut object = object.take(u64::try_from(info.size).unwrap_or(u64::MAX));
        while bytes.len() < info.size {
            match tokio::time::timeout(STALLED, object.read_buf(&mut bytes)).await {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                    return Err(corrupt());
                }
                Ok(Err(error)) => return Err(failed(error.into())),
                Err(_) if !self.is_whole(&info).await.map_err(failed)? => return Ok(None),
                Err(stalled) => return Err(failed(stalled.into())),
            }
        }
        if Digest::of(&bytes) != *digest {
            return Err(corrupt());
        }
        Ok(Some(bytes.into()))
    }

    /// Says that a whole object is needed, if nobody said so lately. False when another changed it meanwhile.
    async fn touch(
        &self,
        digest: &Digest,
        info: &ObjectInfo,
        sequence: u64,
    ) -> Result<bool, BusError> {
        let lately = u64::try_from(TOUCHED.as_millis()).unwrap_or(u64::MAX);
        if touched(info).saturating_add(lately) > clock::now_ms() {
            return Ok(true);
        }
        self.set(digest, &info.nuid, info.size, sequence).await
    }

    /// Writes an object's description, if the last one is still that of `expected`.
    async fn set(
        &self,
        digest: &Digest,
        nuid: &str,
        size: usize,
        expected: u64,
    ) -> Result<bool, BusError> {
        let info = self.describe(digest, nuid, size);
        let info = info.map_err(|source| BusError::PutObject {
            name: digest.to_string(),
            source,
        })?;
        let message = PublishMessage::build()
            .header(NATS_ROLLUP, "sub")
            .expected_last_subject_sequence(expected)
            .payload(info.into());
        match self.bus.send_message(&self.meta(digest), message).await {
            Ok(_) => Ok(true),
            Err(BusError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn put_chunks(&self, nuid: &str, bytes: &Bytes) -> Result<(), BoxError> {
        let subject = self.chunks(nuid);
        let context = &self.bus.inner.jetstream;
        let chunks: Vec<Bytes> = (0..bytes.len())
            .step_by(CHUNK)
            .map(|start| bytes.slice(start..bytes.len().min(start + CHUNK)))
            .collect();
        for window in chunks.chunks(WINDOW) {
            let mut sent = Vec::with_capacity(window.len());
            for chunk in window {
                sent.push(context.publish(subject.clone(), chunk.clone()).await?);
            }
            for confirmed in sent {
                confirmed.await?;
            }
        }
        Ok(())
    }

    /// The object's description, as every client of NATS reads it.
    fn describe(&self, digest: &Digest, nuid: &str, size: usize) -> Result<Vec<u8>, BoxError> {
        let sha256 = URL_SAFE.encode(hex::decode(digest.as_str())?);
        Ok(serde_json::to_vec(&serde_json::json!({
            "name": digest.as_str(),
            "bucket": self.name,
            "nuid": nuid,
            "size": size,
            "chunks": size.div_ceil(CHUNK),
            "digest": format!("SHA-256={sha256}"),
            "mtime": envelope::rfc3339(clock::now_ms()),
            "options": { "max_chunk_size": CHUNK },
        }))?)
    }

    /// Whether every chunk that the description counts is there.
    async fn is_whole(&self, info: &ObjectInfo) -> Result<bool, BoxError> {
        let (_, stream) = self.open().await?;
        let mut counts = stream.info_with_subjects(self.chunks(&info.nuid)).await?;
        let found = counts.try_next().await?.map_or(0, |(_, count)| count);
        Ok(!info.deleted && found == info.chunks)
    }

    fn meta(&self, digest: &Digest) -> String {
        format!("$O.{}.M.{}", self.name, URL_SAFE.encode(digest.as_str()))
    }

    fn chunks(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.name)
    }

    async fn open(&self) -> Result<&(ObjectStore, Stream), BusError> {
        let context = &self.bus.inner.jetstream;
        let opened = self.handle.get_or_try_init(|| async {
            let store = context.get_object_store(&self.name).await?;
            let stream = context.get_stream(format!("OBJ_{}", self.name)).await?;
            Ok::<_, BoxError>((store, stream))
        });
        opened.await.map_err(|source| BusError::Store {
            store: self.name.clone(),
            source,
        })
    }
}

/// When an object's description was written, Unix milliseconds.
fn touched(info: &ObjectInfo) -> u64 {
    let Some(time) = info.modified else { return 0 };
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}
