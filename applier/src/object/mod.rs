//! What the applier applies: identities of objects, and manifests made ready for the cluster.

mod body;
mod hook;
mod inherited;
mod key;
mod manifest;
mod options;
mod order;
mod prepare;
mod secrets_of;

pub(crate) use body::Body;
pub(crate) use hook::{DeletePolicy, Hook, Phase, reached};
pub(crate) use inherited::inherited;
pub(crate) use key::Key;
pub(crate) use manifest::Manifest;
pub(crate) use options::{Options, Say, warning as option_warning};
pub(crate) use order::rank;
pub(crate) use prepare::{Finding, Stamp, prepare};
pub(crate) use secrets_of::secrets_of;
