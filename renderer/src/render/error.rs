//! Why a job came to nothing, and what that means for whoever handles it.

use bus::message::condition::ConditionType;
use bus::message::need::Need;

use crate::engine::WorkerError;
use crate::need;
use crate::tool::ToolError;
use crate::tree::TreeError;

/// Why a job came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("{place}: {cause}")]
    Source {
        place: String,
        cause: Box<ToolError>,
    },
    #[error("{0}")]
    Whole(Box<ToolError>),
    #[error(
        "{place}: the chart asks for the cluster's API versions, which its applier has not reported yet"
    )]
    NoCapabilities { place: String },
    #[error("waits for {}", list(needs))]
    Waits { needs: Vec<Need> },
}

impl RenderError {
    fn cause(&self) -> Option<&ToolError> {
        match self {
            Self::Source { cause, .. } | Self::Whole(cause) => Some(cause),
            Self::NoCapabilities { .. } | Self::Waits { .. } => None,
        }
    }

    /// Whether something beside the sources has to be fetched first.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Waits { .. }) || matches!(self.cause(), Some(ToolError::Waits))
    }

    /// Whether the snapshot lacks an object, so that publishing it again helps.
    pub fn is_missing_object(&self) -> bool {
        matches!(self.cause(), Some(ToolError::Tree(error)) if error.is_missing_object())
    }

    /// Whether the same job may succeed on another try: the fault is the renderer's or its surroundings'.
    pub fn may_pass(&self) -> bool {
        match self.cause() {
            None | Some(ToolError::Panicked) => true,
            Some(ToolError::Worker(error)) => matches!(
                error,
                WorkerError::Start { .. }
                    | WorkerError::NotReady
                    | WorkerError::Unconfined { .. }
                    | WorkerError::Died { .. }
                    | WorkerError::Garbled(_)
                    | WorkerError::Babbled { .. }
            ),
            Some(ToolError::Tree(error)) => matches!(
                error,
                TreeError::Scratch { .. }
                    | TreeError::Git(_)
                    | TreeError::Pack { .. }
                    | TreeError::SlowPack { .. }
                    | TreeError::MissingObject(_)
            ),
            Some(_) => false,
        }
    }

    /// The condition's type on the application.
    pub fn condition(&self) -> ConditionType {
        match self.cause() {
            Some(ToolError::SeveralTools { .. } | ToolError::NoChart) => {
                ConditionType::InvalidSpecError
            }
            _ => ConditionType::ComparisonError,
        }
    }
}

fn list(needs: &[Need]) -> String {
    /// A line for a person; the record has them all.
    const MOST: usize = 5;
    let mut list: Vec<String> = needs.iter().take(MOST).map(need::describe).collect();
    if needs.len() > MOST {
        list.push(format!("{} more", needs.len() - MOST));
    }
    list.join(", ")
}
