//! Events: every service → operators and the monitor. For people and audit; no service decides by them,
//! but for the watcher, which publishes again what an event says was refused or lost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::{AppId, ClusterId, Generation, ReleaseId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub app: AppId,
    pub cluster: ClusterId,
    pub kind: EventKind,
    /// Unix milliseconds.
    pub time: u64,
    /// One sentence for a person. Never a secret value.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// Who asked for it, when a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Further facts by name, such as an object's identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

impl Event {
    #[must_use]
    pub fn new(
        app: &AppId,
        cluster: &ClusterId,
        kind: EventKind,
        message: impl Into<String>,
    ) -> Self {
        Self {
            app: app.clone(),
            cluster: cluster.clone(),
            kind,
            time: crate::clock::now_ms(),
            message: message.into(),
            generation: None,
            revision: None,
            release: None,
            user: None,
            detail: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn generation(mut self, generation: Generation) -> Self {
        self.generation = Some(generation);
        self
    }

    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    #[must_use]
    pub fn release(mut self, release: ReleaseId) -> Self {
        self.release = Some(release);
        self
    }

    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $token:literal by $service:literal),* $(,)?) => {
        /// `<noun>.<verb>`: what happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum EventKind {
            $($(#[doc = $doc])* #[serde(rename = $token)] $name),*
        }

        impl EventKind {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The two last tokens of the event's subject.
            pub const fn token(self) -> &'static str {
                match self { $(Self::$name => $token),* }
            }

            /// The service that says it.
            pub const fn publisher(self) -> &'static str {
                match self { $(Self::$name => $service),* }
            }
        }
    };
}

kinds! {
    /// A new desired state is on its way.
    DesiredPublished = "desired.published" by "watcher",
    /// A source can't be fetched or resolved.
    SourceFailed = "source.failed" by "watcher",
    /// Manifests are ready.
    RenderSucceeded = "render.succeeded" by "renderer",
    /// A render failed; the last good manifests stay.
    RenderFailed = "render.failed" by "renderer",
    /// Rendering again, past all that is kept, showed that a change was overlooked: a fault of Towline's.
    RenderMissed = "render.missed" by "renderer",
    /// A snapshot's pack is missing: the watcher publishes again, with a full one.
    SnapshotMissing = "snapshot.missing" by "renderer",
    /// An older generation came than the cluster holds: the watcher publishes again, above it.
    DesiredRefused = "desired.refused" by "applier",
    /// A manifests object is missing: the watcher publishes again.
    ManifestsMissing = "manifests.missing" by "applier",
    /// It begins when the applications that it depends on are healthy.
    ReleaseWaiting = "release.waiting" by "applier",
    ReleaseStarted = "release.started" by "applier",
    /// Every object of the release is in the API server.
    ReleaseApplied = "release.applied" by "applier",
    /// Applied and healthy.
    ReleaseSucceeded = "release.succeeded" by "applier",
    ReleaseFailed = "release.failed" by "applier",
    /// A dry run ended: what a release would do.
    ReleaseTried = "release.tried" by "applier",
    /// A newer generation took over.
    ReleaseSuperseded = "release.superseded" by "applier",
    /// It failed and isn't released again until a newer one comes; the application goes back to its last healthy release.
    RevisionRefused = "revision.refused" by "applier",
    HookStarted = "hook.started" by "applier",
    HookFinished = "hook.finished" by "applier",
    ObjectPruned = "object.pruned" by "applier",
    /// An object that others applied before is the application's now; names the managers overridden.
    ObjectAdopted = "object.adopted" by "applier",
    /// A live object no longer matches.
    DriftDetected = "drift.detected" by "applier",
    DriftHealed = "drift.healed" by "applier",
    /// Somebody changes an object again each time that it is healed; names the field managers.
    DriftContested = "drift.contested" by "applier",
    HealthChanged = "health.changed" by "applier",
    ApplicationPinned = "application.pinned" by "applier",
    ApplicationUnpinned = "application.unpinned" by "applier",
    /// Its objects are gone (or left alone, as asked); nothing is left to do but the finalizer.
    ApplicationDeleted = "application.deleted" by "applier",
    CommandRefused = "command.refused" by "applier",
    CommandAccepted = "command.accepted" by "monitor",
    SecretResolved = "secret.resolved" by "secrets-agent",
    SecretRefused = "secret.refused" by "secrets-agent",
    /// The backend has another version of a path in use.
    SecretRotated = "secret.rotated" by "secrets-agent",
}

impl Message for Event {
    const KIND: &'static str = "event.published";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_noun_dot_verb_and_known_once() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in EventKind::ALL {
            assert_eq!(kind.token().split('.').count(), 2, "{kind:?}");
            assert!(seen.insert(kind.token()), "{kind:?}");
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.token());
        }
    }
}
