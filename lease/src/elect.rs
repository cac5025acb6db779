//! Takes the Lease when it may be taken, renews it, and gives it back.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::claim::{Claim, Observed, Session, released, renewed};
use crate::lead::{Lead, Terms};

#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    #[error(
        "the Lease was taken by {by}, which leads now: this process ends, and follows when it is started again"
    )]
    Taken { by: String },
}

/// One request about the Lease.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("{what} the Lease")]
    Refused {
        what: &'static str,
        #[source]
        error: Box<kube::Error>,
    },
    #[error("{what} the Lease took longer than {limit:?}")]
    Slow { what: &'static str, limit: Duration },
    /// Somebody else changed it first.
    #[error("the Lease was changed meanwhile")]
    Conflict,
    #[error("the Lease is gone")]
    Gone,
}

/// How often it is tried to give the Lease back while others change it.
const RELEASES: usize = 5;

type Updates = Pin<Box<dyn Stream<Item = watcher::Result<Option<Lease>>> + Send>>;

/// One that may lead.
pub struct Candidate {
    lead: Lead,
    api: Api<Lease>,
    name: String,
    identity: String,
    terms: Terms,
}

impl Candidate {
    /// `identity` is its own among all that run at the same time; one that is started again under the same takes the Lease
    /// back at once.
    pub fn new(
        client: Client,
        (namespace, name): (&str, String),
        identity: String,
        duration: Duration,
    ) -> Self {
        Self {
            lead: Lead::follower(),
            api: Api::namespaced(client, namespace),
            name,
            identity,
            terms: Terms { duration },
        }
    }

    pub fn lead(&self) -> Lead {
        self.lead.clone()
    }

