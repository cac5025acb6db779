//! Commands of people and programs against a running Towline or on files, one file per idea.

pub(crate) mod act;
pub(crate) mod back;
pub(crate) mod diff;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod health;
pub(crate) mod inputs;
pub(crate) mod nats;
pub(crate) mod render;
pub(crate) mod secrets;
pub(crate) mod tree;
