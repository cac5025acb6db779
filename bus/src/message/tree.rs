//! An application's objects with what they own in turn: asked by the monitor of a cluster's applier, request/reply, never stored.
//!
//! What an answer tells of an object is its identity, age and health, and of a pod its images and restarts; never its contents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use super::state::HealthStatus;
use crate::identity::{AppId, ClusterId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    pub app: AppId,
    pub cluster: ClusterId,
    /// Name of the user as the control cluster's `TokenReview` gave it.
    pub user: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    Found(Tree),
    /// Why nothing can be told, for a person.
    Refused {
        message: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tree {
    /// Each object is followed by what it owns. Those without an owner here are the application's own; its objects that aren't
    /// there are left out.
    pub nodes: Vec<Node>,
    /// Objects that found no room in the answer.
    #[serde(default)]
    pub omitted: usize,
    /// What couldn't be looked at, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One live object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// How many owners are above it: 0 for the application's own.
    pub depth: u8,
    pub group: String,
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
    /// None where its kind has no health, or wasn't looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was made, Unix milliseconds; none for the application's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its phase, or what keeps a container from running.
    pub status: String,
    pub ready: usize,
    pub containers: usize,
    pub restarts: u64,
    pub images: Vec<String>,
}

impl Message for Question {
    const KIND: &'static str = "tree.asked";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}

impl Message for Answer {
    const KIND: &'static str = "tree.answered";

    fn about(&self) -> Option<&AppId> {
        None
    }
}
