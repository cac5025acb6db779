//! The target cluster's API: one client, a bound on requests in flight, and bodies that nobody logs.

pub(crate) mod discovery;
mod error;
mod gone;
mod request;

pub(crate) use discovery::{ApiKind, Kinds};
pub(crate) use error::ClusterError;
pub(crate) use request::{
    Applied, ApplyParameters, Cluster, Content, Deletion, MANAGER, PatchForm,
};
