//! Desired states as work: each is answered with Done or Retry; its outcome is on the bus, not in the answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::message::cluster::{Capabilities, ClusterInfo};
use bus::message::condition::{Condition, ConditionType};
use bus::message::desired::{Desired, DesiredState, Present};
use bus::message::manifests::{Manifests, Payload};
use bus::message::render::{PseudoInput, Render};
use bus::subject::{self, Bucket, Store, Stream};
use bus::{Bus, BusError, Digest, MAX_ATTEMPTS, Outcome, Published, Work, clock, trace};
use tokio_util::sync::CancellationToken;

use crate::check::{self, Checked, Remedy};
use crate::engine::Pool;
use crate::job::Job;
use crate::metrics::{self, Metrics};
use crate::objects::Limits;
use crate::publish::{self, Facts, Packed, PublishError, Publisher, conditions};
use crate::render::{self, RenderError};
use crate::reuse::{self, Proven};
use crate::snapshot::{SnapshotError, Snapshots};

/// How long until a try that may go better.
const SOON: Duration = Duration::from_secs(1);
/// How long the watcher gets to publish a snapshot again.
const AFTER_WATCHER: Duration = Duration::from_secs(3);

/// How long a cluster's applier gets to say what its API offers.
const AFTER_APPLIER: Duration = Duration::from_secs(5);

const NON_DETERMINISTIC: &str = "Rendering the same files and parameters again gives other objects: a template draws random values \
     or reads the clock. The objects of the first render stay; set such values explicitly.";

/// Everything that handling a desired state takes.
pub(crate) struct Renderer {
    pub(crate) bus: Bus,
    pub(crate) snapshots: Snapshots,
    pub(crate) pool: Pool,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Metrics,
    /// What the engine is, by its program's digest.
    pub(crate) engine: Digest,
}

/// Why a desired state has no outcome yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotYet {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Render(RenderError),
    #[error("writing the parameters as JSON")]
    Parameters(#[source] serde_json::Error),
}

impl NotYet {
    fn after(&self) -> Duration {
        match self {
            _ if self.lacks_objects() => AFTER_WATCHER,
            Self::Render(RenderError::NoCapabilities { .. }) => AFTER_APPLIER,
            _ => SOON,
        }
    }

    /// Whether the watcher must publish the snapshot again.
    fn lacks_objects(&self) -> bool {
        match self {
            Self::Snapshot(SnapshotError::MissingPack(_)) => true,
            Self::Snapshot(SnapshotError::Tree(error)) => error.is_missing_object(),
            Self::Render(error) => error.is_missing_object(),
            _ => false,
        }
    }
}

/// One consumer; several run side by side.
pub(crate) async fn consume(
    renderer: Arc<Renderer>,
    work: Work<Desired>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let delivery = tokio::select! {
            () = token.cancelled() => return Ok(()),
            delivery = work.next() => delivery,
        };
        // On the heap: a render's state is large, and most of the time there is none.
        let handled = Box::pin(renderer.handle(&delivery.value, delivery.attempt));
        let outcome = trace::within(delivery.trace.child(), handled).await;
        delivery.finish(outcome).await;
    }
}

impl Renderer {
    async fn handle(&self, desired: &Desired, attempt: u64) -> Outcome {
        let DesiredState::Present(present) = &desired.state else {
            // Deleting is the applier's; there is nothing to render.
            return Outcome::Done;
        };
        match self.attempt(desired, present, attempt).await {
            Ok(()) => Outcome::Done,
            Err(error) => {
                let app = &desired.app;
                tracing::warn!(%app, attempt, error = &error as &dyn std::error::Error, "a render is tried again");
                if error.lacks_objects() {
                    self.publisher
                        .snapshot_missing(desired, &error.to_string())
                        .await;
                }
                self.metrics
                    .handled(&[], metrics::Outcome::Retried, Duration::ZERO);
                Outcome::Retry(error.after())
            }
        }
    }

