//! What is in a store, and taking out of it what nobody needs any more: for the one who knows what is needed.

use std::collections::BTreeSet;

use async_nats::jetstream::object_store::ObjectInfo;
use async_nats::jetstream::stream::DirectGetErrorKind;
use futures::TryStreamExt;

use super::{BoxError, Objects, touched};
use crate::error::BusError;
use crate::identity::Digest;

/// An object, as it was when the store was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub digest: Digest,
    pub size: usize,
    /// When somebody stored it last, or found it stored; Unix milliseconds.
    pub touched: u64,
    nuid: String,
}

/// Chunks of no object: of one that another writer stored at the same time, or whose writer was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    nuid: String,
    /// When the last of them was written, Unix milliseconds.
    pub touched: u64,
}

impl Objects {
    /// Every object, in no order.
    pub async fn list(&self) -> Result<Vec<Listed>, BusError> {
        let infos = self.infos().await.map_err(|source| self.listing(source))?;
        Ok(infos
            .into_iter()
            .filter_map(|info| {
                // Names that aren't digests are none of ours.
                let digest = info.name.parse().ok()?;
                Some(Listed {
                    digest,
                    size: info.size,
                    touched: touched(&info),
                    nuid: info.nuid,
                })
            })
            .collect())
    }

    /// Chunks that belong to no object. Those of an object that is being written are among them: their age tells.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, BusError> {
        self.find_orphans()
            .await
            .map_err(|source| self.listing(source))
    }

    /// Takes an object out, unless somebody stored it or found it stored since it was listed. Says whether it did.
    pub async fn remove(&self, listed: &Listed) -> Result<bool, BusError> {
        let failed = |source: BoxError| BusError::RemoveObject {
            name: listed.digest.to_string(),
            source,
        };
        let (_, stream) = self.open().await?;
        let meta = self.meta(&listed.digest);
        let last = match stream.direct_get_last_for_subject(&meta).await {
            Ok(last) => last,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error.into())),
        };
        let info: ObjectInfo =
            serde_json::from_slice(&last.payload).map_err(|error| failed(error.into()))?;
        if info.nuid != listed.nuid || touched(&info) != listed.touched {
            return Ok(false);
        }
        // Up to what was read: a description that was written since stays. One that wasn't can't be any more, since its
        // writer expects this one to be the last.
        let read = stream.purge().filter(&meta).sequence(last.sequence + 1);
        read.await.map_err(|error| failed(error.into()))?;
        match stream.direct_get_last_for_subject(&meta).await {
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.into())),
        }
        let chunks = stream.purge().filter(self.chunks(&listed.nuid));
        chunks.await.map_err(|error| failed(error.into()))?;
        Ok(true)
    }

    /// Takes out chunks that belong to no object.
    pub async fn remove_orphan(&self, orphan: &Orphan) -> Result<(), BusError> {
        let (_, stream) = self.open().await?;
        let chunks = stream.purge().filter(self.chunks(&orphan.nuid));
        chunks
            .await
            .map(|_| ())
            .map_err(|error| BusError::RemoveObject {
                name: format!("chunks {}", orphan.nuid),
                source: error.into(),
            })
    }

    async fn infos(&self) -> Result<Vec<ObjectInfo>, BoxError> {
        let (store, _) = self.open().await?;
        Ok(store.list().await?.try_collect().await?)
    }

    async fn find_orphans(&self) -> Result<Vec<Orphan>, BoxError> {
        let (_, stream) = self.open().await?;
        let prefix = self.chunks("");
        // Before the descriptions, which are written after their chunks.
        let mut subjects = stream.info_with_subjects(self.chunks("*")).await?;
        let mut found = Vec::new();
        while let Some((subject, _)) = subjects.try_next().await? {
            found.push(subject);
        }
        let named: BTreeSet<String> = self
            .infos()
            .await?
            .into_iter()
            .map(|info| self.chunks(&info.nuid))
            .collect();
        let mut orphans = Vec::new();
        for subject in found.into_iter().filter(|it| !named.contains(it)) {
            match stream.direct_get_last_for_subject(&subject).await {
                Ok(last) => orphans.push(Orphan {
                    nuid: subject.trim_start_matches(&prefix).to_owned(),
                    touched: u64::try_from(last.time.unix_timestamp_nanos() / 1_000_000)?,
                }),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(orphans)
    }

    fn listing(&self, source: BoxError) -> BusError {
        BusError::Store {
            store: self.name.clone(),
            source,
        }
    }
}
