//! Which packs hold which trees of a repository: what a snapshot message names, and what the next pack builds upon. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bus::Digest;
use git2::Oid;

/// Trees whose packs are remembered; older ones are packed anew when they come back.
const REMEMBERED: usize = 64;

/// The packs that a tree needs.
pub type Packs = Arc<[Digest]>;

/// The snapshots of one repository.
#[derive(Debug, Default)]
pub struct Snapshots {
    packs: BTreeMap<Oid, Packs>,
    order: VecDeque<Oid>,
    /// The last tree of each target revision, which a new one most likely resembles.
    last: BTreeMap<Arc<str>, Oid>,
}

impl Snapshots {
    pub fn get(&self, tree: Oid) -> Option<Packs> {
        self.packs.get(&tree).cloned()
    }

    /// What to build the next pack for this target revision upon; nothing when a full one is due after `every` packs.
    pub fn base(&self, target: &str, every: usize) -> Option<(Oid, Packs)> {
        let tree = self.last.get(target).or(self.order.back())?;
        let packs = self.packs.get(tree)?;
        (packs.len() < every).then(|| (*tree, Arc::clone(packs)))
    }

    pub fn remember(&mut self, target: &Arc<str>, tree: Oid, packs: Packs) {
        self.last.insert(Arc::clone(target), tree);
        if self.packs.insert(tree, packs).is_none() {
            self.order.push_back(tree);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.packs.remove(&oldest);
            }
        }
    }

    /// The packs may be gone from the object store: the next snapshot is full.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The packs after a new one was made upon a base.
pub fn after(base: Option<Packs>, pack: Option<(Digest, bool)>) -> Packs {
    match (base, pack) {
        (Some(base), None) => base,
        (Some(base), Some((digest, false))) => base.iter().cloned().chain([digest]).collect(),
        (_, Some((digest, _))) => Arc::from([digest]),
        (None, None) => Arc::from([]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(number: usize) -> Oid {
        Oid::from_str(&format!("{number:040x}")).unwrap()
    }

    fn digests(count: usize) -> Packs {
        (0..count)
            .map(|number| Digest::of(&[u8::try_from(number).unwrap()]))
            .collect()
    }

    #[test]
    fn a_new_pack_builds_upon_the_last_of_its_own_branch() {
        let mut snapshots = Snapshots::default();
        let (main, dev): (Arc<str>, Arc<str>) = ("main".into(), "dev".into());
        snapshots.remember(&main, oid(1), digests(1));
        snapshots.remember(&dev, oid(2), digests(2));
        assert_eq!(snapshots.base("main", 50).unwrap().0, oid(1));
        assert_eq!(snapshots.base("new", 50).unwrap().0, oid(2));
    }

    #[test]
    fn after_so_many_packs_a_full_one_is_due() {
        let mut snapshots = Snapshots::default();
        snapshots.remember(&"main".into(), oid(1), digests(3));
        assert!(snapshots.base("main", 4).is_some());
        assert!(snapshots.base("main", 3).is_none());
    }

    #[test]
    fn a_full_pack_needs_none_before_it() {
        let digest = Digest::of(b"x");
        assert_eq!(
            after(Some(digests(2)), Some((digest.clone(), false))).len(),
            3
        );
        assert_eq!(after(Some(digests(2)), Some((digest, true))).len(), 1);
        assert_eq!(after(Some(digests(2)), None).len(), 2);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut snapshots = Snapshots::default();
        for number in 0..200 {
            snapshots.remember(&"main".into(), oid(number), digests(1));
        }
        assert_eq!(snapshots.packs.len(), REMEMBERED);
        assert!(snapshots.get(oid(0)).is_none());
        assert!(snapshots.get(oid(199)).is_some());
    }
}
