//! Where files come from: `location` (what may be fetched) → `access` (as whom) → `git` (fetching).

pub mod access;
pub mod error;
pub mod git;
pub mod known_hosts;
pub mod location;
