//! Why a webhook is not taken, as its sender should read it. Never holds a part of the body or a secret.

use api::settings::WebhookKey;
use axum::http::StatusCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error(
        "not a webhook that is known: none of the headers by which GitHub, GitLab, Bitbucket, Gitea, Forgejo, Gogs and Azure DevOps are told, and not a body of Harbor or Docker Hub"
    )]
    Unknown,
    #[error("the header {0} is there more than once")]
    Ambiguous(&'static str),
    #[error("the header {0} is not text")]
    Header(&'static str),
    #[error("{what} is missing, and argocd-secret has {}", .key.name())]
    Unsigned { what: &'static str, key: WebhookKey },
    #[error("{what} does not fit {} of argocd-secret", .key.name())]
    Mismatch { what: &'static str, key: WebhookKey },
    #[error("argocd-secret's {} can't be used: it is not text, or names a Secret or key that is not there", .0.name())]
    Unusable(WebhookKey),
    #[error("argocd-secret has no {}, without which this sender can't be told from anybody else", .0.name())]
    NotConfigured(WebhookKey),
    #[error("the body is not JSON of the form that {0} sends")]
    Body(&'static str),
    #[error("the body names no repository, or nothing that changed in it")]
    Incomplete,
}

impl WebhookError {
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unsigned { .. }
            | Self::Mismatch { .. }
            | Self::Unusable(_)
            | Self::NotConfigured(_) => StatusCode::UNAUTHORIZED,
            Self::Unknown
            | Self::Ambiguous(_)
            | Self::Header(_)
            | Self::Body(_)
            | Self::Incomplete => StatusCode::BAD_REQUEST,
        }
    }
}