    async fn attempt(
        &self,
        desired: &Desired,
        present: &Present,
        attempt: u64,
    ) -> Result<(), NotYet> {
        let begun = Instant::now();
        let started = clock::now_ms();
        let key = subject::application(&desired.cluster, &desired.app);
        let (job, record) = tokio::join!(
            self.job(desired, present),
            self.bus.get::<Render>(Bucket::Renders, &key)
        );
        let job = Arc::new(job?);
        let parameters = job.parameters(&self.engine).map_err(NotYet::Parameters)?;
        let last = readable(record)?;
        let earlier = match &last {
            Some(last) => self.earlier(desired, &job, &parameters, last).await?,
            None => None,
        };
        let facts = Facts {
            parameters,
            values: Vec::new(),
            source_types: Vec::new(),
            conditions: Vec::new(),
            reused: false,
            started,
            last,
        };
        if let Some(earlier) = earlier.as_ref().filter(|_| !present.trigger.hard) {
            return self.take_over(desired, &job, earlier, facts, begun).await;
        }

        let (outcome, live) = tokio::join!(
            render::render(&job, &self.pool, Limits::DEFAULT),
            self.live(desired, &facts)
        );
        let live = live?;
        match outcome {
            Ok(rendered) => {
                let mut packed = Packed::new(&rendered.objects)?;
                let mut warnings = rendered.warnings;
                // An earlier one that is still right, and nevertheless rendered again: a hard refresh.
                if let Some(earlier) = earlier {
                    match self
                        .check(
                            (desired, present),
                            &job,
                            &earlier,
                            &packed,
                            Remedy::Published,
                        )
                        .await?
                    {
                        Checked::Same | Checked::Missed => {}
                        Checked::Random => {
                            warnings.push((
                                ConditionType::NonDeterministicRender,
                                NON_DETERMINISTIC.to_owned(),
                            ));
                            packed = earlier.packed();
                        }
                    }
                }
                let facts = Facts {
                    values: rendered.values,
                    source_types: rendered.source_types,
                    conditions: conditions(warnings, clock::now_ms()),
                    ..facts
                };
                self.succeed(desired, &job, packed, facts, live, begun)
                    .await
            }
            Err(error @ RenderError::Waits { .. }) => {
                tracing::info!(app = %desired.app, "{error}");
                let facts = Facts {
                    values: on_failure(&job),
                    ..facts
                };
                self.publisher.incomplete(desired, &job, facts).await?;
                self.metrics
                    .handled(&[], metrics::Outcome::Waiting, begun.elapsed());
                Ok(())
            }
            Err(error) if error.may_pass() && attempt < MAX_ATTEMPTS => Err(NotYet::Render(error)),
            Err(error) => {
                let condition =
                    Condition::new(error.condition(), &error.to_string(), clock::now_ms());
                let facts = Facts {
                    values: on_failure(&job),
                    ..facts
                };
                self.publisher
                    .failure(desired, &job, condition, facts)
                    .await?;
                self.metrics
                    .handled(&[], metrics::Outcome::Failed, begun.elapsed());
                Ok(())
            }
        }
    }

    /// Publishes what an earlier render came to, which is proven to be still right.
    async fn take_over(
        &self,
        desired: &Desired,
        job: &Job,
        earlier: &Earlier,
        facts: Facts,
        begun: Instant,
    ) -> Result<(), NotYet> {
        let proven = &earlier.proven;
        job.read_again(&proven.inputs, &proven.needs);
        let facts = Facts {
            values: proven.values.clone(),
            source_types: proven.source_types.clone(),
            conditions: proven.conditions.clone(),
            reused: true,
            ..facts
        };
        self.succeed(
            desired,
            job,
            earlier.packed(),
            facts,
            earlier.live.clone(),
            begun,
        )
        .await
    }

    /// Holds a render against an earlier one of the same inputs.
    pub(crate) async fn check(
        &self,
        (desired, present): (&Desired, &Present),
        job: &Arc<Job>,
        earlier: &Earlier,
        packed: &Packed,
        remedy: Remedy,
    ) -> Result<Checked, NotYet> {
        let checked = if earlier.proven.digest == packed.digest {
            Checked::Same
        } else {
            let again = self.job(desired, present).await?;
            check::explain(job, again, &packed.digest, &self.pool).await
        };
        self.metrics.checked(checked);
        if checked == Checked::Missed {
            self.publisher
                .missed(desired, &earlier.proven.digest, &packed.digest, remedy)
                .await;
        }
        Ok(checked)
    }

    async fn succeed(
        &self,
        desired: &Desired,
        job: &Job,
        packed: Packed,
        facts: Facts,
        replaced: Option<Manifests>,
        begun: Instant,
    ) -> Result<(), NotYet> {
        let (tools, count, reused) = (facts.source_types.clone(), packed.count, facts.reused);
        let published = self
            .publisher
            .success(desired, job, packed, facts, replaced)
            .await?;
        let outcome = match published {
            Published::Outdated(newer) if newer > desired.generation => metrics::Outcome::Outdated,
            _ if reused => metrics::Outcome::Reused,
            _ => metrics::Outcome::Rendered,
        };
        self.metrics.handled(&tools, outcome, begun.elapsed());
        self.metrics.rendered(count);
        Ok(())
    }

