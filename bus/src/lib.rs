//! The contract between Towline's services: identities, subjects, messages, delivery, sealing, and the runtime that
//! every service shares.
//!
//! `identity` → `subject` → `message` say what travels where; `stream` what must exist for it and `permission` who may do
//! what; `client` connects, `state` publishes and watches last-per-subject, `work` consumes a queue, `objects` carries what
//! is large, `seal` keeps secrets from the broker, and `service` runs a process.

pub mod clock;
pub mod identity;
pub mod message;
pub mod subject;

pub use identity::{AppId, ClusterId, Digest, Generation, ReleaseId};
