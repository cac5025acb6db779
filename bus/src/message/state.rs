//! Each service's full current state of an application, in bucket `state` under `<service>.<cluster>.<ns>.<app>`.
//! Written when it changes, and for all applications again when a service starts; the monitor folds them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use super::command::Command;
use super::condition::Condition;
use super::desired::{Commit, Trigger};
use super::manifests::SourceType;
use super::need::Need;
use crate::identity::{AppId, ClusterId, Digest, Generation, ReleaseId};

/// What the watcher knows of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatcherState {
    pub app: AppId,
    pub uid: String,
    /// None while the destination matches no cluster.
    pub cluster: Option<ClusterId>,
    pub project: String,
    /// The newest published, if any.
    pub generation: Option<Generation>,
    /// What each source asks for, with the revision of the newest published generation. A newer commit that changed
    /// nothing of this application is in bucket `verified`.
    pub sources: Vec<SourceState>,
    pub conditions: Vec<Condition>,
    /// Value of the refresh annotation that was carried out last; the monitor then removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed: Option<Refreshed>,
    /// Whether the object is being deleted.
    #[serde(default)]
    pub deleting: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceState {
    pub repo_url: String,
    pub target_revision: String,
    pub revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
}

/// A carried-out refresh: the resource version of the object that carried the annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    pub resource_version: String,
    pub time: u64,
}

/// What the renderer did last for an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RendererState {
    pub app: AppId,
    pub cluster: ClusterId,
    pub generation: Generation,
    pub source_types: Vec<SourceType>,
    /// None when it failed or waits.
    pub digest: Option<Digest>,
    /// What the watcher has still to fetch before it can be rendered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<Need>,
    pub conditions: Vec<Condition>,
    /// Whether the engine ran, or an earlier result was proven still right.
    pub reused: bool,
    pub started: u64,
    pub finished: u64,
}

/// What the applier knows of an application: everything about its releases and live objects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplierState {
    pub app: AppId,
    pub cluster: ClusterId,
    pub uid: String,
    /// The generation that this state is about: desired and manifests joined.
    pub generation: Generation,
    pub sync: SyncStatus,
    /// Revisions of the sources that sync status and resources are about.
    pub revisions: Vec<String>,
    pub health: Health,
    pub resources: Vec<ResourceState>,
    pub conditions: Vec<Condition>,
    /// The running or last release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Newest last.
    pub history: Vec<HistoryEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Images of the live workloads, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Compares and shows only (`up --observe`).
    #[serde(default)]
    pub observe: bool,
    /// The deletion that was carried out, by the `Application` object's UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SyncStatus {
    Synced,
    OutOfSync,
    Unknown,
}

impl SyncStatus {
    pub const ALL: [Self; 3] = [Self::Synced, Self::OutOfSync, Self::Unknown];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::OutOfSync => "OutOfSync",
            Self::Unknown => "Unknown",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HealthStatus {
    Healthy,
    Progressing,
    Degraded,
    Suspended,
    Missing,
    Unknown,
}

impl HealthStatus {
    /// From best to worst, as Argo CD orders them.
    pub const ALL: [Self; 6] = [
        Self::Healthy,
        Self::Suspended,
        Self::Progressing,
        Self::Missing,
        Self::Degraded,
        Self::Unknown,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Suspended => "Suspended",
            Self::Missing => "Missing",
            Self::Unknown => "Unknown",
        }
    }

    /// The worse of two.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |status| Self::ALL.iter().position(|&known| known == status);
        if rank(self) >= rank(other) {
            self
        } else {
            other
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub status: HealthStatus,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When the status (not the message) last changed, Unix milliseconds.
    pub since: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceState {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    pub version: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    /// None for hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// None for kinds without health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default)]
    pub wave: i64,
    #[serde(default)]
    pub hook: bool,
    /// In the inventory, no longer in the manifests.
    #[serde(default)]
    pub prune: bool,
}

/// The phases of Argo CD's operation state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OperationPhase {
    Running,
    Succeeded,
    Failed,
    Error,
    Terminating,
}

impl OperationPhase {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Terminating => "Terminating",
        }
    }
}

