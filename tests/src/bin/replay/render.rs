//! What an application comes to at a place, and what that read: as a renderer records it.

use std::sync::Arc;

use bus::message::cluster::Capabilities;
use bus::message::condition::{Condition, ConditionType};
use bus::message::desired::Rendering;
use bus::message::need::Need;
use bus::message::render::{Render, RenderOutcome};
use bus::{AppId, ClusterId, Digest, Generation};
use renderer::{Dependencies, Job, Limits, RenderError, Rendered, Source};
use serde_json::Value;
use tests::Engine;
use tests::shelf::Shelf;
use watcher::affected::{Place, Record};

use crate::fleet::Definition;
use crate::history::History;

/// There is only ever one here.
pub(crate) const GENERATION: Generation = Generation(1);

/// A render, as the watcher comes to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) place: Place,
    pub(crate) record: Record,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The digest of its objects.
    Manifests(Digest),
    Failed(String),
    /// Something has to be fetched that can't be fetched here.
    Waits(Vec<Need>),
}

/// The engine, and the charts that renders may ask for.
pub(crate) struct Renderer {
    pub(crate) engine: Engine,
    pub(crate) shelf: Shelf,
}

impl Renderer {
    /// Renders, and gives the objects too. What the first try asks for is taken from the shelf, if it has that.
    pub(crate) async fn render(
        &self,
        definition: &Definition,
        place: &Place,
        history: &History,
    ) -> anyhow::Result<(Known, Vec<Value>)> {
        let job_with = |had| job(definition, place, history, had).map(Arc::new);
        let mut job = job_with(Dependencies::default())?;
        let mut rendered = renderer::render(&job, &self.engine, Limits::DEFAULT).await;
        if let Err(RenderError::Waits { needs }) = &rendered {
            let mut had = Vec::with_capacity(needs.len());
            for need in needs {
                had.extend(self.shelf.tree(need)?.map(|tree| (need.clone(), tree)));
            }
            if had.len() == needs.len() {
                job = job_with(Dependencies::new(had))?;
                rendered = renderer::render(&job, &self.engine, Limits::DEFAULT).await;
            }
        }
        known(definition, place, &job, rendered)
    }
}

fn known(
    definition: &Definition,
    place: &Place,
    job: &Job,
    rendered: Result<Rendered, RenderError>,
) -> anyhow::Result<(Known, Vec<Value>)> {
    let (outcome, recorded, values, objects) = match rendered {
        Ok(rendered) => {
            let objects = rendered.values_of_objects()?;
            let json = renderer::json(&rendered.objects)?;
            let digest = Digest::of(json.as_bytes());
            let recorded = RenderOutcome::Rendered {
                digest: digest.clone(),
                count: rendered.objects.len(),
                size: json.len(),
                source_types: rendered.source_types,
                conditions: Vec::new(),
            };
            let outcome = Outcome::Manifests(digest);
            (outcome, recorded, rendered.values, objects)
        }
        Err(RenderError::Waits { needs }) => {
            let outcome = Outcome::Waits(needs);
            (outcome, RenderOutcome::Incomplete, Vec::new(), Vec::new())
        }
        Err(error) => {
            let message = error.to_string();
            let condition = Condition::new(ConditionType::ComparisonError, &message, 0);
            let recorded = RenderOutcome::Failed(condition);
            (Outcome::Failed(message), recorded, Vec::new(), Vec::new())
        }
    };
    let render = Render {
        app: AppId::new("argocd", &definition.name)?,
        cluster: ClusterId::in_cluster(),
        generation: GENERATION,
        parameters: Digest::of(b""),
        inputs: job.inputs(),
        values,
        needs: job.dependencies.needs(),
        past: Vec::new(),
        outcome: recorded,
    };
    let known = Known {
        place: place.clone(),
        record: Record::from(&render),
        outcome,
    };
    Ok((known, objects))
}

fn job(
    definition: &Definition,
    place: &Place,
    history: &History,
    dependencies: Dependencies,
) -> anyhow::Result<Job> {
    let mut sources = Vec::with_capacity(definition.sources.len());
    for spec in &definition.sources {
        sources.push(Source {
            spec: spec.clone(),
            revision: place.id.to_string(),
            tree: history.tree(place)?,
        });
    }
    Ok(Job {
        app: definition.name.clone(),
        instance: definition.name.clone(),
        project: definition.project.clone(),
        namespace: definition.namespace.clone(),
        last_mile: None,
        capabilities: Some(Capabilities {
            // Helm's own.
            kube_version: String::new(),
            api_versions: Vec::new(),
        }),
        rendering: Rendering::default(),
        dependencies,
        sources,
    })
}
