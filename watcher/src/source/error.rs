//! Why a source can't be had, as a person should read it, and as a metric counts it.

use std::sync::Arc;
use std::time::Duration;

use git2::{ErrorClass, ErrorCode};

use super::github::AppError;
use super::known_hosts::HostKeyError;
use super::location::{Location, Transport};
use crate::revision::RevisionError;

/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// Cloned to every application of a repository.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    #[error("repository {url} can't be reached: {reason}. Check the URL, the network and the host")]
    Unreachable { url: String, reason: String },
    #[error(
        "repository {url} refuses the login: {reason}. Check the repository or repo-creds Secret for this URL"
    )]
    Denied { url: String, reason: String },
    #[error(
        "the certificate of {url} can't be verified: {reason}. Put its certificate authority into ConfigMap argocd-tls-certs-cm under the host's name, or into the watcher's system"
    )]
    Certificate { url: String, reason: String },
    #[error("repository {url} is not fetched: {refusal}")]
    HostKey { url: String, refusal: HostKeyError },
    #[error(
        "repository {url} does not exist, or the login may not see it: {reason}. Check repoURL"
    )]
    NotFound { url: String, reason: String },
    #[error("repository {url}: {reason}. Check targetRevision")]
    Revision { url: String, reason: String },
    #[error(
        "repository {url}: {target:?} names no commit that its host offers. Check targetRevision"
    )]
    NoCommit { url: String, target: String },
    #[error(
        "repository {url} is not fetched: {reason}. Correct its repository or repo-creds Secret"
    )]
    Settings { url: String, reason: String },
    #[error("repository {url} is not fetched: {reason}")]
    App { url: String, reason: AppError },
    #[error(
        "repository {url} can't be used: it names its objects by SHA-256 ({reason}). Use one with SHA-1"
    )]
    Sha256 { url: String, reason: String },
    #[error("submodule {path}: {error}")]
    Submodule {
        path: String,
        error: Box<FetchError>,
    },
    #[error("repository {url}: {file} can't be used: {reason}")]
    File {
        url: String,
        file: String,
        reason: String,
    },
    #[error("repository {url} did not answer in time")]
    Timeout { url: String },
    #[error("the host of {url} asks to be left alone for a while: {reason}")]
    Busy {
        url: String,
        reason: String,
        /// For how long, if it says so.
        after: Option<Duration>,
    },
    #[error(
        "repository {url} was not looked at yet: its host failed the last times that others were, and is left alone for a while. It is looked at again by itself, and at once by a refresh"
    )]
    Postponed { url: String },
    #[error(
        "repository {url} sends more than {limit} bytes. Make it smaller, or raise the watcher's flag --max-repository-bytes"
    )]
    TooLarge { url: String, limit: usize },
    #[error(
        "what {url} offers can't be used: {reason}. Its publisher must correct it, or another version be named in targetRevision"
    )]
    Content { url: String, reason: String },
    #[error("what {url} sends can't be kept ({reason}). Check the watcher's disk")]
    Disk { url: String, reason: String },
    #[error("the watcher's copy of a repository at {path} can't be used")]
    Local {
        path: String,
        #[source]
        source: Arc<git2::Error>,
    },
    #[error("the task that fetched {url} ended without a result")]
    Lost { url: String },
}

impl FetchError {
    /// A metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Denied { .. } | Self::App { .. } => "denied",
            Self::Settings { .. } => "settings",
            Self::Certificate { .. } | Self::HostKey { .. } => "identity",
            Self::NotFound { .. } => "not_found",
            Self::Revision { .. } | Self::NoCommit { .. } => "revision",
            Self::Submodule { error, .. } => error.label(),
            Self::File { .. } | Self::Sha256 { .. } => "file",
            Self::Timeout { .. } => "timeout",
            Self::Busy { .. } => "busy",
            Self::Postponed { .. } => "postponed",
            Self::TooLarge { .. } => "too_large",
            Self::Content { .. } => "content",
            Self::Local { .. } | Self::Lost { .. } | Self::Disk { .. } => "local",
        }
    }

    /// Whether the host couldn't be asked, so that what it said before is the best that is known.
    pub const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Busy { .. }
        )
    }

    /// What a watcher says of it, which tries again.
    pub fn told(&self) -> String {
        if self.is_tried_again() {
            format!("{self}; it is tried again by itself")
        } else {
            self.to_string()
        }
    }

    /// Whether to try again is all that it takes.
    fn is_tried_again(&self) -> bool {
        match self {
            Self::Submodule { error, .. } => error.is_tried_again(),
            Self::App { reason, .. } => matches!(reason, AppError::Unreachable { .. }),
            _ => self.is_outage(),
        }
    }

    /// Whether it is the host's own word that there is no such revision: whatever else failed, what is known still holds.
    pub const fn is_verdict(&self) -> bool {
        matches!(self, Self::Revision { .. } | Self::NoCommit { .. })
    }

    pub fn revision(location: &Location, error: &RevisionError) -> Self {
        Self::Revision {
            url: location.shown(),
            reason: error.to_string(),
        }
    }

    /// A file that says what belongs to the repository.
    pub(super) fn file(location: &Location, file: &str, reason: String) -> Self {
        Self::File {
            url: location.shown(),
            file: file.to_owned(),
            reason,
        }
    }

    pub(super) fn local(repository: &git2::Repository, source: git2::Error) -> Self {
        Self::Local {
            path: repository.path().display().to_string(),
            source: Arc::new(source),
        }
    }

    /// What libgit2's error means. Its text may repeat the URL, so credentials in it are taken out.
    pub fn of(location: &Location, error: &git2::Error) -> Self {
        let url = location.shown();
        let reason = one_line(&error.message().replace(location.url(), &url));
        match (error.code(), error.class()) {
            _ if reason.contains("object format") => Self::Sha256 { url, reason },
            (ErrorCode::Auth, _) => Self::Denied { url, reason },
            (ErrorCode::NotFound, _) | (_, ErrorClass::Repository) => {
                Self::NotFound { url, reason }
            }
            (ErrorCode::Timeout, _) => Self::Timeout { url },
            (_, ErrorClass::Ssh) if reason.contains("private key") => Self::Denied {
                url,
                reason: format!(
                    "sshPrivateKey must be a private key without a passphrase ({reason})"
                ),
            },
            (_, ErrorClass::Ssh) if reason.contains("uthenticat") => Self::Denied { url, reason },
            // The host let us in, and then its git said this instead of references.
            (ErrorCode::Eof, ErrorClass::Ssh) => Self::NotFound { url, reason },
            _ if location.transport == Transport::File => Self::NotFound { url, reason },
            _ => Self::Unreachable { url, reason },
        }
    }
}

/// What a host says may be many lines, framed and ruled.
fn one_line(text: &str) -> String {
    let lines = text
        .split(|symbol: char| symbol.is_control())
        .map(str::trim);
    let said: Vec<_> = lines
        .filter(|line| line.chars().any(char::is_alphanumeric))
        .collect();
    said.join(" ").chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_watcher_promises_to_try_again_and_only_where_that_helps() {
        let timeout = FetchError::Timeout {
            url: "https://h/a".to_owned(),
        };
        assert!(!timeout.to_string().contains("again"));
        assert!(timeout.told().ends_with("; it is tried again by itself"));
        let within = FetchError::Submodule {
            path: "lib".to_owned(),
            error: Box::new(timeout),
        };
        assert!(within.told().ends_with("; it is tried again by itself"));
        let missing = FetchError::NotFound {
            url: "https://h/a".to_owned(),
            reason: "404".to_owned(),
        };
        assert_eq!(missing.told(), missing.to_string());
    }
}
