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
    /// What is in a file of the chart that is rendered.
    fn chart_file(&self, name: &str) -> wire::Answer;
    /// Which files are in a folder of the chart that is rendered.
    fn chart_names(&self, of: &wire::FilesOf) -> wire::Answer;
    /// The files of the chart in a folder of the tree.
    fn chart(&self, path: &str, whole: bool) -> wire::Answer;
}
