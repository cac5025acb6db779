//! Manifests, the record of what the render read, the renderer's state and an event: in this order, so that whoever finds
//! a record also finds the manifests that it is about.

use bus::message::condition::{Condition, ConditionType};
use bus::message::desired::Desired;
use bus::message::event::{Event, EventKind};
use bus::message::manifests::{Manifests, Payload, SourceType};
use bus::message::need::Need;
use bus::message::render::{PseudoInput, Render, RenderOutcome};
use bus::message::state::RendererState;
use bus::subject::{self, Bucket, Store, Stream};
use bus::{Bus, BusError, ClusterId, Digest, MAX_BODY, Published, clock};
use bytes::Bytes;

use crate::check::Remedy;
use crate::history;
use crate::job::Job;
use crate::objects::{self, Object};
use crate::reuse::Proven;

/// Room for everything in a message but its payload.
const ENVELOPE: usize = 64 * 1024;

/// Why nothing could be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("writing objects as JSON")]
    Encode(#[source] serde_json::Error),
}

/// Manifests ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) digest: Digest,
    pub(crate) payload: Payload,
    pub(crate) count: usize,
    pub(crate) size: usize,
    /// What goes to the object store.
    object: Option<Bytes>,
}

impl Packed {
    pub(crate) fn new(objects: &[Object]) -> Result<Self, PublishError> {
        let json = objects::json(objects).map_err(PublishError::Encode)?;
        let (digest, size) = (Digest::of(json.as_bytes()), json.len());
        let (payload, object) = if fits(&json) {
            (Payload::Inline(json), None)
        } else {
            (Payload::Object { size }, Some(Bytes::from(json)))
        };
        Ok(Self {
            digest,
            payload,
            count: objects.len(),
            size,
            object,
        })
    }

    /// Those of an earlier render, whose payload travels in the message or is stored already.
    pub(crate) fn again(earlier: &Proven, payload: Payload) -> Self {
        Self {
            digest: earlier.digest.clone(),
            payload,
            count: earlier.count,
            size: earlier.size,
            object: None,
        }
    }
}

/// How a text that is in the object store travels.
pub(crate) fn payload(json: String) -> Payload {
    if fits(&json) {
        Payload::Inline(json)
    } else {
        Payload::Object { size: json.len() }
    }
}

/// Whether a text travels in the message. It is JSON within JSON there: each quote grows.
fn fits(json: &str) -> bool {
    let escaped = json
        .bytes()
        .filter(|byte| matches!(byte, b'"' | b'\\'))
        .count();
    json.len() <= Payload::INLINE && json.len() + escaped <= MAX_BODY - ENVELOPE
}

/// What a render came to, besides its manifests.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) parameters: Digest,
    pub(crate) values: Vec<PseudoInput>,
    pub(crate) source_types: Vec<SourceType>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) reused: bool,
    pub(crate) started: u64,
    /// The record of the application's last render.
    pub(crate) last: Option<Render>,
}

pub(crate) struct Publisher {
    bus: Bus,
}

