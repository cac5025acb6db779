//! One request from its arrival to its answer, and the loop that hears them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bus::message::event::{Event, EventKind};
use bus::message::secret::{
    Answer, Found, Purpose, Question, Reference, Refusal, RefusalReason, Request, Sealed, Statement,
};
use bus::seal::{
    AnswererKey, AskerPublic, ReplayWindow, SealError, SecretValue, Signed, Verified, verify,
};
use bus::service::Readiness;
use bus::subject::{self, Bucket};
use bus::{Asked, Bus, BusError, ClusterId, clock};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::SERVICE;
use crate::answer::{Resolved, resolve};
use crate::backend::Backend;
use crate::check::check;
use crate::known::Known;
use crate::metrics::Metrics;
use crate::policy::{Bounds, judge, judge_each};
use crate::uses::{Use, Uses};

/// Requests answered at once; more wait.
const CONCURRENT: usize = 64;
/// The longest that one request takes, its waits included.
const WHOLE: Duration = Duration::from_secs(15);
/// References that one event names.
const MAX_NAMED: usize = 50;

/// Everything that an answer takes.
pub(crate) struct Agent<B> {
    bus: Bus,
    cluster: ClusterId,
    key: AnswererKey,
    appliers: Vec<AskerPublic>,
    bounds: Bounds,
    backend: Arc<B>,
    known: Arc<Known>,
    uses: Arc<Uses>,
    metrics: Metrics,
    window: Mutex<ReplayWindow>,
}

/// A subscription that ended though nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("serving requests for secrets")]
    Subscribe(#[source] BusError),
    #[error("the connection to NATS was closed for good")]
    Closed,
}

/// Hears requests until shutdown, then finishes those that it has.
pub(crate) async fn serve<B: Backend>(
    agent: Arc<Agent<B>>,
    readiness: Readiness,
    token: CancellationToken,
) -> Result<(), ServeError> {
    let subject = subject::resolve(&agent.cluster);
    let mut requests = agent
        .bus
        .serve::<Request>(&subject)
        .await
        .map_err(ServeError::Subscribe)?;
    readiness.ready();
    let places = Arc::new(Semaphore::new(CONCURRENT));
    let mut running = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = token.cancelled() => break,
            Ok(place) = Arc::clone(&places).acquire_owned() => place,
        };
        let asked = tokio::select! {
            () = token.cancelled() => break,
            asked = requests.next() => asked.ok_or(ServeError::Closed)?,
        };
        let agent = Arc::clone(&agent);
        running.spawn(async move {
            agent.reply(asked).await;
            drop(place);
        });
        while let Some(ended) = running.try_join_next() {
            note(ended);
        }
    }
    drop(requests);
    while let Some(ended) = running.join_next().await {
        note(ended);
    }
    Ok(())
}

/// A request that panics costs its own answer and nothing else.
fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            panicked = error.is_panic(),
            "a request ended without an answer"
        );
    }
}

