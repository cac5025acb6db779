//! Argo CD's Kubernetes objects as Towline reads and writes them (`argoproj.io/v1alpha1`), and the
//! pure rules about them: defaults, precedence, what a project permits, tracking ids, placeholders.
//!
//! Every object keeps what it doesn't know (`extra`) and leaves absent what was absent, so reading
//! and writing one changes nothing. Nothing here does I/O or asks the clock.

#[macro_use]
mod object;
#[macro_use]
mod open_enum;

pub mod annotations;
pub mod application;
pub mod crd;
pub mod git_url;
pub mod glob;
pub mod json_string;
pub mod placeholder;
pub mod project;
pub mod sensitive;
pub mod settings;
pub mod timestamp;
pub mod tracking;
pub mod vault_secret;

pub use application::{Application, ApplicationSpec};
pub use crd::crds;
pub use project::{AppProject, AppProjectSpec};
pub use sensitive::Sensitive;
pub use timestamp::Timestamp;
pub use tracking::TrackingMethod;

/// Fields that this version has no word for, kept as they came.
pub type Extra = std::collections::BTreeMap<String, serde_json::Value>;

/// The API group of every object in this crate.
pub const GROUP: &str = "argoproj.io";
/// The version of every object in this crate.
pub const VERSION: &str = "v1alpha1";