/// A release, running or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    pub release: ReleaseId,
    pub generation: Generation,
    pub phase: OperationPhase,
    pub message: String,
    pub revisions: Vec<String>,
    pub digest: Digest,
    pub cause: ReleaseCause,
    pub started: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
    pub retries: u32,
    pub timeline: Timeline,
    /// What became of each object that the release touched.
    pub results: Vec<ResourceResult>,
    /// Whether it only says what a release would do; its id is that of the last release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Why a release was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseCause {
    /// Automated sync of a new desired state.
    Automated,
    SelfHeal,
    Command {
        user: String,
        id: String,
    },
    Rollback {
        user: String,
        to: ReleaseId,
    },
    Unpin {
        user: String,
    },
    /// `towline.dev/rollback: on-failure`.
    OnFailure {
        to: ReleaseId,
    },
    /// The stores of secrets have newer versions of these paths.
    SecretRotated {
        paths: Vec<String>,
    },
}

impl ReleaseCause {
    /// The person behind it, if one is.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Command { user, .. } | Self::Rollback { user, .. } | Self::Unpin { user } => {
                Some(user)
            }
            Self::Automated
            | Self::SelfHeal
            | Self::OnFailure { .. }
            | Self::SecretRotated { .. } => None,
        }
    }

    pub fn from_command(command: &Command) -> Self {
        Self::Command {
            user: command.user.clone(),
            id: command.id.clone(),
        }
    }
}

/// When each stage of a commit's way happened, Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    pub trigger: Option<Trigger>,
    pub render_started: Option<u64>,
    pub rendered: Option<u64>,
    /// The applier had both parts and began to plan.
    pub planned: Option<u64>,
    /// Every object is in the API server.
    pub applied: Option<u64>,
    pub healthy: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceResult {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    pub version: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    pub status: ResultStatus,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// `PreSync`, `Sync`, `PostSync`, `SyncFail` or `PostDelete`.
    pub phase: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_phase: Option<OperationPhase>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ResultStatus {
    Synced,
    SyncFailed,
    Pruned,
    PruneSkipped,
}

/// A release that ended live: what one can go back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    pub release: ReleaseId,
    pub generation: Generation,
    pub digest: Digest,
    pub revisions: Vec<String>,
    /// Who made the revisions, where that is known: index-aligned with `revisions`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<Option<Commit>>,
    /// As specified when it was released: index-aligned with `revisions`.
    pub sources: Vec<serde_json::Value>,
    pub cause: ReleaseCause,
    pub started: u64,
    pub finished: u64,
    /// Whether it was seen healthy.
    pub healthy: bool,
}

impl HistoryEntry {
    /// The first of its commits that is known.
    pub fn commit(&self) -> Option<&Commit> {
        self.commits.iter().flatten().next()
    }
}

/// An application held at a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    pub release: ReleaseId,
    pub user: String,
    pub since: u64,
    #[serde(default)]
    pub until: PinUntil,
}

/// What ends a pin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PinUntil {
    /// Only a person.
    #[default]
    Unpinned,
    /// Revisions newer than those that were wanted when it was made, too.
    NewerRevision,
}

impl PinUntil {
    pub const ALL: [Self; 2] = [Self::Unpinned, Self::NewerRevision];

    /// The word of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unpinned => "unpinned",
            Self::NewerRevision => "newer-revision",
        }
    }

    /// What follows "pinned at release 3" in a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unpinned => "",
            Self::NewerRevision => " until a newer revision comes",
        }
    }
}

/// What a secrets-agent knows of an application: which paths it resolved, never a value. The applier compares the versions with
/// those that it applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentState {
    pub app: AppId,
    pub cluster: ClusterId,
    pub generation: Generation,
    /// Path to the newest version that the agent has seen, where the backend counts versions.
    pub paths: BTreeMap<String, Option<u64>>,
    pub conditions: Vec<Condition>,
}

macro_rules! messages {
    ($($name:ident = $kind:literal),*) => {$(
        impl Message for $name {
            const KIND: &'static str = $kind;

            fn about(&self) -> Option<&AppId> {
                Some(&self.app)
            }
        }
    )*};
}

messages! {
    WatcherState = "watcher.state",
    RendererState = "renderer.state",
    ApplierState = "applier.state",
    AgentState = "agent.state"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_health_wins_whatever_the_order() {
        assert_eq!(
            HealthStatus::Healthy.worse(HealthStatus::Degraded),
            HealthStatus::Degraded
        );
        assert_eq!(
            HealthStatus::Degraded.worse(HealthStatus::Progressing),
            HealthStatus::Degraded
        );
        assert_eq!(
            HealthStatus::Suspended.worse(HealthStatus::Healthy),
            HealthStatus::Suspended
        );
    }
}
