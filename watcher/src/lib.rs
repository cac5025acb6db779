//! The watcher: knows which applications exist, turns branches and tags into commits, stores snapshots, and publishes desired
//! state only for the applications that a change can affect.
//!
//! [`applications`] ([`seen`], [`had`]) and [`settings`] → [`intent`] ([`project`], [`sources`]) → [`index`] ([`slot`]) → [`worker`]: [`source`]
//! ([`revision`]) → [`decide`] and [`affected`] (over [`changes`] and [`tree`]) → [`snapshot`] ([`packs`], [`links`]) → [`publish`].
//! [`webhook`], [`poll`] and
//! [`follow`] wake a worker; what a render asks for ([`needs`]) comes back through `follow` and is fetched like a source;
//! [`lifecycle`] ([`deletions`]) deletes; [`state`] says how it is, [`predecessors`] ([`order`]) what releases wait for; [`collect`] clears the object stores. Of several watchers one
//! does all that, the others only keep up: crate [`lease`].

pub mod affected;
pub mod applications;
pub mod args;
pub mod changes;
pub mod collect;
pub mod decide;
pub mod deletions;
pub mod follow;
pub mod had;
pub mod index;
pub mod intent;
pub mod lifecycle;
pub mod links;
pub mod metrics;
pub mod needs;
pub mod order;
pub mod packs;
pub mod poll;
pub mod predecessors;
pub mod project;
pub mod publish;
pub mod revision;
mod run;
pub mod seen;
pub mod settings;
pub mod slot;
pub mod snapshot;
pub mod source;
pub mod sources;
pub mod state;
pub mod tree;
pub mod webhook;
pub mod worker;

pub use args::Args;
pub use run::run;
