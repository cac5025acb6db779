//! The local stack: real components, built once per machine and started for as
//! long as their parent lives.
//!
//! `component` (what there is, which version) → `locate` (variable, PATH, cache)
//! → `build` (Go, once, under a lock) → `process` (start, ready, gone with the
//! parent) → `nats`, `vault`, `cluster` → `stack` (all of it, in parallel); `registry` for who wants one.
//!
//! Invariants: nothing listens on anything but 127.0.0.1, no port is fixed, a
//! half-built program is never used, and no process outlives its parent.

pub mod cluster;
pub mod component;
pub mod nats;
pub mod port;
pub mod process;
pub mod registry;
pub mod stack;
pub mod vault;

mod build;
mod folder;
mod http;
mod locate;
mod token;

pub use cluster::{Cluster, ClusterOptions, ClusterUser, Workloads};
pub use component::Component;
pub use locate::{LocateError, locate, prepare};
pub use nats::{Nats, NatsConfig};
pub use registry::Registry;
pub use stack::{Stack, StackError, StackOptions, VaultPart};
pub use vault::Vault;
