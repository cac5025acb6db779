//! What is live in the cluster, reduced: one entry per managed object, kept by watches selected by our label.
//!
//! The watch is a hint: it keeps entries fresh and wakes their applications. That an object isn't there is concluded from a
//! GET by its name alone ([`Live::found_absent`]).

mod cache;
mod entry;
mod owner;
mod watch;

pub(crate) use cache::{Live, Look};
pub(crate) use entry::{ATTEMPT, Entry};
pub(crate) use owner::{Claim, Owner};
pub(crate) use watch::{Chain, Watches};
