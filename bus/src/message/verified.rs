//! Up to which commit a branch was checked: watcher → monitor, in bucket `verified`. One write per commit, however
//! many applications it left unchanged; joined with their states when read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::AppId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    pub repo_url: String,
    pub target_revision: String,
    /// The commit's full object id.
    pub revision: String,
    /// Unix milliseconds.
    pub time: u64,
}

impl Message for Verified {
    const KIND: &'static str = "branch.verified";

    fn about(&self) -> Option<&AppId> {
        None
    }
}
