//! People's commands: monitor → watcher (`refresh`) or applier (all others).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use super::state::PinUntil;
use crate::identity::{AppId, ClusterId, ReleaseId};

/// One command. Delivered at least once: whoever carries it out remembers the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Made by the sender; a known id is a no-op.
    pub id: String,
    pub app: AppId,
    pub cluster: ClusterId,
    /// Name of the user as the control cluster's `TokenReview` gave it.
    pub user: String,
    /// Unix milliseconds.
    pub issued: u64,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    Refresh {
        #[serde(default)]
        hard: bool,
    },
    #[serde(rename_all = "camelCase")]
    Sync {
        #[serde(default)]
        prune: bool,
        #[serde(default)]
        dry_run: bool,
        /// Apply also objects that are in sync already.
        #[serde(default)]
        force: bool,
        /// Only these, as `group/kind/namespace/name`; empty means all.
        #[serde(default)]
        resources: Vec<String>,
    },
    /// Back to a release, or to the last healthy one before the current; pins.
    Rollback {
        #[serde(default)]
        release: Option<ReleaseId>,
        #[serde(default)]
        until: PinUntil,
    },
    /// Hold the application at what is live now.
    Pin,
    /// The same, and what ends it beside an unpin.
    PinUntil {
        until: PinUntil,
    },
    Unpin,
    Terminate,
}

/// The last token of a command's subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Refresh,
    Sync,
    Rollback,
    Pin,
    Unpin,
    Terminate,
}

impl Verb {
    /// The verbs that an applier carries out.
    pub const APPLIER: [Self; 5] = [
        Self::Sync,
        Self::Rollback,
        Self::Pin,
        Self::Unpin,
        Self::Terminate,
    ];

    pub const fn token(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Sync => "sync",
            Self::Rollback => "rollback",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Terminate => "terminate",
        }
    }
}

impl Action {
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Refresh { .. } => Verb::Refresh,
            Self::Sync { .. } => Verb::Sync,
            Self::Rollback { .. } => Verb::Rollback,
            Self::Pin | Self::PinUntil { .. } => Verb::Pin,
            Self::Unpin => Verb::Unpin,
            Self::Terminate => Verb::Terminate,
        }
    }
}

impl Message for Command {
    const KIND: &'static str = "command.issued";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}