impl Publisher {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Publishes manifests, unless a newer generation is there: then everything about this one is dropped.
    pub(crate) async fn success(
        &self,
        desired: &Desired,
        job: &Job,
        packed: Packed,
        facts: Facts,
        replaced: Option<Manifests>,
    ) -> Result<Published, PublishError> {
        let Desired {
            app,
            cluster,
            generation,
            ..
        } = desired;
        if let Some(object) = packed.object {
            self.bus
                .objects(&Store::Manifests(cluster.clone()))
                .put(&packed.digest, object)
                .await?;
        }
        let rendered = clock::now_ms();
        let manifests = Manifests {
            app: app.clone(),
            cluster: cluster.clone(),
            generation: *generation,
            digest: packed.digest.clone(),
            payload: packed.payload,
            count: packed.count,
            source_types: facts.source_types.clone(),
            conditions: facts.conditions.clone(),
            started: facts.started,
            rendered,
        };
        let published = self
            .bus
            .publish_generation(
                Stream::Manifests,
                &subject::manifests(cluster, app),
                &manifests,
            )
            .await?;
        match published {
            Published::Outdated(newer) if newer > *generation => return Ok(published),
            // The same one: published by a delivery before this one that did not come to an end.
            Published::Outdated(_) | Published::Stored(_) => {}
        }
        let outcome = RenderOutcome::Rendered {
            digest: packed.digest.clone(),
            count: packed.count,
            size: packed.size,
            source_types: facts.source_types.clone(),
            conditions: facts.conditions.clone(),
        };
        let message = format!(
            "{} objects {} in {} ms",
            packed.count,
            if facts.reused {
                "are still the same, found"
            } else {
                "rendered"
            },
            rendered.saturating_sub(facts.started)
        );
        let event = Event::new(app, cluster, EventKind::RenderSucceeded, message)
            .generation(*generation)
            .detail("digest", packed.digest.short());
        let event = with_revision(event, job);
        let (record, state, (), ()) = tokio::join!(
            self.record(desired, job, &facts, outcome),
            self.state(
                desired,
                Some(packed.digest.clone()),
                Vec::new(),
                &facts,
                rendered
            ),
            self.bus.event(&event),
            self.keep(cluster, &packed.digest, replaced)
        );
        record.and(state)?;
        Ok(published)
    }

    /// Stores manifests that were in the message that is replaced now: the record of the render says that they can be had.
    async fn keep(&self, cluster: &ClusterId, now: &Digest, replaced: Option<Manifests>) {
        let Some(Manifests {
            digest,
            payload: Payload::Inline(text),
            ..
        }) = replaced.filter(|replaced| replaced.digest != *now)
        else {
            return;
        };
        let store = self.bus.objects(&Store::Manifests(cluster.clone()));
        if let Err(error) = store.put(&digest, text.into()).await {
            tracing::warn!(
                %digest,
                error = &error as &dyn std::error::Error,
                "earlier manifests can't be kept: a way back to them would be rendered"
            );
        }
    }

    /// Records a failure. The manifests of the last good render stay where they are.
    pub(crate) async fn failure(
        &self,
        desired: &Desired,
        job: &Job,
        condition: Condition,
        mut facts: Facts,
    ) -> Result<(), PublishError> {
        let Desired {
            app,
            cluster,
            generation,
            ..
        } = desired;
        self.record(
            desired,
            job,
            &facts,
            RenderOutcome::Failed(condition.clone()),
        )
        .await?;
        let event = Event::new(
            app,
            cluster,
            EventKind::RenderFailed,
            condition.message.clone(),
        )
        .generation(*generation);
        facts.conditions.push(condition);
        self.state(desired, None, Vec::new(), &facts, clock::now_ms())
            .await?;
        self.bus.event(&with_revision(event, job)).await;
        Ok(())
    }

    /// Records what the watcher has to fetch before the job can be rendered. It is no failure: the manifests of the last good
    /// render stay, and nothing is wrong yet.
    pub(crate) async fn incomplete(
        &self,
        desired: &Desired,
        job: &Job,
        facts: Facts,
    ) -> Result<(), PublishError> {
        // The state comes first: the record makes the watcher publish the next generation.
        self.state(
            desired,
            None,
            job.dependencies.missing(),
            &facts,
            clock::now_ms(),
        )
        .await?;
        self.record(desired, job, &facts, RenderOutcome::Incomplete)
            .await
    }

    /// Asks for the snapshot to be published again.
    pub(crate) async fn snapshot_missing(&self, desired: &Desired, what: &str) {
        let event = Event::new(
            &desired.app,
            &desired.cluster,
            EventKind::SnapshotMissing,
            what.to_owned(),
        )
        .generation(desired.generation);
        self.bus.event(&event).await;
    }

    /// Says that the inputs of an earlier render weren't all that it read.
    pub(crate) async fn missed(
        &self,
        desired: &Desired,
        earlier: &Digest,
        now: &Digest,
        remedy: Remedy,
    ) {
        let Desired { app, cluster, .. } = desired;
        let message = format!(
            "The same inputs rendered again gave other objects ({} instead of {}): something was read that isn't recorded, so a \
             change of it was overlooked. {}. This is a fault of Towline: please report it",
            now.short(),
            earlier.short(),
            remedy.said()
        );
        let event = Event::new(app, cluster, EventKind::RenderMissed, message)
            .generation(desired.generation);
        self.bus.event(&event).await;
    }

