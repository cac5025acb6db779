//! Where files come from: `location` (what may be fetched) → `access` (as whom) → `git` (fetching, over a `session`, within `bounds`).

pub mod access;
mod bounds;
pub mod error;
pub mod git;
pub mod home;
pub mod known_hosts;
pub mod location;
mod session;
