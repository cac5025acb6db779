//! The runtime on a real nats-server, each test with a server of its own.

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
