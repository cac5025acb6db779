//! The bodies of all messages: one Rust struct each, JSON on the wire, with camelCase keys and times in Unix milliseconds.

pub mod check;
pub mod cluster;
pub mod command;
pub mod condition;
pub mod dead;
pub mod desired;
pub mod diff;
pub mod event;
pub mod manifests;
pub mod need;
pub mod predecessors;
pub mod project;
pub mod render;
pub mod secret;
pub mod settings;
pub mod state;
pub mod tree;
pub mod verified;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::identity::{AppId, ClusterId, Generation};

/// A body with its `CloudEvents` type.
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// `<noun>.<verb>` of `dev.towline.<noun>.<verb>.v1`.
    const KIND: &'static str;
    /// The application it is about, as `ce-subject`.
    fn about(&self) -> Option<&AppId>;
    /// The cluster that its subject names, when every such message is about one.
    fn cluster(&self) -> Option<&ClusterId> {
        None
    }
}

/// A body of which only the highest generation per subject counts.
pub trait Generational: Message {
    fn generation(&self) -> Generation;
}
