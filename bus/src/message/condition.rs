//! What is wrong with an application, for a person: what, where, and what to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The types of Argo CD, plus those that it has no word for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ConditionType {
    /// The specification itself can't be carried out (project, destination, unsupported fields).
    InvalidSpecError,
    /// Sources can't be had or don't render.
    ComparisonError,
    /// A release failed.
    SyncError,
    /// Nothing else names it.
    UnknownError,
    /// Deleting the application's objects fails.
    DeletionError,
    /// Two applications want one object.
    SharedResourceWarning,
    /// One render holds the same object twice.
    RepeatedResourceWarning,
    /// A kind that the project does not allow.
    ExcludedResourceWarning,
    /// An object was applied client-side, since server-side apply refuses it.
    ClientSideApplyWarning,
    /// Something that `argocd-cm` says about objects can't be used.
    CustomizationWarning,
    /// Fields of the `Application` that Towline doesn't know.
    UnknownFieldWarning,
    /// A second render of the same inputs differs.
    NonDeterministicRender,
    /// The application is held at a release.
    Pinned,
    /// What is wanted failed, and the application is back at its last healthy release.
    RefusedRevisionError,
    /// Secrets can't be resolved.
    SecretError,
    /// An application that this one depends on can't be waited for.
    DependencyError,
    /// More objects would be deleted than is allowed without a confirmation.
    ConfirmationNeeded,
    /// Objects in the destination's namespace belong to no application, and the project wants to know.
    OrphanedResourceWarning,
    /// What would be done waits for a sync window of the project.
    HeldBySyncWindow,
    /// Somebody changes an object again each time that it is healed.
    ContestedResourceWarning,
}

impl ConditionType {
    pub const ALL: [Self; 20] = [
        Self::InvalidSpecError,
        Self::ComparisonError,
        Self::SyncError,
        Self::UnknownError,
        Self::DeletionError,
        Self::SharedResourceWarning,
        Self::RepeatedResourceWarning,
        Self::ExcludedResourceWarning,
        Self::ClientSideApplyWarning,
        Self::CustomizationWarning,
        Self::UnknownFieldWarning,
        Self::NonDeterministicRender,
        Self::Pinned,
        Self::RefusedRevisionError,
        Self::SecretError,
        Self::DependencyError,
        Self::ConfirmationNeeded,
        Self::OrphanedResourceWarning,
        Self::HeldBySyncWindow,
        Self::ContestedResourceWarning,
    ];

    /// The word that it travels as, in statuses and metrics too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpecError => "InvalidSpecError",
            Self::ComparisonError => "ComparisonError",
            Self::SyncError => "SyncError",
            Self::UnknownError => "UnknownError",
            Self::DeletionError => "DeletionError",
            Self::SharedResourceWarning => "SharedResourceWarning",
            Self::RepeatedResourceWarning => "RepeatedResourceWarning",
            Self::ExcludedResourceWarning => "ExcludedResourceWarning",
            Self::ClientSideApplyWarning => "ClientSideApplyWarning",
            Self::CustomizationWarning => "CustomizationWarning",
            Self::UnknownFieldWarning => "UnknownFieldWarning",
            Self::NonDeterministicRender => "NonDeterministicRender",
            Self::Pinned => "Pinned",
            Self::RefusedRevisionError => "RefusedRevisionError",
            Self::SecretError => "SecretError",
            Self::DependencyError => "DependencyError",
            Self::ConfirmationNeeded => "ConfirmationNeeded",
            Self::OrphanedResourceWarning => "OrphanedResourceWarning",
            Self::HeldBySyncWindow => "HeldBySyncWindow",
            Self::ContestedResourceWarning => "ContestedResourceWarning",
        }
    }
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: ConditionType,
    pub message: String,
    /// When it came to be, Unix milliseconds.
    pub since: u64,
}

impl Condition {
    /// Longest message that is kept; what is over is cut at a character's border.
    pub const MAX_MESSAGE: usize = 4096;

    #[must_use]
    pub fn new(kind: ConditionType, message: &str, now_ms: u64) -> Self {
        let mut end = message.len().min(Self::MAX_MESSAGE);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            kind,
            message: message[..end].to_owned(),
            since: now_ms,
        }
    }

    /// Whether two say the same, whenever they came to be.
    pub fn says(&self, other: &Self) -> bool {
        self.kind == other.kind && self.message == other.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_said_in_the_word_that_travels() {
        for kind in ConditionType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
