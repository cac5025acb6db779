//! Commands of people and programs against a running Towline, one file per idea.

pub(crate) mod act;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod nats;
