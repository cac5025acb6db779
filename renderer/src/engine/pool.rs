//! A few warm workers. Nothing runs before the first chart or overlay; a worker that breaks a limit is replaced, and
//! only its render fails.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::Semaphore;

use super::wire::{Document, Request};
use super::worker::{Worker, WorkerError};
use super::{Confinement, Files};
use crate::objects::Documents;

/// How workers are started and held to account.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// The engine's program.
    pub engine: PathBuf,
    /// An empty folder for workers to run in.
    pub folder: PathBuf,
    /// How many there may be.
    pub workers: usize,
    /// Bytes that one may use.
    pub memory_limit: u64,
    /// How long one render may take.
    pub time_limit: Duration,
    /// Whether nothing is rendered where the kernel can't close workers in.
    pub require_confinement: bool,
}

/// Workers, started when they are needed.
pub struct Pool {
    options: PoolOptions,
    permits: Semaphore,
    idle: Mutex<Vec<Worker>>,
    confinement: OnceLock<Confinement>,
    documents: Arc<Documents>,
    replaced: IntCounter,
}

impl Pool {
    /// `replaced` counts workers that were of no use any more.
    pub fn new(options: PoolOptions, replaced: IntCounter) -> Self {
        Self {
            permits: Semaphore::new(options.workers.max(1)),
            idle: Mutex::new(Vec::new()),
            confinement: OnceLock::new(),
            documents: Arc::default(),
            replaced,
            options,
        }
    }

    /// Large documents that renders came to.
    pub(crate) fn documents(&self) -> Arc<Documents> {
        Arc::clone(&self.documents)
    }

    /// Starts a worker and ends it, so that it is known at once what workers are cut off from, and whether they start at all.
    /// Kept, it would cost memory where nothing is ever rendered by one.
    pub async fn try_out(&self) -> Result<Confinement, WorkerError> {
        Ok(self.start().await?.confinement())
    }

    /// Renders on the next free worker. The time limit covers the render, not the wait for a worker.
    pub(crate) async fn render(
        &self,
        request: &Request,
        files: &dyn Files,
    ) -> Result<Vec<Document>, WorkerError> {
        // The semaphore is never closed; were it, rendering without its permission would only cost memory.
        let _permit = self.permits.acquire().await;
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => self.start().await?,
        };
        let limit = self.options.time_limit;
        let outcome = tokio::time::timeout(limit, worker.render(request, files))
            .await
            .unwrap_or(Err(WorkerError::TooSlow {
                seconds: limit.as_secs().max(1),
            }));
        match &outcome {
            // What a library's panic left half done, or locked, is not the next render's to find.
            Err(error) if error.is_crash() => self.replace(error),
            Ok(_) | Err(WorkerError::Failed(_) | WorkerError::RequestTooLarge { .. }) => {
                self.idle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(worker);
            }
            Err(error) => self.replace(error),
        }
        outcome
    }

    /// Counts a worker that is dropped, and so killed: the next render starts another.
    fn replace(&self, error: &WorkerError) {
        self.replaced.inc();
        tracing::warn!(error = %error, "a worker is replaced");
    }

    async fn start(&self) -> Result<Worker, WorkerError> {
        let PoolOptions {
            engine,
            folder,
            memory_limit,
            time_limit,
            require_confinement,
            workers: _,
        } = &self.options;
        let worker = Worker::start(engine, folder, *memory_limit).await?;
        let confinement = worker.confinement();
        self.confinement.get_or_init(|| {
            tracing::info!(
                active = confinement.names(true),
                not_permitted = confinement.names(false),
                memory_limit,
                ?time_limit,
                "workers are confined, run with an empty environment and without file writes, and end with this process"
            );
            confinement
        });
        let missing = confinement.lacks();
        if *require_confinement && !missing.is_empty() {
            return Err(WorkerError::Unconfined { missing });
        }
        Ok(worker)
    }
}
