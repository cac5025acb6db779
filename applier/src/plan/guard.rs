//! What is not deleted without a person's word.

use std::collections::BTreeMap;

use super::Item;
use super::leaving::{Leaving, Word};
use crate::object::{Key, Manifest};

/// Up to this many objects are deleted without asking, whatever their share, where the application says nothing else.
const FREE: u64 = 10;

/// What a release may prune without a confirmation (`towline.dev/max-deletions`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Half of the objects, or ten.
    #[default]
    Half,
    Count(u64),
    /// Of the objects that the application has.
    Percent(u64),
}

impl Limit {
    /// `12` or `30%`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.strip_suffix('%') {
            Some(share) => share
                .trim_end()
                .parse()
                .ok()
                .filter(|share| *share <= 100)
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        }
    }

    fn allows(self, count: u64, members: u64) -> bool {
        match self {
            Self::Half => members <= FREE || count * 2 <= members,
            Self::Count(most) => count <= most,
            Self::Percent(share) => count * 100 <= members * share,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Half => "half".to_owned(),
            Self::Count(most) => format!("the {most} allowed"),
            Self::Percent(share) => format!("the {share} % allowed"),
        }
    }
}

/// Whether what left the manifests is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pruning {
    No,
    Automated {
        allow_empty: bool,
    },
    /// A person asked for it.
    Asked,
    /// A person was asked about these very deletions, and agreed.
    Approved,
}

/// What an application has, and what it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) pruning: Pruning,
    pub(crate) limit: Limit,
    /// The size of the inventory, without hooks.
    pub(crate) members: usize,
    pub(crate) render_is_empty: bool,
}

impl Bounds {
    pub(crate) fn of(
        pruning: Pruning,
        limit: Limit,
        inventory: &BTreeMap<Key, Item>,
        manifests: &[Manifest],
    ) -> Self {
        Self {
            pruning,
            limit,
            members: inventory.values().filter(|item| !item.hook).count(),
            render_is_empty: manifests.iter().all(|manifest| manifest.hook.is_some()),
        }
    }
}

/// Why objects that left the manifests stay for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// Pruning isn't asked for.
    NotAsked { count: usize },
    /// The render is empty, and `allowEmpty` isn't set.
    Empty { count: usize },
    /// More than may go without a confirmation.
    TooMany {
        count: usize,
        of: usize,
        limit: Limit,
    },
    /// Objects that need a person's word, of which one is named, and what may only go after them.
    NeedsWord {
        count: usize,
        first: String,
        why: Word,
    },
}

impl Withheld {
    /// For a person, where one has to decide.
    pub(crate) fn confirmation(&self) -> Option<String> {
        const HOW: &str = "annotate the Application with argocd.argoproj.io/deletion-approved: <now, as in 2006-01-02T15:04:05Z>";
        match self {
            Self::NotAsked { .. } => None,
            Self::Empty { count } => Some(format!(
                "the render is empty: {count} objects are kept; set syncPolicy.automated.allowEmpty, or sync with prune to delete them"
            )),
            Self::TooMany { count, of, limit } => Some(format!(
                "{count} of {of} objects would be deleted, which is more than {}; to confirm, sync with prune or {HOW}",
                limit.words()
            )),
            Self::NeedsWord { count, first, why } => {
                let why = match why {
                    Word::Asked => format!("{first} has Prune=confirm"),
                    Word::Holds(what) => format!("{first} would take along {what}"),
                };
                Some(format!(
                    "{why}: {count} objects are kept until somebody confirms that they may go; {HOW}"
                ))
            }
        }
    }

    /// Whether a person may approve it by annotation.
    pub(crate) fn can_be_approved(&self) -> bool {
        matches!(self, Self::TooMany { .. } | Self::NeedsWord { .. })
    }
}