    pub(crate) async fn job(&self, desired: &Desired, present: &Present) -> Result<Job, NotYet> {
        let (sources, dependencies, cluster) = tokio::join!(
            self.snapshots.sources(present),
            self.snapshots.dependencies(present),
            self.bus
                .get::<ClusterInfo>(Bucket::Clusters, desired.cluster.as_str())
        );
        Ok(Job {
            app: desired.app.name().to_owned(),
            instance: present.tracking.instance.clone(),
            project: present.spec.project().to_owned(),
            namespace: present.spec.destination.namespace().to_owned(),
            last_mile: present
                .annotations
                .get(api::annotations::LAST_MILE)
                .cloned(),
            capabilities: cluster?.map(|stored| Capabilities::from(&stored.value)),
            rendering: present.rendering.clone(),
            dependencies: dependencies?,
            sources: sources?,
        })
    }

    /// An earlier render of the application that is proven to be what rendering now would give, if its manifests are there
    /// and those that their digest says.
    pub(crate) async fn earlier(
        &self,
        desired: &Desired,
        job: &Job,
        parameters: &Digest,
        last: &Render,
    ) -> Result<Option<Earlier>, NotYet> {
        let proven = reuse::proven(last, job, parameters).map_err(SnapshotError::from)?;
        let Some(proven) = proven else {
            return Ok(None);
        };
        let live = self.manifests(desired).await?;
        let Some(payload) = self.payload(desired, &proven, live.as_ref()).await? else {
            let (app, digest) = (&desired.app, &proven.digest);
            tracing::warn!(%app, %digest, "the manifests of an earlier render are gone or damaged: they are rendered again");
            return Ok(None);
        };
        Ok(Some(Earlier {
            proven,
            payload,
            live,
        }))
    }

    /// The manifests that the next ones replace, if there can be any.
    async fn live(&self, desired: &Desired, facts: &Facts) -> Result<Option<Manifests>, BusError> {
        match facts.last {
            Some(_) => self.manifests(desired).await,
            None => Ok(None),
        }
    }

    async fn manifests(&self, desired: &Desired) -> Result<Option<Manifests>, BusError> {
        let subject = subject::manifests(&desired.cluster, &desired.app);
        readable(self.bus.last(Stream::Manifests, &subject).await)
    }

    /// The manifests of an earlier render, verified: whoever applies others would ask for them again and again.
    async fn payload(
        &self,
        desired: &Desired,
        proven: &Proven,
        live: Option<&Manifests>,
    ) -> Result<Option<Payload>, BusError> {
        if let Some(live) = live.filter(|live| live.digest == proven.digest)
            && let Payload::Inline(text) = &live.payload
        {
            let intact = Digest::of(text.as_bytes()) == live.digest;
            return Ok(intact.then(|| live.payload.clone()));
        }
        let store = self.bus.objects(&Store::Manifests(desired.cluster.clone()));
        match store.get(&proven.digest, proven.size).await {
            Ok(found) => Ok(found
                .and_then(|bytes| String::from_utf8(bytes.into()).ok())
                .map(publish::payload)),
            Err(BusError::ObjectCorrupt { .. } | BusError::ObjectTooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a failed render may have used besides files. It didn't come to say so: in doubt, the cluster counts.
fn on_failure(job: &Job) -> Vec<PseudoInput> {
    let capabilities = job.capabilities.as_ref();
    capabilities
        .map(|capabilities| PseudoInput::Capabilities(capabilities.digest()))
        .into_iter()
        .collect()
}

/// What can't be read proves nothing: it is rendered anew.
pub(crate) fn readable<T>(
    read: Result<Option<bus::Stored<T>>, BusError>,
) -> Result<Option<T>, BusError> {
    match read {
        Ok(stored) => Ok(stored.map(|stored| stored.value)),
        Err(BusError::Decode { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A render that is still right.
pub(crate) struct Earlier {
    proven: Proven,
    payload: Payload,
    /// What is in MANIFESTS: its own, or those of a later render.
    live: Option<Manifests>,
}

impl Earlier {
    fn packed(&self) -> Packed {
        Packed::again(&self.proven, self.payload.clone())
    }
}