    /// Until the token is cancelled, and then gives the Lease back.
    pub async fn run(self, token: CancellationToken) -> Result<(), LeadError> {
        let mut updates: Updates = watcher::watch_object(self.api.clone(), &self.name)
            .default_backoff()
            .boxed();
        let won = tokio::select! {
            () = token.cancelled() => return Ok(()),
            won = self.follow(&mut updates) => won,
        };
        let Ok((session, mut lease)) = won;
        tracing::info!(identity = self.identity, "leads");
        let ended = tokio::select! {
            () = token.cancelled() => Ok(()),
            Err(lost) = self.hold(&session, &mut lease, &mut updates) => Err(lost),
        };
        self.lead.over();
        if ended.is_ok() {
            match self.release(&session, lease).await {
                Ok(()) => tracing::info!("the Lease is given back"),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the Lease runs out by itself"
                ),
            }
        }
        ended
    }

    /// Gives the Lease back. A renewal that was under way may have changed it without our having seen the answer.
    /// Whoever changes it again and again only makes it run out by itself.
    async fn release(&self, session: &Session, mut lease: Lease) -> Result<(), RequestError> {
        for _ in 0..RELEASES {
            let free = released(&lease, Timestamp::now());
            match self.replace("releasing", &free).await {
                Ok(_) => return Ok(()),
                Err(RequestError::Conflict) => {
                    let now = self.ask("reading", self.api.get(&self.name)).await?;
                    if !session.holds(&now) {
                        return Ok(());
                    }
                    lease = now;
                }
                Err(error) => return Err(error),
            }
        }
        Err(RequestError::Conflict)
    }

    /// Waits for the Lease to be free, and takes it.
    async fn follow(&self, updates: &mut Updates) -> Result<(Session, Lease), Infallible> {
        // Not known until the watch says what is there, or that nothing is.
        let mut known: Option<Option<Observed>> = None;
        let mut next = None;
        loop {
            tokio::select! {
                update = updates.next() => match update {
                    Some(Ok(lease)) => {
                        let before = known.take().flatten();
                        known = Some(lease.map(|lease| Observed::update(before, lease, Instant::now())));
                    }
                    Some(Err(error)) => {
                        self.hindered(&error, "the Lease can't be watched");
                        continue;
                    }
                    // A watch has no end.
                    None => std::future::pending().await,
                },
                () = until(next) => {}
            }
            let Some(observed) = &known else { continue };
            let claim = observed.as_ref().map_or(Claim::Take, |observed| {
                observed.claim(&self.identity, Instant::now())
            });
            next = Some(match claim {
                Claim::Wait(over) => {
                    let holder = observed.as_ref().and_then(Observed::holder);
                    self.lead.follows(holder.unwrap_or_default());
                    over
                }
                Claim::Take => match self.take(observed.as_ref()).await {
                    Ok(taken) => return Ok(taken),
                    // The watch says by whom.
                    Err(RequestError::Conflict | RequestError::Gone) => {
                        Instant::now() + self.terms.renew()
                    }
                    Err(error) => {
                        self.hindered(&error, "the Lease can't be had");
                        Instant::now() + self.terms.renew()
                    }
                },
            });
        }
    }

    fn hindered(&self, error: &(dyn std::error::Error + 'static), what: &str) {
        self.lead.waits(format!("{what}: {error}"));
        tracing::warn!(error, "{what}; trying again");
    }

    async fn take(&self, observed: Option<&Observed>) -> Result<(Session, Lease), RequestError> {
        let session = Session {
            identity: self.identity.clone(),
            acquired: whole_micros(Timestamp::now()),
        };
        let before = observed.map(|observed| &observed.lease);
        let wanted = session.take(&self.name, before, self.terms.duration);
        let asked = Instant::now();
        let lease = if before.is_some() {
            self.replace("taking", &wanted).await?
        } else {
            let params = PostParams::default();
            self.ask("creating", self.api.create(&params, &wanted))
                .await?
        };
        self.lead.leads(asked + self.terms.act());
        Ok((session, lease))
    }

    /// Renews the Lease until it is somebody else's.
    async fn hold(
        &self,
        session: &Session,
        lease: &mut Lease,
        updates: &mut Updates,
    ) -> Result<Infallible, LeadError> {
        let mut next = Instant::now() + self.terms.renew();
        let mut hindered = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                update = updates.next() => match update {
                    // An older version may come late: asking for the newest tells.
                    Some(Ok(Some(seen))) if !session.holds(&seen) => {}
                    Some(_) => continue,
                    None => std::future::pending().await,
                },
            }
            let asked = Instant::now();
            next = asked + self.terms.renew();
            match self.renew(session, lease).await? {
                Ok(()) => {
                    self.lead.leads(asked + self.terms.act());
                    if std::mem::take(&mut hindered) {
                        tracing::info!("the Lease is renewed again");
                    }
                }
                Err(error) => {
                    hindered = true;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        acts = self.lead.holds(),
                        "the Lease can't be renewed; trying again"
                    );
                }
            }
        }
    }

    /// One renewal: done, failed for now, or never again.
    async fn renew(
        &self,
        session: &Session,
        lease: &mut Lease,
    ) -> Result<Result<(), RequestError>, LeadError> {
        let wanted = renewed(lease, whole_micros(Timestamp::now()));
        match self.replace("renewing", &wanted).await {
            Ok(new) => *lease = new,
            Err(RequestError::Gone) => {
                return Err(LeadError::Taken {
                    by: "nobody (it was deleted)".to_owned(),
                });
            }
            Err(RequestError::Conflict) => {
                match self.ask("reading", self.api.get(&self.name)).await {
                    // Somebody wrote something else into it, or our own answer got lost: the next renewal builds on that.
                    Ok(now) if session.holds(&now) => {
                        *lease = now;
                        return Ok(Err(RequestError::Conflict));
                    }
                    Ok(now) => {
                        let by = now.spec.and_then(|spec| spec.holder_identity);
                        return Err(LeadError::Taken {
                            by: by.unwrap_or_default(),
                        });
                    }
                    Err(error) => return Ok(Err(error)),
                }
            }
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    async fn replace(&self, what: &'static str, lease: &Lease) -> Result<Lease, RequestError> {
        let params = PostParams::default();
        self.ask(what, self.api.replace(&self.name, &params, lease))
            .await
    }

    async fn ask(
        &self,
        what: &'static str,
        request: impl Future<Output = kube::Result<Lease>>,
    ) -> Result<Lease, RequestError> {
        let limit = self.terms.request();
        match tokio::time::timeout(limit, request).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(RequestError::Conflict),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 && what != "creating" => {
                Err(RequestError::Gone)
            }
            Ok(Err(error)) => Err(RequestError::Refused {
                what,
                error: Box::new(error),
            }),
            Err(_) => Err(RequestError::Slow { what, limit }),
        }
    }
}

/// As the API server keeps it.
fn whole_micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
