//! The end-to-end harness: a real cluster, Vault, NATS and Git server, a running Towline on them, and what a test does
//! with all of that.
//!
//! `stack` (cluster, Vault and Git server, once per run) → `installation` (a NATS of its own and `towline up` on the
//! stack) → `scene` (one test's namespace and repository) → `app` (an Application: made, awaited, deleted).
//! Everything waits on conditions (`wait`), and everything started is gone with this process.

pub mod app;
pub mod charts;
pub mod cluster;
pub mod deletions;
pub mod engine;
pub mod events;
pub mod files;
pub mod git;
pub mod installation;
pub mod keys;
pub mod manifest;
pub mod scene;
pub mod shelf;
pub mod stack;
pub mod usage;
pub mod wait;

pub use app::App;
pub use charts::ChartRepository;
pub use cluster::Cluster;
pub use deletions::Deletions;
pub use engine::Engine;
pub use git::{GitServer, Repo};
pub use installation::Installation;
pub use scene::Scene;
pub use stack::LocalStack;
