//! Renderer: snapshot + parameters → manifests + inputs. Stateless; any number of replicas share the work.
//!
//! `consume` (desired state as work) → `snapshot` (packs into `tree`'s object database) → `reuse` (nothing read changed since
//! the last render, or one of those before it in `history`: the same manifests again) or `render` (`tool` decides and reads,
//! `engine` runs Helm, Kustomize and Jsonnet, `objects` parses) → `publish`.
//!
//! A hard refresh renders past all that is kept, and `anew` everything once a day; `check` tells what another result than
//! before means.
//!
//! What a render needs beside its sources (`need`) is there already, or is recorded for the watcher to fetch.
//!
//! It opens no connection but to NATS, writes nothing outside of its scratch folder, and sees neither a cluster, nor a
//! Git credential, nor a secret value.

mod anew;
mod args;
mod check;
mod consume;
mod engine;
mod history;
mod job;
mod kept;
mod metrics;
mod need;
mod objects;
mod publish;
mod render;
mod reuse;
mod run;
mod snapshot;
mod tool;
mod tree;

pub use args::Args;
pub use engine::{Confinement, Failure, FailureKind, Layer, Pool, PoolOptions, WorkerError};
pub use job::{Job, Source};
pub use need::{Dependencies, TooManyNeeds, describe};
pub use objects::{Limits, Object, ObjectError, json};
pub use render::{RenderError, Rendered, render};
pub use run::run;
pub use tool::ToolError;
pub use tree::{Database, PackError, ReadLimits, Tree, TreeError};
