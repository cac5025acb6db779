//! How soon objects that drift are healed, and over which of them others fight: at once at first, then at ever longer intervals, each
//! object by itself.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use crate::object::Key;

/// Unchanged for so long after it was healed, an object begins anew.
const QUIET_MS: u64 = 300_000;
/// The longest interval.
const MOST_MS: u64 = 300_000;
/// So many heals are immediate: people edit more than once.
const IMMEDIATE: u32 = 2;
/// Changed again after so many heals, it is fought over.
const PATIENCE: u32 = 3;
/// A message names so many fields and managers.
const MAX_NAMED: usize = 5;

/// Of the objects of one application that were healed lately.
#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<Key, Pace>);

#[derive(Debug, Default)]
struct Pace {
    heals: u32,
    /// When it was healed last, or that was tried, Unix milliseconds.
    last_ms: u64,
    /// How often it was changed again after it was healed.
    changes: u32,
    by: Rival,
}

/// Who changes an object again and again, and what of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rival {
    /// Empty where the API server doesn't say who.
    managers: BTreeSet<String>,
    /// Empty where the object is deleted.
    fields: BTreeSet<String>,
}

/// What begins with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Drift,
    Fight,
}

impl Paces {
    /// When the object may be healed, Unix milliseconds.
    pub(super) fn next_ms(&self, key: &Key) -> u64 {
        self.0.get(key).map_or(0, Pace::next_ms)
    }

    /// It was changed, or deleted, by others.
    pub(super) fn changed(
        &mut self,
        key: &Key,
        managers: &[String],
        fields: &[String],
        now_ms: u64,
    ) -> Change {
        // The first change of an object is nobody's fight.
        let Some(pace) = self.0.get_mut(key) else {
            return Change::Drift;
        };
        if pace.is_quiet(now_ms) {
            self.0.remove(key);
            return Change::Drift;
        }
        pace.changes = pace.changes.saturating_add(1);
        remember(&mut pace.by.managers, managers);
        remember(&mut pace.by.fields, fields);
        if pace.changes == PATIENCE {
            Change::Fight
        } else {
            Change::Drift
        }
    }

    /// It was applied again, or that was tried.
    pub(super) fn healed(&mut self, key: &Key, now_ms: u64) {
        let pace = self.0.entry(key.clone()).or_default();
        pace.heals = pace.heals.saturating_add(1);
        pace.last_ms = now_ms;
    }

    /// It couldn't be tried. When it may be tried again, Unix milliseconds.
    pub(super) fn failed(&mut self, key: &Key, now_ms: u64) -> u64 {
        let pace = self.0.entry(key.clone()).or_default();
        pace.heals = pace.heals.max(IMMEDIATE + 2);
        pace.last_ms = now_ms;
        pace.next_ms()
    }

    /// What counts of it is another question now.
    pub(super) fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// Drops what has been quiet, but for what is `drifted` now. When the next fight will have been, Unix milliseconds.
    pub(super) fn settle(&mut self, drifted: &HashSet<Key>, now_ms: u64) -> Option<u64> {
        self.0
            .retain(|key, pace| drifted.contains(key) || !pace.is_quiet(now_ms));
        let fights = self.0.iter().filter(|(_, pace)| pace.is_fight());
        fights
            .filter(|(key, _)| !drifted.contains(*key))
            .map(|(_, pace)| pace.last_ms.saturating_add(QUIET_MS + 1))
            .min()
    }

    /// What others fight over, in the objects' order.
    pub(super) fn fights(&self) -> Vec<(&Key, &Rival)> {
        let fights = self.0.iter().filter(|(_, pace)| pace.is_fight());
        let mut fights: Vec<_> = fights.map(|(key, pace)| (key, &pace.by)).collect();
        fights.sort_by_key(|(key, _)| *key);
        fights
    }

    pub(super) fn rival(&self, key: &Key) -> Option<&Rival> {
        self.0.get(key).map(|pace| &pace.by)
    }
}

impl Pace {
    fn next_ms(&self) -> u64 {
        let slowed = self.heals.saturating_sub(IMMEDIATE);
        if slowed == 0 {
            return 0;
        }
        let interval = 1_000_u64.saturating_mul(2_u64.saturating_pow(slowed - 1));
        self.last_ms.saturating_add(interval.min(MOST_MS))
    }

