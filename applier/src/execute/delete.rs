//! Deleting objects of one kind, all at once.

use futures::future::join_all;

use super::resolve_kind;
use crate::account::Account;
use crate::cluster::{Cluster, ClusterError, Deletion};
use crate::context::Context;
use crate::object::Key;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteError {
    #[error("deleting {key}")]
    Request {
        key: Key,
        account: Option<Account>,
        source: ClusterError,
    },
    #[error("deleting {key}: the cluster no longer knows its kind")]
    UnknownKind { key: Key },
}

impl DeleteError {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Request {
                source,
                account: Some(account),
                ..
            } if source.code() == Some(403) => format!(
                "{self}: service account {account} may not delete it: {}",
                source.describe(false)
            ),
            Self::Request { source, .. } => format!("{self}: {}", source.describe(false)),
            Self::UnknownKind { .. } => self.to_string(),
        }
    }
}

/// Each with the UID of the very object that is meant, in the name that `cluster` is written to. Whether each was there.
pub(crate) async fn delete_all(
    ctx: &Context,
    cluster: &Cluster,
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
        let deleted = cluster.delete(&kind, &key, deletion).await;
        match deleted {
            Ok(true) => ctx.live.going(&key, &uid),
            // Another one of its name may be there.
            Ok(false) => ctx.live.lost(&key),
            Err(_) => {}
        }
        (
            key.clone(),
            deleted.map_err(|source| DeleteError::Request {
                key,
                account: cluster.writer().cloned(),
                source,
            }),
        )
    }))
    .await
}