    async fn record(
        &self,
        desired: &Desired,
        job: &Job,
        facts: &Facts,
        outcome: RenderOutcome,
    ) -> Result<(), PublishError> {
        let mut record = Render {
            app: desired.app.clone(),
            cluster: desired.cluster.clone(),
            generation: desired.generation,
            parameters: facts.parameters.clone(),
            inputs: job.inputs(),
            values: facts.values.clone(),
            needs: job.dependencies.needs(),
            outcome,
            past: Vec::new(),
        };
        if let Some(last) = &facts.last {
            record.past = history::before(&record, last.clone());
        }
        let key = subject::application(&desired.cluster, &desired.app);
        let put =
            async |record: &Render| self.bus.put_generation(Bucket::Renders, &key, record).await;
        let mut outcome = put(&record).await;
        if matches!(outcome, Err(BusError::TooLarge { .. })) && !record.past.is_empty() {
            record.past.clear();
            outcome = put(&record).await;
        }
        if matches!(outcome, Err(BusError::TooLarge { .. })) {
            // Too many files to name: then any change of the repository counts.
            record.inputs = job.whole_trees();
            outcome = put(&record).await;
        }
        outcome?;
        Ok(())
    }

    async fn state(
        &self,
        desired: &Desired,
        digest: Option<Digest>,
        waits_for: Vec<Need>,
        facts: &Facts,
        finished: u64,
    ) -> Result<(), PublishError> {
        let state = RendererState {
            app: desired.app.clone(),
            cluster: desired.cluster.clone(),
            generation: desired.generation,
            source_types: facts.source_types.clone(),
            digest,
            waits_for,
            conditions: facts.conditions.clone(),
            reused: facts.reused,
            started: facts.started,
            finished,
        };
        let key = subject::state("renderer", Some(&desired.cluster), &desired.app);
        self.bus.put(Bucket::State, &key, &state).await?;
        Ok(())
    }
}

fn with_revision(event: Event, job: &Job) -> Event {
    match job.sources.first() {
        Some(source) => event.revision(source.revision.clone()),
        None => event,
    }
}

/// Warnings as conditions.
pub(crate) fn conditions(warnings: Vec<(ConditionType, String)>, now_ms: u64) -> Vec<Condition> {
    /// One application has a place for so many; the last one says how many more there are.
    const MOST: usize = 20;
    let more = warnings.len().saturating_sub(MOST);
    let mut conditions: Vec<Condition> = warnings
        .into_iter()
        .take(MOST)
        .map(|(kind, message)| Condition::new(kind, &message, now_ms))
        .collect();
    if let Some(last) = conditions.last_mut().filter(|_| more > 0) {
        last.message = format!("{} (and {more} more warnings)", last.message);
    }
    conditions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn small_manifests_travel_in_the_message_and_large_ones_beside_it() {
        let packed = |value| Packed::new(&[Object::new(value)]).unwrap();
        let small = packed(json!({"kind": "A"}));
        assert!(matches!(&small.payload, Payload::Inline(text) if text == r#"[{"kind":"A"}]"#));
        assert_eq!(small.digest, Digest::of(br#"[{"kind":"A"}]"#));
        let large = packed(json!({"data": "x".repeat(Payload::INLINE)}));
        assert!(matches!(large.payload, Payload::Object { size } if size == large.size));
        let quoted = packed(json!({"data": "\"".repeat(Payload::INLINE / 2 - 100)}));
        assert!(
            matches!(quoted.payload, Payload::Object { .. }),
            "escaped twice, it would not fit a message"
        );
    }

    #[test]
    fn the_number_of_warnings_is_bounded() {
        let warnings = vec![(ConditionType::RepeatedResourceWarning, "twice".to_owned()); 30];
        let conditions = conditions(warnings, 1);
        assert_eq!(conditions.len(), 20);
        assert!(conditions[19].message.ends_with("(and 10 more warnings)"));
    }
}
