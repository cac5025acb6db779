//! Before a namespace or a definition goes: what would go along with it.

use bus::message::desired::Tracking;

use super::App;
use crate::contents::{self, Ours};
use crate::object::{Key, Manifest, Say};
use crate::plan::{Defaults, Item, Presence, Presences};

/// How old a look may be.
const FRESH_MS: u64 = 30_000;

/// What an object was seen to hold.
pub(super) struct Seen {
    at: u64,
    holds: Option<Box<str>>,
}

/// Which end of an object is looked ahead to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Prune,
    Deletion,
}

impl Ending {
    fn word(self, item: &Item, defaults: Defaults) -> Say {
        match self {
            Self::Prune => item.options.prune.or(defaults.prune),
            Self::Deletion => item.options.delete.or(defaults.delete),
        }
    }
}

impl App {
    /// Writes to what is live what those objects hold that may go. `manifests` stay.
    pub(super) async fn note_contents(
        &mut self,
        manifests: &[Manifest],
        defaults: Defaults,
        ending: Ending,
        tracking: &Tracking,
        live: &mut Presences,
    ) {
        let Some(record) = &self.record else {
            return;
        };
        let goes = |key: &Key| {
            let item = record.inventory.get(key).filter(|item| !item.hook);
            item.is_some_and(|item| ending.word(item, defaults) != Say::No)
                && manifests.iter().all(|manifest| manifest.key != *key)
        };
        let is_ours = |key: &Key| matches!(live.get(key), Some(Presence::Present(facts)) if facts.proven && facts.successor.is_none() && !facts.deleting);
        let holders: Vec<Key> = record
            .inventory
            .keys()
            .filter(|key| contents::may_hold(key) && goes(key) && is_ours(key))
            .cloned()
            .collect();
        let now = Self::now();
        let kinds = self.ctx.kinds.get();
        let ours = Ours {
            hash: &self.hash,
            tracking,
            goes: &goes,
        };
        let mut seen = std::mem::take(&mut self.contents);
        seen.retain(|key, seen| holders.contains(key) && now < seen.at + FRESH_MS);
        for key in holders {
            if !seen.contains_key(&key) {
                let holds = contents::holds(&self.ctx.cluster, &kinds, &key, ours).await;
                seen.insert(key.clone(), Seen { at: now, holds });
            }
            if let (Some(Presence::Present(facts)), Some(seen)) =
                (live.get_mut(&key), seen.get(&key))
            {
                facts.holds.clone_from(&seen.holds);
            }
        }
        self.contents = seen;
    }
}
