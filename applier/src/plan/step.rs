//! The steps of a plan, in the order in which they are carried out.

use super::progress::Turn;
use crate::object::{Key, Phase};

/// Manifests by their index.
pub(crate) type Batch = Vec<usize>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `CreateNamespace=true`; made if it isn't there.
    CreateNamespace(String),
    /// Objects of one kind, all at once; the next step follows when the server has all of them.
    Apply { phase: Phase, batch: Batch },
    /// Workloads whose pods began with other values of Secrets than these have by now.
    Restart { batch: Batch },
    /// Until all are healthy, and hooks among them finished.
    Await { phase: Phase, batch: Batch },
    /// The hooks of this turn are over, which is written down.
    Passed(Turn),
    /// Until no hook of the attempt runs any more, however each ended.
    AwaitEnd(Batch),
    /// Objects of one kind, all at once.
    Delete { keys: Vec<Key>, why: Why },
    /// Until none of them is there.
    AwaitGone(Vec<Key>),
    /// From here on every object of the release is in the API server.
    Applied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// No longer in the manifests.
    Pruned,
    /// A hook's remains from an earlier attempt (`BeforeHookCreation`).
    BeforeHook,
    /// The application is deleted.
    Deleted,
}
