//! Desired state: watcher → renderer, applier, secrets-agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::ApplicationSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::need::Dependency;
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
    // Shared: it is large, and whoever reads it keeps it.
    Present(Arc<Present>),
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
    /// The cluster's name of a destination that is given by server, where it isn't the cluster's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The sources, resolved, in the order of the specification.
    pub sources: Vec<ResolvedSource>,
    /// What the last render asked for beside the sources, as far as it was had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    #[serde(default)]
    pub rendering: Rendering,
    pub tracking: Tracking,
    /// Whether a child `Application` counts for its parent's health (`argocd-cm` customization or the parent's annotation).
    #[serde(default)]
    pub assess_applications: bool,
    /// What `Application.status` lists as the application's objects, as `group/kind/namespace/name`: only for a cluster that says
    /// nothing of having it, whose applier takes over those that prove to be the application's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub had: Vec<String>,
    pub trigger: Trigger,
}

/// What `argocd-cm` says about rendering.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rendering {
    /// `kustomize.buildOptions`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kustomize_build_options: String,
    /// Tools that are switched off: `helm.enable`, `kustomize.enable`, `jsonnet.enable` (a part of `Directory`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub disabled: BTreeSet<Tool>,
    /// `helm.valuesFileSchemes`; empty means `https` and `http`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_file_schemes: Vec<String>,
}

/// A tool that `argocd-cm` can switch off.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Tool {
    Helm,
    Kustomize,
    Jsonnet,
}

/// One of the settings about rendering: which of them a render used is among what it read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Setting {
    KustomizeBuildOptions,
    ValuesFileSchemes,
    /// Whether the tool is switched off.
    Disabled(Tool),
}

impl Rendering {
    /// What a setting is, by digest.
    pub fn digest(&self, setting: Setting) -> Digest {
        let value = match setting {
            Setting::KustomizeBuildOptions => self.kustomize_build_options.clone(),
            Setting::ValuesFileSchemes => self.values_file_schemes.join("\n"),
            Setting::Disabled(tool) => self.disabled.contains(&tool).to_string(),
        };
        Digest::of(value.as_bytes())
    }
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
    /// The commit's full object id, the chart's version, or the OCI artifact's digest.
    pub revision: String,
    /// The Git tree of its files. It isn't the commit's own where submodules or large files were filled in.
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
    /// What a render asked for was fetched, or is another now.
    Dependency,
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
    /// When the deletion of the Application was asked for, Unix milliseconds. None where it only left the cluster, or is gone: its
    /// hooks for a deletion don't run then, and nobody can be asked for a confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<u64>,
    /// The annotation `argocd.argoproj.io/deletion-approved` of the Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<String>,
}

impl Deleted {
    /// A deletion that nobody asked for in so many words.
    pub fn new(uid: &str, cascade: Cascade) -> Self {
        Self {
            uid: uid.to_owned(),
            cascade,
            requested: None,
            approved: None,
        }
    }
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
