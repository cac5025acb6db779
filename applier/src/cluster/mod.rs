//! The target cluster's API: one client ([`access`]), a bound on requests in flight ([`gate`], [`window`]), which of them are sent
//! again ([`resend`]), and bodies that nobody logs.

pub(crate) mod access;
pub(crate) mod discovery;
mod error;
mod gate;
mod gone;
mod request;
mod resend;
mod window;

pub(crate) use discovery::{ApiKind, Kinds};
pub(crate) use error::ClusterError;
pub(crate) use request::{
    Applied, ApplyParameters, Cluster, Content, Deletion, DryRun, MANAGER, PatchForm, Removal,
};
