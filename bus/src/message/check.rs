//! Which secrets an application reads, and whether it may and they are there: asked by the monitor of a cluster's applier,
//! request/reply, never stored.
//!
//! What an answer names are references, objects and versions; never a value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use super::secret::{Found, Reference};
use crate::identity::{AppId, ClusterId, Generation};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    pub app: AppId,
    pub cluster: ClusterId,
    /// Name of the user as the control cluster's `TokenReview` gave it.
    pub user: String,
    /// Manifests to look at instead of the application's own: a JSON array of objects, gzip, base64; as long as those of a
    /// [comparison](super::diff::Question).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    Checked(Report),
    /// Why nothing can be checked, for a person.
    Refused {
        message: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The desired state whose manifests were looked at; with manifests of the question, the one whose settings counted.
    pub generation: Generation,
    /// Sorted by reference.
    pub references: Vec<Checked>,
    /// What is wrong with objects: placeholders that can't be read as such, or that stand where the project doesn't allow them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    pub reference: Reference,
    /// The objects that it stands in, sorted.
    pub objects: Vec<String>,
    pub found: Found,
}

impl Message for Question {
    const KIND: &'static str = "check.asked";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}

impl Message for Answer {
    const KIND: &'static str = "check.answered";

    fn about(&self) -> Option<&AppId> {
        None
    }
}
