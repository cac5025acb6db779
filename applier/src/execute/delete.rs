//! Deleting objects of one kind, all at once.

use futures::future::join_all;

use super::resolve_kind;
use crate::account::Account;
use crate::cluster::{ApiKind, Cluster, ClusterError, Deletion, Removal};
use crate::context::Context;
use crate::live::{Claim, Look, Owner};
use crate::object::Key;

/// How often an object that changes meanwhile is looked at before its deletion is given up for now.
const LOOKS: usize = 10;

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
    #[error("deleting {key}: it changes faster than it can be looked at")]
    Restless { key: Key },
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
            Self::UnknownKind { .. } | Self::Restless { .. } => self.to_string(),
        }
    }
}

/// What became of an object that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    Accepted,
    NotThere,
    /// By what it says of itself now it isn't the application's any more.
    Others,
}

/// Each only as it was when it was seen to be the application's: one that changed since is looked at again, right before it goes.
pub(crate) async fn delete_ours(
    ctx: &Context,
    cluster: &Cluster,
    objects: Vec<(Key, Box<str>)>,
    owner: Owner<'_>,
    propagation: &'static str,
) -> Vec<(Key, Result<Deleted, DeleteError>)> {
    // Bounded by the client's requests in flight.
    join_all(objects.into_iter().map(|(key, uid)| async move {
        let Some(kind) = resolve_kind(ctx, &key, None) else {
            return (key.clone(), Err(DeleteError::UnknownKind { key }));
        };
        let doomed = Doomed {
            kind: &kind,
            key: &key,
            uid: &uid,
            propagation,
        };
        let deleted = doomed.delete(ctx, cluster, owner).await;
        (key, deleted)
    }))
    .await
}

struct Doomed<'a> {
    kind: &'a ApiKind,
    key: &'a Key,
    uid: &'a str,
    propagation: &'static str,
}

impl Doomed<'_> {
    async fn delete(
        &self,
        ctx: &Context,
        cluster: &Cluster,
        owner: Owner<'_>,
    ) -> Result<Deleted, DeleteError> {
        let key = self.key;
        let failed = |source| DeleteError::Request {
            key: key.clone(),
            account: cluster.writer().cloned(),
            source,
        };
        for _ in 0..LOOKS {
            if let Look::Unknown = ctx.live.look(key) {
                match ctx.cluster.get(self.kind, key).await.map_err(failed)? {
                    Some(object) => ctx.live.found(key, object),
                    None => ctx.live.found_absent(key),
                }
            }
            let entry = match ctx.live.look(key) {
                Look::Present(entry) if *entry.uid == *self.uid => entry,
                // Another one of its name may be there.
                Look::Present(_) | Look::Absent => return Ok(Deleted::NotThere),
                Look::Unknown => continue,
            };
            if owner.claim(key, &entry) != Claim::Ours {
                return Ok(Deleted::Others);
            }
            let deletion = Deletion {
                uid: Some(self.uid),
                version: Some(entry.resource_version),
                propagation: self.propagation,
            };
            match cluster
                .delete(self.kind, key, deletion)
                .await
                .map_err(failed)?
            {
                Removal::Accepted => {
                    ctx.live.going(key, self.uid);
                    return Ok(Deleted::Accepted);
                }
                Removal::NotThere => {
                    ctx.live.lost(key);
                    return Ok(Deleted::NotThere);
                }
                // The watch may be behind: the server is asked.
                Removal::Changed => ctx.live.lost(key),
            }
        }
        Err(DeleteError::Restless { key: key.clone() })
    }
}

/// Each with the UID of the very object that is meant, in the name that `cluster` is written to.
pub(crate) async fn delete_all(
    ctx: &Context,
    cluster: &Cluster,
    objects: Vec<(Key, Box<str>)>,
    propagation: &'static str,
) -> Vec<(Key, Result<Deleted, DeleteError>)> {
    // Bounded by the client's requests in flight.
    join_all(objects.into_iter().map(|(key, uid)| async move {
        let Some(kind) = resolve_kind(ctx, &key, None) else {
            return (key.clone(), Err(DeleteError::UnknownKind { key }));
        };
        let deletion = Deletion {
            uid: Some(&uid),
            version: None,
            propagation,
        };
        let deleted = cluster.delete(&kind, &key, deletion).await;
        let deleted = deleted.map(|removal| match removal {
            Removal::Accepted => {
                ctx.live.going(&key, &uid);
                Deleted::Accepted
            }
            // Another one of its name may be there.
            Removal::NotThere | Removal::Changed => {
                ctx.live.lost(&key);
                Deleted::NotThere
            }
        });
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
