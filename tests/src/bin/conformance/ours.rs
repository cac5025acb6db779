//! Towline's side: the renderer's library, as `towline render` calls it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::message::cluster::Capabilities;
use bus::message::desired::Rendering;
use bus::message::need::Need;
use renderer::{Dependencies, Job, Limits, RenderError, Rendered, Source, Tree};
use tests::Engine;
use tests::shelf::Shelf;

use crate::case::{Case, Outcome};
use crate::checkout::Checkout;

pub(crate) struct Towline {
    engine: Engine,
    shelf: Arc<Shelf>,
}

impl Towline {
    pub(crate) async fn start(workers: usize, shelf: Arc<Shelf>) -> anyhow::Result<Self> {
        Ok(Self {
            engine: Engine::start(workers).await?,
            shelf,
        })
    }

    /// Renders, fetches what that asks for from the shelf, and renders again, as watcher and renderer do between them.
    pub(crate) async fn render(&self, case: &Case, checkout: &Checkout) -> anyhow::Result<Outcome> {
        match self.rendered(case, checkout).await? {
            Ok(rendered) => Ok(Ok(rendered.values_of_objects()?)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// The same, with objects as the renderer has them.
    pub(crate) async fn rendered(
        &self,
        case: &Case,
        checkout: &Checkout,
    ) -> anyhow::Result<Result<Rendered, String>> {
        let mut had: BTreeMap<Need, Arc<Tree>> = BTreeMap::new();
        for _ in 0..Need::MAX_ROUNDS {
            let job = Arc::new(job(case, checkout, &had)?);
            let needs = match renderer::render(&job, &self.engine, Limits::DEFAULT).await {
                Ok(rendered) => return Ok(Ok(rendered)),
                Err(RenderError::Waits { needs }) => needs,
                Err(error) => return Ok(Err(error.to_string())),
            };
            for need in &needs {
                match self.shelf.tree(need)? {
                    Some(tree) => had.insert(need.clone(), tree),
                    None => return Ok(Err(RenderError::Waits { needs }.to_string())),
                };
            }
        }
        Ok(Err(format!(
            "asks for more after {} rounds",
            Need::MAX_ROUNDS
        )))
    }
}

/// With trees of its own: they count what one render reads.
fn job(case: &Case, checkout: &Checkout, had: &BTreeMap<Need, Arc<Tree>>) -> anyhow::Result<Job> {
    let mut sources = Vec::with_capacity(case.sources.len());
    for spec in &case.sources {
        sources.push(Source {
            spec: spec.clone(),
            revision: checkout.commit.clone(),
            tree: checkout.tree()?,
        });
    }
    Ok(Job {
        app: case.app.clone(),
        instance: case.app.clone(),
        project: case.project.clone(),
        namespace: case.namespace.clone(),
        last_mile: None,
        capabilities: Some(Capabilities {
            // Helm's own.
            kube_version: String::new(),
            api_versions: Vec::new(),
        }),
        rendering: Rendering {
            kustomize_build_options: case.build_options.clone(),
            ..Rendering::default()
        },
        dependencies: Dependencies::new(had.clone()),
        sources,
    })
}
