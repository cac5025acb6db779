//! Carries out steps. Makes no choices: which objects, in which order and whether at all is the plan's.

mod adopt;
mod apply;
mod client_side;
pub(crate) mod compare;
mod delete;
mod namespace;
mod replace;
mod respect;
mod restart;
mod three_way;
mod would_be;

pub(crate) use adopt::Adoption;
pub(crate) use apply::{ApplyError, Job, Outcome, apply_all, resolve_kind};
pub(crate) use delete::{Deleted, delete_all, delete_ours};
pub(crate) use namespace::{Wanted as WantedNamespace, create_namespace};
pub(crate) use restart::restart;
pub(crate) use would_be::would_be;
