//! Manifests: renderer → applier. Objects only: project, destination and policy come from [`super::desired`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::{Generational, Message};
use crate::identity::{AppId, ClusterId, Digest, Generation};

/// The rendered objects of one application at one generation, before secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Manifests {
    pub app: AppId,
    pub cluster: ClusterId,
    pub generation: Generation,
    /// SHA-256 of the payload's bytes.
    pub digest: Digest,
    /// A JSON array of objects, in the order in which the engine gave them.
    pub payload: Payload,
    pub count: usize,
    /// The tool of each source: `Directory`, `Helm`, `Kustomize`, `HelmLastMile`.
    pub source_types: Vec<SourceType>,
    /// Warnings of the render.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Unix milliseconds.
    pub started: u64,
    /// Unix milliseconds.
    pub rendered: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SourceType {
    Directory,
    Helm,
    Kustomize,
    /// Argo CD's statuses call it `Helm`; Towline's own pages say it in full.
    HelmLastMile,
}

/// Bytes in the message, or in the cluster's object store under the message's digest when over [`Payload::INLINE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Payload {
    Inline(String),
    Object { size: usize },
}

impl Payload {
    /// The largest payload that travels in the message itself, in bytes.
    pub const INLINE: usize = 512 * 1024;
}

impl Message for Manifests {
    const KIND: &'static str = "manifests.rendered";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}

impl Generational for Manifests {
    fn generation(&self) -> Generation {
        self.generation
    }
}
