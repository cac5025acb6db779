//! A pool of the renderer's workers, as a renderer service has it unless it is told otherwise.

use std::ops::Deref;
use std::time::Duration;

use anyhow::Context as _;
use deploy::Component;
use renderer::{Pool, PoolOptions};
use tempfile::TempDir;

const MEMORY_LIMIT: u64 = 512 << 20;
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// Gone, with its workers, when it is dropped.
pub struct Engine {
    pool: Pool,
    _folder: TempDir,
}

impl Engine {
    pub async fn start(workers: usize) -> anyhow::Result<Self> {
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
            _folder: folder,
        })
    }
}

impl Deref for Engine {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        &self.pool
    }
}
