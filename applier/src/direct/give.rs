//! A person's side: gives an order, and waits for what comes of it by looking at the application's record.

use std::time::Duration;

use bus::message::state::{OperationPhase, PinUntil};
use bus::{AppId, ReleaseId, clock};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, PostParams};

use super::DirectOrder;
use super::order::refusal;
use crate::store::{self, Record, name_of};

/// How often it is looked how far it is.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Direction {
    /// Of the applier's records.
    pub store_namespace: String,
    pub app: AppId,
    /// None for the last healthy one before the current.
    pub release: Option<ReleaseId>,
    pub until: PinUntil,
    /// Distinguishes this order from all others: lower-case letters, digits and dashes.
    pub id: String,
    /// How long an applier may take to find it, and then to be done.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub release: ReleaseId,
    pub user: String,
    /// What the release that went back says.
    pub message: String,
}

#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    #[error(
        "{app} has no record in namespace {namespace} of this cluster: is it the cluster that it was released to?"
    )]
    NoRecord { app: AppId, namespace: String },
    #[error("reading {name}")]
    Read { name: String, source: kube::Error },
    #[error("the record of {app} can't be read")]
    Malformed { app: AppId },
    #[error("{0}")]
    NoRelease(String),
    #[error("writing the order")]
    Write {
        #[source]
        source: kube::Error,
    },
    #[error("making the order")]
    Make {
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "no applier of this cluster took the order within {0} s, and it was withdrawn: does one run, and lead?"
    )]
    NobodyTook(u64),
    #[error("the applier refused it: {0}")]
    Refused(String),
    #[error("release failed: {0}")]
    Failed(String),
    #[error("pinned at release {release}, but no outcome within {seconds} s: {doing}")]
    NoOutcome {
        release: ReleaseId,
        seconds: u64,
        doing: String,
    },
}

/// Orders an application back, and waits until that is live.
pub async fn give(client: kube::Client, direction: &Direction) -> Result<Told, DirectError> {
    let place = Place {
        api: Api::namespaced(client.clone(), &direction.store_namespace),
        direction,
    };
    let record = place.record().await?;
    let entry = record
        .way_back(direction.release)
        .map_err(DirectError::NoRelease)?;
    let (release, digest) = (entry.release, entry.digest.clone());
    let user = who(client).await;
    let order = DirectOrder {
        id: direction.id.clone(),
        app: direction.app.clone(),
        user: user.clone(),
        issued: clock::now_ms(),
        release: Some(release),
        until: direction.until,
    };
    place.order(&order).await?;
    let seconds = direction.patience.as_secs();
    let landed = async {
        loop {
            let record = place.record().await?;
            let last = record.operation.as_ref();
            let is_live = record
                .live
                .as_ref()
                .is_some_and(|(_, live)| *live == digest);
            let after = last.filter(|last| last.started >= order.issued);
            match after.map(|last| (last.phase, last.message.clone())) {
                Some((OperationPhase::Succeeded, message)) if is_live => return Ok(message),
                Some((OperationPhase::Failed | OperationPhase::Error, message)) => {
                    return Err(DirectError::Failed(message));
                }
                None if is_live => return Ok(format!("release {release} is what is live")),
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    };
    let message = match tokio::time::timeout(direction.patience, landed).await {
        Ok(landed) => landed?,
        Err(_) => {
            return Err(DirectError::NoOutcome {
                release,
                seconds,
                doing: "the applier is still at it".to_owned(),
            });
        }
    };
    Ok(Told {
        release,
        user,
        message,
    })
}

/// Who the cluster takes us for.
async fn who(client: kube::Client) -> String {
    let api: Api<SelfSubjectReview> = Api::all(client);
    let review = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    let name = review.ok().and_then(|review| {
        let status = review.status?;
        status.user_info?.username
    });
    name.unwrap_or_else(|| "unknown".to_owned())
}

struct Place<'a> {
    api: Api<ConfigMap>,
    direction: &'a Direction,
}

impl Place<'_> {
    async fn read(&self, name: &str) -> Result<Option<ConfigMap>, DirectError> {
        let found = self.api.get_opt(name).await;
        found.map_err(|source| DirectError::Read {
            name: name.to_owned(),
            source,
        })
    }

    async fn record(&self) -> Result<Record, DirectError> {
        let app = &self.direction.app;
        let hash = api::tracking::application_label(app.namespace(), app.name());
        let object = self
            .read(&name_of(&hash))
            .await?
            .ok_or_else(|| DirectError::NoRecord {
                app: app.clone(),
                namespace: self.direction.store_namespace.clone(),
            })?;
        let object = serde_json::to_value(object).ok();
        object
            .and_then(|object| store::read(&object))
            .ok_or_else(|| DirectError::Malformed { app: app.clone() })
    }

    /// Until the applier has carried it out.
    async fn order(&self, order: &DirectOrder) -> Result<(), DirectError> {
        let object = order
            .object()
            .map_err(|source| DirectError::Make { source })?;
        let made = self.api.create(&PostParams::default(), &object).await;
        let made = made.map_err(|source| DirectError::Write { source })?;
        let name = made.metadata.name.unwrap_or_default();
        let taken = async {
            while let Some(object) = self.read(&name).await? {
                if let Some(why) = refusal(&object) {
                    return Err(DirectError::Refused(why.to_owned()));
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        match tokio::time::timeout(self.direction.patience, taken).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.withdraw(&name).await;
                Err(error)
            }
            Err(_) => {
                self.withdraw(&name).await;
                Err(DirectError::NobodyTook(self.direction.patience.as_secs()))
            }
        }
    }

    /// What isn't carried out must not be, hours later.
    async fn withdraw(&self, name: &str) {
        // What can't be taken away now goes with the application.
        let _ = self.api.delete(name, &DeleteParams::default()).await;
    }
}
