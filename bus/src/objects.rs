//! What is too large for a message: objects named by the digest of their bytes, written once and never changed.

use std::sync::Arc;

use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, ObjectStore};
use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;

use crate::client::Bus;
use crate::error::BusError;
use crate::identity::Digest;
use crate::subject::Store;

/// One object store. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    bus: Bus,
    name: String,
    handle: Arc<OnceCell<ObjectStore>>,
}

impl Objects {
    pub(crate) fn new(bus: Bus, store: &Store) -> Self {
        Self {
            bus,
            name: store.name(),
            handle: Arc::new(OnceCell::new()),
        }
    }

    /// Stores `bytes`, unless they are there. Looks first: writing over a name purges the chunks under a reader.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::PutObject {
            name: digest.to_string(),
            source,
        };
        let store = self.open().await?;
        match store.info(digest.as_str()).await {
            Ok(info) if info.size == bytes.len() => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == InfoErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.into())),
        }
        let mut reader: &[u8] = &bytes;
        store
            .put(digest.as_str(), &mut reader)
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// The object's bytes, proven by their digest; none when there is no such object.
    pub async fn get(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::GetObject {
            name: digest.to_string(),
            source,
        };
        let mut object = match self.open().await?.get(digest.as_str()).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let size = object.info().size;
        if size > limit {
            return Err(BusError::ObjectTooLarge {
                name: digest.to_string(),
                size,
                limit,
            });
        }
        let mut bytes = Vec::with_capacity(size);
        object
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| failed(error.into()))?;
        if Digest::of(&bytes) != *digest {
            return Err(BusError::ObjectCorrupt {
                name: digest.to_string(),
            });
        }
        Ok(Some(bytes.into()))
    }

    async fn open(&self) -> Result<&ObjectStore, BusError> {
        self.handle
            .get_or_try_init(|| async {
                self.bus
                    .inner
                    .jetstream
                    .get_object_store(&self.name)
                    .await
                    .map_err(|source| BusError::Store {
                        store: self.name.clone(),
                        source: source.into(),
                    })
            })
            .await
    }
}
