//! How far an attempt has come with its hooks: written down, so that none runs again after a restart, though its object may be gone
//! by then.

use serde::{Deserialize, Serialize};

use crate::object::Phase;

/// A wave of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Turn {
    #[serde(rename = "p")]
    pub(crate) phase: Phase,
    #[serde(rename = "w")]
    pub(crate) wave: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookProgress {
    pub(crate) attempt: String,
    /// The hooks of this turn are over, and those of all before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) passed: Option<Turn>,
    /// What failed: from then on only what a failure calls for is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wrong: Option<String>,
}