    const fn is_quiet(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_ms) > QUIET_MS
    }

    const fn is_fight(&self) -> bool {
        self.changes >= PATIENCE
    }
}

impl Rival {
    pub(super) fn managers(&self) -> String {
        join(&self.managers)
    }
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fields.is_empty() {
            return write!(f, "is deleted again each time that it is healed");
        }
        write!(
            f,
            "is changed again by {} each time that it is healed: {}",
            if self.managers.is_empty() {
                "somebody whom the API server doesn't name".to_owned()
            } else {
                self.managers()
            },
            join(&self.fields)
        )
    }
}

fn join(texts: &BTreeSet<String>) -> String {
    texts.iter().cloned().collect::<Vec<_>>().join(", ")
}

fn remember(known: &mut BTreeSet<String>, new: &[String]) {
    for text in new {
        if known.len() < MAX_NAMED {
            known.insert(text.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new("apps", "Deployment", "shop", "web")
    }

    fn by(paces: &mut Paces, manager: &str, now_ms: u64) -> Change {
        let fields = ["spec.replicas".to_owned()];
        paces.changed(&key(), &[manager.to_owned()], &fields, now_ms)
    }

    #[test]
    fn the_first_heals_are_immediate_and_each_later_one_waits_twice_as_long() {
        let mut paces = Paces::default();
        for now in [10, 20] {
            assert_eq!(paces.next_ms(&key()), 0);
            paces.healed(&key(), now);
        }
        assert_eq!(paces.next_ms(&key()), 0);
        paces.healed(&key(), 30);
        assert_eq!(paces.next_ms(&key()), 1_030);
        paces.healed(&key(), 1_030);
        assert_eq!(paces.next_ms(&key()), 3_030);
        let other = Key::new("", "Service", "shop", "web");
        assert_eq!(paces.next_ms(&other), 0);
    }

    #[test]
    fn whoever_changes_it_again_after_each_heal_is_named_once_as_a_rival() {
        let mut paces = Paces::default();
        let mut began = Vec::new();
        for round in 1..=6 {
            began.push(by(&mut paces, "scaler", round * 100));
            paces.healed(&key(), round * 100 + 50);
        }
        let fights = began.iter().filter(|change| **change == Change::Fight);
        assert_eq!(fights.count(), 1);
        assert_eq!(began[3], Change::Fight);
        let (of, rival) = paces.fights()[0];
        assert_eq!(*of, key());
        assert_eq!(
            rival.to_string(),
            "is changed again by scaler each time that it is healed: spec.replicas"
        );
    }

    #[test]
    fn an_object_that_only_fails_to_be_healed_is_nobodys_fight() {
        let mut paces = Paces::default();
        for now in 0..20 {
            paces.failed(&key(), now);
            paces.healed(&key(), now);
        }
        assert!(paces.fights().is_empty());
    }

    #[test]
    fn a_rival_that_comes_back_after_the_longest_wait_still_has_to_wait() {
        let mut paces = Paces::default();
        let mut now = 0;
        for _ in 0..30 {
            by(&mut paces, "scaler", now);
            now = now.max(paces.next_ms(&key()));
            paces.healed(&key(), now);
            now += 10;
        }
        assert_eq!(paces.next_ms(&key()), now - 10 + MOST_MS);
        assert_eq!(paces.fights().len(), 1);
    }

    #[test]
    fn a_fight_is_over_when_the_object_stayed_as_it_was_healed_for_five_minutes() {
        let mut paces = Paces::default();
        for round in 1..=5 {
            by(&mut paces, "scaler", round);
            paces.healed(&key(), round);
        }
        let drifted: HashSet<Key> = [key()].into();
        let end = paces.settle(&HashSet::new(), 10).unwrap();
        // While it waits to be healed it isn't quiet, however long that takes.
        assert_eq!(paces.settle(&drifted, end), None);
        assert_eq!(paces.fights().len(), 1);
        assert_eq!(paces.settle(&HashSet::new(), end), None);
        assert!(paces.fights().is_empty());
        assert_eq!(by(&mut paces, "scaler", end), Change::Drift);
        assert_eq!(paces.next_ms(&key()), 0);
    }
}
