//! The runtime on a real nats-server, each test with a server of its own.
#![expect(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a test that can't go on says where; what it awaits lives once"
)]

mod asking;
mod generations;
mod objects;
mod provisioning;
mod role_refusals;
mod role_rights;
mod roles;
mod setup;
mod watching;
mod working;
