//! Git as the pipeline meets it: repositories behind a smart HTTP server, and somebody who commits and tells of it.

mod backend;
mod repo;
mod server;
mod webhook;

pub use repo::{Change, Repo};
pub use server::{GitServer, PASSWORD, USER};
pub use webhook::Webhook;
