//! The watcher: knows which applications exist, turns branches and tags into commits, stores snapshots, and publishes desired
//! state only for the applications that a change can affect.

pub mod affected;
pub mod decide;
pub mod intent;
pub mod packs;
pub mod poll;
pub mod revision;
pub mod seen;
pub mod settings;
pub mod snapshot;
pub mod source;
pub mod tree;
pub mod webhook {
    pub mod github;
}
