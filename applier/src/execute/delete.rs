//! Deleting objects of one kind, all at once.

use futures::future::join_all;

use super::resolve_kind;
use crate::cluster::{ClusterError, Deletion};
use crate::context::Context;
use crate::object::Key;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteError {
    #[error("deleting {key}")]
    Request { key: Key, source: ClusterError },
    #[error("deleting {key}: the cluster no longer knows its kind")]
    UnknownKind { key: Key },
}

impl DeleteError {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Request { source, .. } => format!("{self}: {}", source.describe(false)),
            Self::UnknownKind { .. } => self.to_string(),
        }
    }
}

/// Each with the UID of the very object that is meant. Whether each was there.
pub(crate) async fn delete_all(
    ctx: &Context,
    objects: Vec<(Key, Box<str>)>,
    propagation: &'static str,
) -> Vec<(Key, Result<bool, DeleteError>)> {
    // Bounded by the client's requests in flight.
    join_all(objects.into_iter().map(|(key, uid)| async move {
        let Some(kind) = resolve_kind(ctx, &key, None) else {
            return (key.clone(), Err(DeleteError::UnknownKind { key }));
        };
        let deletion = Deletion {
            uid: Some(&uid),
            propagation,
        };
        let deleted = ctx.cluster.delete(&kind, &key, deletion).await;
        (
            key.clone(),
            deleted.map_err(|source| DeleteError::Request { key, source }),
        )
    }))
    .await
}
