//! Towline's side: the renderer's library, as `towline render` calls it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::message::cluster::Capabilities;
use bus::message::desired::Rendering;
use bus::message::need::Need;
use deploy::Component;
use renderer::{Dependencies, Job, Limits, Pool, PoolOptions, RenderError, Source, Tree};
use tempfile::TempDir;

use crate::case::{Case, Outcome};
use crate::checkout::Checkout;
use crate::shelf::Shelf;

/// As a renderer has it unless it is told otherwise.
const MEMORY_LIMIT: u64 = 512 << 20;
const TIME_LIMIT: Duration = Duration::from_mins(1);

pub(crate) struct Towline {
    pool: Pool,
    shelf: Arc<Shelf>,
    _folder: TempDir,
}

impl Towline {
    pub(crate) async fn start(workers: usize, shelf: Arc<Shelf>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("creating a folder for the engine")?;
        let options = PoolOptions {
            engine: deploy::locate(Component::Engine).await?,
            folder: folder.path().to_owned(),
            workers,
            memory_limit: MEMORY_LIMIT,
            time_limit: TIME_LIMIT,
            require_confinement: false,
        };
        let replaced = prometheus::IntCounter::new("replaced", "Workers replaced")?;
        Ok(Self {
            pool: Pool::new(options, replaced),
            shelf,
            _folder: folder,
        })
    }

    /// Renders, fetches what that asks for from the shelf, and renders again, as watcher and renderer do between them.
    pub(crate) async fn render(&self, case: &Case, checkout: &Checkout) -> anyhow::Result<Outcome> {
        let mut had: BTreeMap<Need, Arc<Tree>> = BTreeMap::new();
        for _ in 0..Need::MAX_ROUNDS {
            let job = Arc::new(job(case, checkout, &had)?);
            let needs = match renderer::render(&job, &self.pool, Limits::DEFAULT).await {
                Ok(rendered) => return Ok(Ok(rendered.objects)),
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
