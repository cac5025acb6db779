//! Towline's side: the renderer's library, as `towline render` calls it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::message::cluster::Capabilities;
use bus::message::desired::Rendering;
use deploy::Component;
use renderer::{Dependencies, Job, Limits, Pool, PoolOptions, Source};
use tempfile::TempDir;

use crate::case::{Case, Outcome};
use crate::checkout::Checkout;

/// As a renderer has it unless it is told otherwise.
const MEMORY_LIMIT: u64 = 512 << 20;
const TIME_LIMIT: Duration = Duration::from_mins(1);

pub(crate) struct Towline {
    pool: Pool,
    _folder: TempDir,
}

impl Towline {
    pub(crate) async fn start(workers: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("creating a folder for the engine")?;
        let options = PoolOptions {
            engine: deploy::locate(Component::Engine).await?,
            folder: folder.path().to_owned(),
            workers,
            memory_limit: MEMORY_LIMIT,
            time_limit: TIME_LIMIT,
        };
        let replaced = prometheus::IntCounter::new("replaced", "Workers replaced")?;
        Ok(Self {
            pool: Pool::new(options, replaced),
            _folder: folder,
        })
    }

    pub(crate) async fn render(&self, case: &Case, checkout: &Checkout) -> anyhow::Result<Outcome> {
        let mut sources = Vec::with_capacity(case.sources.len());
        for spec in &case.sources {
            sources.push(Source {
                spec: spec.clone(),
                revision: checkout.commit.clone(),
                tree: checkout.tree()?,
            });
        }
        let job = Arc::new(Job {
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
            dependencies: Dependencies::default(),
            sources,
        });
        let rendered = renderer::render(&job, &self.pool, Limits::DEFAULT).await;
        Ok(rendered
            .map(|rendered| rendered.objects)
            .map_err(|error| error.to_string()))
    }
}