/// What may go, and why the rest may not.
pub(crate) fn judge(leaving: Vec<Leaving>, bounds: Bounds) -> (Vec<Leaving>, Option<Withheld>) {
    let count = leaving.len();
    if count == 0 {
        return (leaving, None);
    }
    let whole = match bounds.pruning {
        Pruning::Approved => return (leaving, None),
        Pruning::Asked => None,
        Pruning::No => Some(Withheld::NotAsked { count }),
        Pruning::Automated { allow_empty } if bounds.render_is_empty => {
            (!allow_empty).then_some(Withheld::Empty { count })
        }
        Pruning::Automated { .. } => (!(bounds.limit).allows(count as u64, bounds.members as u64))
            .then_some(Withheld::TooMany {
                count,
                of: bounds.members,
                limit: bounds.limit,
            }),
    };
    if whole.is_some() {
        return (Vec::new(), whole);
    }
    // What came before an object goes after it, so it has to wait along.
    let Some((first, why)) = leaving
        .iter()
        .filter_map(|leaving| Some((leaving, leaving.needs_word.clone()?)))
        .max_by_key(|(leaving, _)| leaving.object.wave)
    else {
        return (leaving, None);
    };
    let (wave, first) = (first.object.wave, first.object.key.to_string());
    let (waits, goes): (Vec<_>, Vec<_>) = leaving
        .into_iter()
        .partition(|leaving| leaving.needs_word.is_some() || leaving.object.wave < wave);
    let withheld = Withheld::NeedsWord {
        count: waits.len(),
        first,
        why,
    };
    (goes, Some(withheld))
}

#[cfg(test)]
mod tests {
    use super::super::prune::Going;
    use super::*;

    const AUTOMATED: Pruning = Pruning::Automated { allow_empty: false };

    fn bounds(pruning: Pruning, members: usize) -> Bounds {
        Bounds {
            pruning,
            limit: Limit::Half,
            members,
            render_is_empty: false,
        }
    }

    fn empty(pruning: Pruning, members: usize) -> Bounds {
        Bounds {
            render_is_empty: true,
            ..bounds(pruning, members)
        }
    }

    fn some(count: usize) -> Vec<Leaving> {
        (0..count)
            .map(|at| one(&at.to_string(), 0, false))
            .collect()
    }

    fn one(name: &str, wave: i64, needs_word: bool) -> Leaving {
        Leaving {
            object: Going {
                key: Key::new("", "ConfigMap", "n", name),
                wave,
                deleting: false,
            },
            needs_word: needs_word.then_some(Word::Asked),
            last: false,
            counts: true,
        }
    }

    fn withheld(count: usize, bounds: Bounds) -> Option<Withheld> {
        let (goes, withheld) = judge(some(count), bounds);
        assert_eq!(goes.is_empty(), withheld.is_some());
        withheld
    }

    #[test]
    fn more_than_half_of_many_needs_a_word() {
        assert_eq!(withheld(6, bounds(AUTOMATED, 12)), None);
        let asks = withheld(7, bounds(AUTOMATED, 12)).unwrap();
        assert!(asks.can_be_approved());
        assert!(asks.confirmation().unwrap().contains("7 of 12"));
        assert_eq!(withheld(7, bounds(Pruning::Asked, 12)), None);
        assert_eq!(withheld(7, bounds(Pruning::Approved, 12)), None);
        assert_eq!(withheld(9, bounds(AUTOMATED, 10)), None);
    }

    #[test]
    fn an_application_says_how_many_may_go() {
        let asks = |limit: &str, count, members| {
            let limit = Limit::read(limit).unwrap();
            let bounds = Bounds {
                limit,
                ..bounds(AUTOMATED, members)
            };
            withheld(count, bounds).is_some()
        };
        assert!(!asks("2", 2, 4) && asks("2", 3, 400));
        assert!(!asks("25 %", 1, 4) && asks("25%", 2, 4));
        assert!(asks("0", 1, 1));
        assert_eq!(Limit::read("many"), None);
        assert_eq!(Limit::read("101%"), None);
    }

    #[test]
    fn an_empty_render_deletes_nothing_unless_allowed() {
        let asks = withheld(2, empty(AUTOMATED, 2)).unwrap();
        assert_eq!(asks, Withheld::Empty { count: 2 });
        assert!(!asks.can_be_approved());
        let allowed = Pruning::Automated { allow_empty: true };
        assert_eq!(withheld(20, empty(allowed, 20)), None);
        assert_eq!(withheld(2, empty(Pruning::Asked, 2)), None);
    }

    #[test]
    fn what_needs_a_word_keeps_what_may_only_go_after_it() {
        let leaving = vec![
            one("first", -1, false),
            one("held", 0, true),
            one("last", 5, false),
        ];
        let (goes, withheld) = judge(leaving.clone(), bounds(Pruning::Asked, 3));
        assert_eq!(goes, [leaving[2].clone()]);
        let Some(Withheld::NeedsWord {
            count: 2,
            first,
            why: Word::Asked,
        }) = withheld
        else {
            panic!("{withheld:?}")
        };
        assert_eq!(first, "ConfigMap n/held");
        let (goes, withheld) = judge(leaving.clone(), bounds(Pruning::Approved, 3));
        assert_eq!((goes, withheld), (leaving, None));
    }
}
