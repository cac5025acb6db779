//! What a release would change: asked by the monitor of a cluster's applier, request/reply, never stored.
//!
//! No value of a secret is in an answer: a mask stands in its place, the same for the same value in the same place of one answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Message;
use crate::identity::{AppId, ClusterId, Generation};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    pub app: AppId,
    pub cluster: ClusterId,
    /// Name of the user as the control cluster's `TokenReview` gave it.
    pub user: String,
    /// Manifests to compare with instead of the application's own: a JSON array of objects, gzip, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<String>,
}

impl Question {
    /// The longest text of packed manifests, in bytes.
    pub const MAX_MANIFESTS: usize = 400 * 1024;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    Compared(Differences),
    /// Why nothing can be compared, for a person.
    Refused {
        message: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Differences {
    /// The desired state that was compared with; with manifests of the question, the one whose settings counted.
    pub generation: Generation,
    /// Sorted by group, kind, namespace and name. Objects without a difference are left out.
    pub objects: Vec<Difference>,
    /// Objects that differ and aren't shown, since the answer would be too large.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omitted: Vec<String>,
}

/// One object that differs, or can't be compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub group: String,
    pub version: String,
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
    /// As it is, without what doesn't count; none where it isn't there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Value>,
    /// As a release would make it; none where it would be pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Value>,
    /// Why it can't be compared, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Message for Question {
    const KIND: &'static str = "diff.asked";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}

impl Message for Answer {
    const KIND: &'static str = "diff.answered";

    fn about(&self) -> Option<&AppId> {
        None
    }
}
