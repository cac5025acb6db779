//! What a request to the API server came to when it didn't succeed.

use std::time::Duration;

use super::window::Answer;

/// An error of one request. The server's words may quote the object: see [`ClusterError::describe`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error("the API server answered {code} {reason}")]
    Refused {
        code: u16,
        reason: String,
        message: String,
        /// `Retry-After`.
        after: Option<Duration>,
    },
    #[error("the API server can't be reached")]
    Unreachable(#[source] kube::Error),
    #[error("the API server did not answer in time")]
    Timeout,
    #[error("the answer of the API server is not what it should be")]
    Unreadable(#[source] serde_json::Error),
    #[error("a request to the API server can't be formed")]
    Malformed,
    #[error("the answer of the API server is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error(
        "it is being deleted to be made anew, and is still there after {seconds} s: see its finalizers"
    )]
    StillThere { seconds: u64 },
}

impl ClusterError {
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// For metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Refused { code: 404, .. } => "not_found",
            Self::Refused { code: 409, .. } => "conflict",
            Self::Refused { code: 429, .. } => "throttled",
            Self::Refused {
                code: 400..=499, ..
            } => "refused",
            Self::Refused { .. } => "server_error",
            Self::Unreachable(_) => "unreachable",
            Self::Timeout | Self::StillThere { .. } => "timeout",
            Self::Unreadable(_) | Self::Malformed | Self::TooLarge { .. } => "unreadable",
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether nobody listened where the request was sent.
    pub(super) fn never_arrived(&self) -> bool {
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = cause {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// What it says of how much the server has to do.
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Refused {
                code: 429 | 502..=504,
                ..
            }
            | Self::Timeout => Answer::Overloaded,
            _ => Answer::Given,
        }
    }

    /// Whether server-side apply refuses the object itself, which a client-side apply may not.
    pub(crate) fn is_apply_schema(&self) -> bool {
        const SIGNS: [&str; 5] = [
            "typed patch object",
            "typed live object",
            "typed object",
            "duplicate entries for key",
            "field not declared in schema",
        ];
        match self {
            Self::Refused {
                code: 400 | 422 | 500,
                message,
                ..
            } => SIGNS.iter().any(|sign| message.contains(sign)),
            _ => false,
        }
    }

    /// For people. With `sensitive`, the server's own words are left out, for they may quote a value.
    pub(crate) fn describe(&self, sensitive: bool) -> String {
        match self {
            Self::Refused { code, reason, .. } if sensitive => {
                format!(
                    "the API server answered {code} {reason} (its message is withheld, since the object holds secrets)"
                )
            }
            Self::Refused { message, .. } if !message.is_empty() => message.clone(),
            Self::Unreachable(source) => {
                let mut text = self.to_string();
                let mut cause: Option<&dyn std::error::Error> = Some(source);
                while let Some(error) = cause {
                    text = format!("{text}: {error}");
                    cause = error.source();
                }
                text
            }
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_may_quote_a_secret_is_told_without_its_words() {
        let error = ClusterError::Refused {
            code: 422,
            reason: "Invalid".to_owned(),
            message: "data: Invalid value: \"hunter2\"".to_owned(),
            after: None,
        };
        assert!(!error.describe(true).contains("hunter2"));
        assert!(error.describe(false).contains("hunter2"));
    }

    #[test]
    fn a_duplicate_list_key_is_told_from_a_wrong_value() {
        let refused = |message: &str| ClusterError::Refused {
            code: 500,
            reason: String::new(),
            message: message.to_owned(),
            after: None,
        };
        assert!(
            refused("failed to create typed patch object: duplicate entries for key [name=\"A\"]")
                .is_apply_schema()
        );
        assert!(!refused("etcd leader changed").is_apply_schema());
    }
}
