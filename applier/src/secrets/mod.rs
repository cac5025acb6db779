//! The applier's side of secrets: asks its cluster's agent once per release, opens the sealed answer, and puts values where
//! their placeholders are.

pub(crate) mod body;
mod cleared;
mod client;
mod filled;
mod json_path;
mod modifier;
mod placement;
pub(crate) mod places;
mod reads;
mod value;
mod words;

pub(crate) use body::BodyError;
pub(crate) use cleared::Cleared;
pub(crate) use client::Secrets;
pub(crate) use placement::Placement;
pub use reads::Reads;
pub(crate) use value::{Given, Resolved, Versions};
pub(crate) use words::Words;
