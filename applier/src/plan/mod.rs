//! What a release does, decided before anything is done: pure functions of manifests, live state, inventory and policy.
//!
//! A plan is never stored. After a crash the same question is asked again, and what is live by then is left out of the answer.

pub(crate) mod approval;
pub(crate) mod deletion;
mod guard;
pub(crate) mod heal;
pub(crate) mod hooks;
mod leaving;
mod progress;
mod prune;
mod release;
pub(crate) mod restart;
mod step;
pub(crate) mod wait;
mod wave;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulate;

pub(crate) use guard::{Bounds, Limit, Pruning, Withheld, judge};
pub(crate) use leaving::{Defaults, Leaving, Word, leaving};
pub(crate) use progress::{HookProgress, Turn};
pub(crate) use release::{Input, Plan, Policy, release};
pub(crate) use step::{Step, Why};

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::object::{Hook, Key, Manifest, Options};
use crate::secrets::Words;

/// What is live of one object, as far as plans look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Absent,
    /// Proven ours by its tracking id, or nobody's and so free to take.
    Present(Facts),
    /// Another application's, by its name.
    Others(Box<str>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) uid: Box<str>,
    /// Its tracking id names itself and us.
    pub(crate) proven: bool,
    pub(crate) drifted: bool,
    pub(crate) deleting: bool,
    pub(crate) health: Option<Health>,
    /// Whether its words may be shown; the message of `health` is what may be.
    pub(crate) words: Words,
    /// The attempt that made it, for hooks.
    pub(crate) attempt: Option<Box<str>>,
    /// Another application that wants it, too.
    pub(crate) successor: Option<Box<str>>,
    /// What would go along with it and isn't to be deleted itself, in words.
    pub(crate) holds: Option<Box<str>>,
}

/// Every manifest and inventory item, live.
pub(crate) type Presences = HashMap<Key, Presence>;

/// One object that the application has in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    #[serde(rename = "v")]
    pub(crate) version: Box<str>,
    #[serde(rename = "w", default, skip_serializing_if = "is_zero")]
    pub(crate) wave: i64,
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) hook: bool,
    /// A hook that goes when it is made again, under another name.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) renamed: bool,
    #[serde(flatten)]
    pub(crate) options: Options,
}

impl Item {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let hook = manifest.hook.as_ref();
        Self {
            version: manifest.version.clone(),
            wave: manifest.wave,
            hook: hook.is_some(),
            renamed: hook.is_some_and(Hook::leaves_to_successor),
            options: manifest.options,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(wave: &i64) -> bool {
    *wave == 0
}
