//! Charts, artifacts and files, from hosts that speak the real protocols.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod fetched;
mod files;
mod helm;
mod host;
mod oci;
mod registry;
mod secure;
#[path = "../support/tls.rs"]
mod tls;
