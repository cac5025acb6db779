//! What an application's releases wait for: watcher → applier. The watcher alone sees every `Application` and where it goes, so an
//! applier needs to know of no other cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::{AppId, ClusterId, Generation};

/// The applications that `towline.dev/depends-on` of an application names, as they are. Only for applications that have the
/// annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predecessors {
    pub app: AppId,
    pub cluster: ClusterId,
    /// The newest generation of the application itself that this takes account of.
    pub generation: Generation,
    /// Why nothing of it can be released, whatever the others do: a sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// In the order of the annotation.
    pub on: Vec<Predecessor>,
}

/// One application that others wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predecessor {
    pub app: AppId,
    /// The newest generation that is desired of it; none while nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Generation>,
    /// The generation at which it is released and Healthy now; none while it isn't both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<Generation>,
    /// How it is, in a few words that follow its name.
    pub says: String,
}

impl Message for Predecessors {
    const KIND: &'static str = "predecessors.seen";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}
