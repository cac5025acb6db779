//! Commands of people and programs against a running Towline, one file per idea.

pub mod act;
pub mod events;
pub mod get;
pub mod nats;
