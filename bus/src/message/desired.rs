//! Desired state: watcher → renderer, applier, secrets-agent.

use std::collections::BTreeMap;

use api::ApplicationSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Generational, Message};
use crate::identity::{AppId, ClusterId, Digest, Generation};

/// What an application should be, at one generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    pub app: AppId,
    pub cluster: ClusterId,
    pub generation: Generation,
    pub state: DesiredState,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DesiredState {
    Present(Box<Present>),
    Deleted(Deleted),
}

/// An application that should be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Present {
    /// UID of the `Application` object.
    pub uid: String,
    /// The whole specification: project, destination, sources' parameters, sync policy.
    pub spec: ApplicationSpec,
    /// The `argocd.argoproj.io/*` and `towline.dev/*` annotations of the object, without those that only ask for a refresh.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The API server's URL of a destination that is given by name, as its cluster Secret has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The sources, resolved, in the order of the specification.
    pub sources: Vec<ResolvedSource>,
    pub tracking: Tracking,
    /// Whether a child `Application` counts for its parent's health (`argocd-cm` customization or the parent's annotation).
    #[serde(default)]
    pub assess_applications: bool,
    pub trigger: Trigger,
}

/// How live objects are marked as this application's, from `argocd-cm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tracking {
    /// `annotation`, `label` or `annotation+label`.
    pub method: api::TrackingMethod,
    /// `app.kubernetes.io/instance`, unless `application.instanceLabelKey` says otherwise.
    pub label_key: String,
    /// The application's name in tracking ids: `<name>`, or `<namespace>_<name>` outside the control namespace.
    pub instance: String,
}

/// One source at its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSource {
    pub repo_url: String,
    /// What the specification asked for; empty means HEAD.
    pub target_revision: String,
    /// The commit's full object id.
    pub revision: String,
    /// The commit's tree.
    pub tree: String,
    pub snapshot: Snapshot,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
}

/// Where a revision's Git objects are: every pack that it needs, in object store `snapshots`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub packs: Vec<Digest>,
}

/// Who made a revision, and what they said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    pub author: String,
    /// First line of the message, at most 200 characters.
    pub subject: String,
    /// Unix milliseconds.
    pub time: u64,
}

/// Why this generation came to be, and when its first stages happened (Unix milliseconds).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    pub cause: Cause,
    /// Whether caches must not answer (`hard` refresh).
    #[serde(default)]
    pub hard: bool,
    /// When the watcher noticed (webhook received, poll started, object changed).
    pub noticed: u64,
    /// When the repository had been fetched and the revision was known.
    pub fetched: u64,
    /// When this message was published.
    pub published: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    Webhook,
    Poll,
    Refresh,
    /// The `Application` object, its project or a setting changed.
    Application,
    /// An earlier generation had no outcome, was refused, or a part of it was lost.
    Again,
}

/// An application that should be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    /// UID of the `Application` object whose objects are meant; another's are left alone.
    pub uid: String,
    pub cascade: Cascade,
}

/// What becomes of the application's live objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Cascade {
    Foreground,
    Background,
    None,
}

impl Message for Desired {
    const KIND: &'static str = "desired.published";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}

impl Generational for Desired {
    fn generation(&self) -> Generation {
        self.generation
    }
}
