//! Where files come from: `location` (what may be fetched) → `access` (as whom) → `git` (fetching, over a `session`, within `bounds`).

pub mod access;
pub mod authorities;
mod bounds;
pub mod error;
pub mod git;
pub mod github;
pub mod home;
pub mod http;
pub mod known_hosts;
pub mod location;
mod login;
mod proxy;
mod session;
mod smart;
pub mod tls;
