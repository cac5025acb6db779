//! Who sent a webhook, and what it says. Pure: from the bytes of a request to a [`Change`], with the secrets as an argument.

use api::settings::WebhookSecrets;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::WebhookError;
use super::head::Head;
use super::payload::json;
use super::{
    Change, azure_devops, bitbucket, bitbucket_server, docker_hub, github, gitlab, gogs, harbor,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    GitHub,
    Ghcr,
    GitLab,
    Bitbucket,
    BitbucketServer,
    Gitea,
    Forgejo,
    Gogs,
    AzureDevOps,
    Harbor,
    DockerHub,
}

impl Provider {
    /// A metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Ghcr => "ghcr",
            Self::GitLab => "gitlab",
            Self::Bitbucket => "bitbucket",
            Self::BitbucketServer => "bitbucket_server",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Gogs => "gogs",
            Self::AzureDevOps => "azure_devops",
            Self::Harbor => "harbor",
            Self::DockerHub => "docker_hub",
        }
    }
}

/// What a webhook comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Changed(Change),
    /// A ping, or an event that changes nothing here.
    Nothing,
}

/// The sender, with the value of the header that tells it.
enum Sender<'a> {
    AzureDevOps,
    Gogs(Provider, &'a str),
    GitHub(&'a str),
    GitLab(&'a str),
    Bitbucket(&'a str),
    BitbucketServer(&'a str),
    Harbor,
    DockerHub,
}

/// Reads a webhook. The sender is told as far as it is known, also of one that is refused.
pub fn read(
    head: Head<'_>,
    body: &[u8],
    secrets: &WebhookSecrets,
) -> (Option<Provider>, Result<Said, WebhookError>) {
    match Sender::of(head, body) {
        Err(error) => (None, Err(error)),
        Ok(sender) => (Some(sender.provider()), sender.read(head, body, secrets)),
    }
}

impl<'a> Sender<'a> {
    /// In Argo CD's order. Gogs and its descendants send GitHub's headers too, and Bitbucket Cloud those of Bitbucket Server.
    fn of(head: Head<'a>, body: &[u8]) -> Result<Self, WebhookError> {
        if head.one(azure_devops::ACTIVITY)?.is_some() {
            return Ok(Self::AzureDevOps);
        }
        if let Some((name, event)) = head.any(&gogs::EVENTS)? {
            let provider = match name {
                "x-forgejo-event" => Provider::Forgejo,
                "x-gitea-event" => Provider::Gitea,
                _ => Provider::Gogs,
            };
            return Ok(Self::Gogs(provider, event));
        }
        if let Some(event) = head.one(github::EVENT)? {
            return Ok(Self::GitHub(event));
        }
        if let Some(event) = head.one(gitlab::EVENT)? {
            return Ok(Self::GitLab(event));
        }
        if let Some(uuid) = head.one(bitbucket::UUID)? {
            return Ok(Self::Bitbucket(uuid));
        }
        if let Some(event) = head.one(bitbucket::EVENT)? {
            return Ok(Self::BitbucketServer(event));
        }
        let shape: Shape = json(body, "a registry").map_err(|_| WebhookError::Unknown)?;
        let is_cloud_event = shape
            .kind
            .is_some_and(|kind| kind.starts_with("harbor.") && shape.specversion.is_some());
        match (shape.event_data, shape.push_data) {
            (Some(_), None) => Ok(Self::Harbor),
            (None, Some(_)) => Ok(Self::DockerHub),
            (None, None) if is_cloud_event => Ok(Self::Harbor),
            _ => Err(WebhookError::Unknown),
        }
    }

    fn provider(&self) -> Provider {
        match self {
            Self::AzureDevOps => Provider::AzureDevOps,
            Self::Gogs(provider, _) => *provider,
            Self::GitHub(event) if github::is_package(event) => Provider::Ghcr,
            Self::GitHub(_) => Provider::GitHub,
            Self::GitLab(_) => Provider::GitLab,
            Self::Bitbucket(_) => Provider::Bitbucket,
            Self::BitbucketServer(_) => Provider::BitbucketServer,
            Self::Harbor => Provider::Harbor,
            Self::DockerHub => Provider::DockerHub,
        }
    }

    fn read(
        &self,
        head: Head<'_>,
        body: &[u8],
        secrets: &WebhookSecrets,
    ) -> Result<Said, WebhookError> {
        match self {
            Self::AzureDevOps => azure_devops::read(head, body, secrets),
            Self::Gogs(_, event) => gogs::read(head, event, body, secrets),
            Self::GitHub(event) => github::read(head, event, body, secrets),
            Self::GitLab(event) => gitlab::read(head, event, body, secrets),
            Self::Bitbucket(uuid) => bitbucket::read(head, uuid, body, secrets),
            Self::BitbucketServer(event) => bitbucket_server::read(head, event, body, secrets),
            Self::Harbor => harbor::read(head, body, secrets),
            Self::DockerHub => docker_hub::read(head, body, secrets),
        }
    }
}

/// By which fields registries without a header are told.
#[derive(Deserialize)]
struct Shape {
    push_data: Option<IgnoredAny>,
    event_data: Option<IgnoredAny>,
    specversion: Option<IgnoredAny>,
    #[serde(rename = "type")]
    kind: Option<String>,
}