impl<B: Backend> Agent<B> {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one part that the agent is made of"
    )]
    pub(crate) fn new(
        bus: Bus,
        cluster: ClusterId,
        key: AnswererKey,
        appliers: Vec<AskerPublic>,
        bounds: Bounds,
        backend: Arc<B>,
        known: Arc<Known>,
        uses: Arc<Uses>,
        metrics: Metrics,
    ) -> Self {
        Self {
            bus,
            cluster,
            key,
            appliers,
            bounds,
            backend,
            known,
            uses,
            metrics,
            window: Mutex::default(),
        }
    }

    async fn reply(&self, asked: Asked<Request>) {
        let started = Instant::now();
        let unreadable = || {
            refusal(
                RefusalReason::Malformed,
                "the message is not readable as a request",
            )
        };
        let signed = match &asked.value {
            Ok(request) => verify(request, &self.appliers),
            Err(_) => Err(unreadable()),
        };
        let signed = match signed {
            Ok(signed) => signed,
            Err(refusal) => {
                self.disbelieve(&refusal, started);
                send(&asked, &Answer::Refused(refusal)).await;
                return;
            }
        };
        let verified = match self.admit(&signed) {
            Ok(verified) => verified,
            Err(refusal) => {
                self.disbelieve(&refusal, started);
                self.state(&asked, &signed, &Statement::Refused(refusal))
                    .await;
                return;
            }
        };
        let question = verified.question();
        match question.purpose {
            Purpose::Values => {}
            Purpose::Check => {
                let statement = match self.check_in_time(question).await {
                    Ok(found) => Statement::Checked(found),
                    Err(refusal) => Statement::Refused(refusal),
                };
                tracing::info!(app = %question.app, "checked");
                self.state(&asked, &signed, &statement).await;
                return;
            }
        }
        match self.resolve_in_time(&verified).await {
            Ok((sealed, used)) => {
                let answer = Answer::Sealed(sealed);
                tokio::join!(send(&asked, &answer), self.tell_resolved(question, used));
                self.metrics.resolved(started.elapsed());
            }
            Err(refusal) => {
                self.metrics.refused(refusal.reason, started.elapsed());
                let statement = Statement::Refused(refusal.clone());
                tokio::join!(
                    self.state(&asked, &signed, &statement),
                    self.tell_refused(question, &refusal)
                );
            }
        }
    }

    /// Whom it claims to be about is not to be believed, so no event says it.
    fn disbelieve(&self, refusal: &Refusal, started: Instant) {
        tracing::warn!(reason = ?refusal.reason, message = refusal.message, "refused");
        self.metrics.refused(refusal.reason, started.elapsed());
    }

    fn admit<'q>(&self, signed: &'q Signed) -> Result<Verified<'q>, Refusal> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        signed.admit(clock::now_ms(), &mut window)
    }

    /// Says something that only this agent can have said.
    async fn state(&self, asked: &Asked<Request>, signed: &Signed, statement: &Statement) {
        let stated = signed.state(&self.key, statement).or_else(|error| {
            let refusal = refusal(
                RefusalReason::Malformed,
                &format!("{error}; ask for fewer at once"),
            );
            signed.state(&self.key, &Statement::Refused(refusal))
        });
        match stated {
            Ok(stated) => send(asked, &Answer::Stated(stated)).await,
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "an answer can't be sealed"
            ),
        }
    }

    async fn resolve_in_time(&self, verified: &Verified<'_>) -> Result<(Sealed, Use), Refusal> {
        tokio::time::timeout(WHOLE, self.resolve(verified))
            .await
            .unwrap_or_else(|_| Err(slow()))
    }

    async fn resolve(&self, verified: &Verified<'_>) -> Result<(Sealed, Use), Refusal> {
        let question = verified.question();
        let (desired, project) = self.known.of(&question.app, question.generation).await;
        let allowed = judge(
            question,
            &self.cluster,
            desired.as_ref(),
            project.as_deref(),
            &self.bounds,
        )?;
        let project = desired.map(|desired| desired.project).unwrap_or_default();
        let resolved = resolve(&*self.backend, &project, &allowed).await?;
        let sealed = self.seal(verified, &resolved)?;
        let used = Use {
            generation: question.generation,
            paths: resolved.newest(),
        };
        Ok((sealed, used))
    }

    /// What is at each reference. Asking is no use of them: it is neither counted nor told.
    async fn check_in_time(&self, question: &Question) -> Result<Vec<Found>, Refusal> {
        let (desired, project) = self.known.of(&question.app, question.generation).await;
        let judged = judge_each(
            question,
            &self.cluster,
            desired.as_ref(),
            project.as_deref(),
            &self.bounds,
        )?;
        let project = desired.map(|desired| desired.project).unwrap_or_default();
        tokio::time::timeout(WHOLE, check(&*self.backend, &project, judged))
            .await
            .map_err(|_| slow())
    }

    fn seal(&self, verified: &Verified<'_>, resolved: &Resolved) -> Result<Sealed, Refusal> {
        let (values, versions): (Vec<Option<&SecretValue>>, Vec<Option<u64>>) =
            resolved.values().unzip();
        verified
            .seal(&self.key, &values, versions)
            .map_err(|error| {
                let reason = match &error {
                    SealError::TooLarge { .. } => RefusalReason::Malformed,
                    _ => RefusalReason::Unavailable,
                };
                Refusal::new(
                    reason,
                    format!("{error}; split the application, or its secrets"),
                    Vec::new(),
                )
            })
    }

    async fn tell_resolved(&self, question: &Question, used: Use) {
        let used = self.uses.given(&question.app, used);
        let state = used.state(&question.app, &self.cluster);
        let key = subject::state(SERVICE, Some(&self.cluster), &question.app);
        if let Err(error) = self.bus.put(Bucket::State, &key, &state).await {
            tracing::warn!(
                key,
                error = &error as &dyn std::error::Error,
                "state was not written"
            );
        }
        let count = question.references.len();
        let event = Event::new(
            &question.app,
            &self.cluster,
            EventKind::SecretResolved,
            format!("resolved {count} secret references"),
        );
        self.bus
            .event(
                &event
                    .generation(question.generation)
                    .detail("references", names(&question.references)),
            )
            .await;
    }

    async fn tell_refused(&self, question: &Question, refusal: &Refusal) {
        // A moment's lag is nobody's business: the applier asks again.
        if refusal.reason == RefusalReason::NotDesired {
            tracing::info!(app = %question.app, message = refusal.message, "refused");
            return;
        }
        let references = if refusal.references.is_empty() {
            &question.references
        } else {
            &refusal.references
        };
        let event = Event::new(
            &question.app,
            &self.cluster,
            EventKind::SecretRefused,
            &refusal.message,
        )
        .generation(question.generation)
        .detail("references", names(references));
        self.bus.event(&event).await;
    }
}

async fn send(asked: &Asked<Request>, answer: &Answer) {
    if let Err(error) = asked.reply(answer).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an answer was not sent"
        );
    }
}

fn slow() -> Refusal {
    let message = format!("not resolved within {WHOLE:?}: Vault is slow");
    refusal(RefusalReason::Unavailable, &message)
}

fn refusal(reason: RefusalReason, message: &str) -> Refusal {
    Refusal::new(reason, message, Vec::new())
}

/// References for people: escaped, since what a manifest says may hold anything, and bounded.
fn names(references: &[Reference]) -> String {
    let mut names: Vec<String> = references
        .iter()
        .take(MAX_NAMED)
        .map(|reference| reference.to_string().escape_debug().to_string())
        .collect();
    if references.len() > MAX_NAMED {
        names.push(format!("and {} more", references.len() - MAX_NAMED));
    }
    names.join(", ")
}
