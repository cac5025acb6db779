//! The contract between Towline's services: identities, subjects, messages, delivery, sealing, and the runtime that
//! every service shares.
//!
//! `identity` → `subject` → `message` say what travels where; `stream` what must exist for it. `connect` makes a connection, `client` reads and
//! publishes; `watch` follows state, `work` consumes a queue, `serve` answers, `objects` carries what is large;
//! `envelope` and `trace` are what every message carries besides its body; `service` runs a process, `guard` keeps its
//! memory from resting anywhere;
//! `document` writes the contract down for those who don't read Rust.

mod client;
pub mod clock;
mod connect;
pub mod document;
mod envelope;
pub mod error;
pub mod guard;
pub mod identity;
pub mod message;
mod objects;
mod quiet;
pub mod role;
pub mod seal;
mod serve;
pub mod service;
pub mod stream;
pub mod subject;
pub mod trace;
mod watch;
mod work;

pub use client::{Bus, MAX_BODY, Published, Stored};
pub use connect::ConnectArgs;
pub use error::BusError;
pub use identity::{AppId, ClusterId, Digest, Generation, ReleaseId};
pub use objects::{Listed, Objects, Orphan};
pub use serve::{Asked, Serve};
pub use watch::{Update, Watch};
pub use work::{Delivery, MAX_ATTEMPTS, Outcome, Work};
