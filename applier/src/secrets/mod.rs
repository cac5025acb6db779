//! The applier's side of secrets: asks its cluster's agent once per release, opens the sealed answer, and puts values where
//! their placeholders are.

pub(crate) mod body;
mod client;

pub(crate) use body::{BodyError, Resolved};
pub(crate) use client::Secrets;
