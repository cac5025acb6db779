//! What left the manifests and is still in the cluster, proven ours.

use std::collections::{BTreeMap, HashSet};

use super::prune::Going;
use super::{Facts, Item, Presence, Presences};
use crate::object::{Key, Manifest, Say};

/// What the application's sync options say of deletions, where an object says nothing itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) prune: Say,
    pub(crate) delete: Say,
    /// `PruneLast=true`.
    pub(crate) prune_last: bool,
}

impl Defaults {
    pub(crate) fn of(spec: &api::ApplicationSpec) -> Self {
        let say = |name| spec.option(name).map_or(Say::Nothing, Say::read);
        Self {
            prune: say("Prune"),
            delete: say("Delete"),
            prune_last: spec.option("PruneLast") == Some("true"),
        }
    }
}

/// An object that may go when pruning is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) object: Going,
    /// `Prune=confirm`.
    pub(crate) needs_word: bool,
    /// After everything else.
    pub(crate) last: bool,
    /// Whether it makes the application out of sync.
    pub(crate) counts: bool,
}

/// Without what `Prune=false` keeps, without what another application takes over, and without hooks.
pub(crate) fn leaving(
    inventory: &BTreeMap<Key, Item>,
    manifests: &[Manifest],
    live: &Presences,
    defaults: Defaults,
) -> Vec<Leaving> {
    let wanted: HashSet<&Key> = manifests.iter().map(|manifest| &manifest.key).collect();
    inventory
        .iter()
        .filter(|(key, item)| !item.hook && !wanted.contains(key))
        .filter_map(|(key, item)| {
            let Some(Presence::Present(Facts {
                proven: true,
                deleting,
                successor: None,
                ..
            })) = live.get(key)
            else {
                return None;
            };
            let word = item.options.prune.or(defaults.prune);
            (word != Say::No).then(|| Leaving {
                object: Going {
                    key: key.clone(),
                    wave: item.wave,
                    deleting: *deleting,
                },
                needs_word: word == Say::Confirm,
                last: item.options.prune_last || defaults.prune_last,
                counts: !item.options.ignore_extraneous,
            })
        })
        .collect()
}
