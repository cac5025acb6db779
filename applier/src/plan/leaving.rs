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

/// Why a person has to agree before an object goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// `Prune=confirm`, `Delete=confirm`.
    Asked,
    /// These would go along with it.
    Holds(Box<str>),
}

impl Word {
    pub(super) fn of(say: Say, holds: Option<&str>) -> Option<Self> {
        match (holds, say) {
            (Some(holds), _) => Some(Self::Holds(holds.into())),
            (None, Say::Confirm) => Some(Self::Asked),
            (None, Say::Nothing | Say::Yes | Say::No) => None,
        }
    }
}

/// An object that may go when pruning is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) object: Going,
    /// Why a person has to agree first.
    pub(crate) needs_word: Option<Word>,
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
                holds,
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
                needs_word: Word::of(word, holds.as_deref()),
                last: item.options.prune_last || defaults.prune_last,
                counts: !item.options.ignore_extraneous,
            })
        })
        .collect()
}
