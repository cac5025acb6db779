//! The Go worker that renders charts, overlays and Jsonnet: its wire, one process, and the pool of them.

mod confine;
mod pool;
pub(crate) mod wire;
mod worker;

use bus::message::need::Need;
pub use confine::{Confinement, Layer};
pub use pool::{Pool, PoolOptions};
pub use wire::{Failure, FailureKind};
pub use worker::WorkerError;

/// Answers a worker's questions for files.
pub(crate) trait Files: Sync {
    /// What is at a path of the tree.
    fn at(&self, path: &str) -> wire::Answer;
    /// What is in a folder of the tree.
    fn list(&self, path: &str) -> wire::Answer;
    /// Lays what a need stands for over a path, if it is there.
    fn mount(&self, need: Need, at: &str) -> wire::Answer;
    /// The files of the chart in a folder of the tree.
    fn chart(&self, path: &str, whole: bool) -> wire::Answer;
}

/// For a render that has no business with files.
pub(crate) struct NoFiles;

impl Files for NoFiles {
    fn at(&self, path: &str) -> wire::Answer {
        wire::Answer::Refused {
            message: format!("a chart's render does not read {path}"),
        }
    }

    fn list(&self, path: &str) -> wire::Answer {
        self.at(path)
    }

    fn mount(&self, _: Need, at: &str) -> wire::Answer {
        self.at(at)
    }

    fn chart(&self, path: &str, _: bool) -> wire::Answer {
        self.at(path)
    }
}
