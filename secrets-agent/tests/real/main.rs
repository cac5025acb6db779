//! The agent on a real Vault and a real NATS server.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod agent;
mod certificate;
mod check;
mod kubernetes;
mod login;
mod root;
mod setup;
mod vault;
