//! What is kept under a name for the next time, within bounds: what was used longest ago goes first.

use std::collections::HashMap;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

pub(crate) struct Kept<T> {
    bounds: Bounds,
    entries: HashMap<String, Entry<T>>,
    /// Counts uses.
    now: u64,
}

struct Entry<T> {
    value: T,
    bytes: u64,
    used: u64,
}

impl<T: Clone + Default> Kept<T> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: HashMap::new(),
            now: 0,
        }
    }

    /// What has this name, made if there is none.
    pub(crate) fn get(&mut self, name: String) -> T {
        self.now += 1;
        let entry = self.entries.entry(name).or_insert_with(|| Entry {
            value: T::default(),
            bytes: 0,
            used: 0,
        });
        entry.used = self.now;
        entry.value.clone()
    }

    /// Says how large something has become, and forgets others until the rest is within bounds. Whoever has one still has it.
    pub(crate) fn weigh(&mut self, name: &str, bytes: u64) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.bytes = bytes;
        }
        while self.is_too_much() {
            let others = self.entries.iter().filter(|(other, _)| *other != name);
            let oldest = others.min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                return;
            };
            self.entries.remove(&oldest);
        }
    }

    fn is_too_much(&self) -> bool {
        let bytes: u64 = self.entries.values().map(|entry| entry.bytes).sum();
        self.entries.len() > self.bounds.count || bytes > self.bounds.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    type Counted = Kept<Arc<()>>;

    fn mk_kept(count: usize, bytes: u64) -> Counted {
        Kept::new(Bounds { count, bytes })
    }

    fn weigh(kept: &mut Counted, name: &str, bytes: u64) -> Arc<()> {
        let value = kept.get(name.to_owned());
        kept.weigh(name, bytes);
        value
    }

    fn has(kept: &Counted, name: &str) -> bool {
        kept.entries.contains_key(name)
    }

    #[test]
    fn the_same_name_gives_the_same() {
        let mut kept = mk_kept(2, 100);
        let first = weigh(&mut kept, "a", 1);
        assert!(Arc::ptr_eq(&first, &weigh(&mut kept, "a", 1)));
    }

    #[test]
    fn over_the_count_what_was_used_longest_ago_goes() {
        let mut kept = mk_kept(2, 100);
        weigh(&mut kept, "a", 1);
        weigh(&mut kept, "b", 1);
        weigh(&mut kept, "a", 1);
        weigh(&mut kept, "c", 1);
        assert!(has(&kept, "a") && !has(&kept, "b") && has(&kept, "c"));
    }

    #[test]
    fn over_the_bytes_all_go_that_must_but_not_the_one_in_hand() {
        let mut kept = mk_kept(10, 100);
        for name in ["a", "b", "c"] {
            weigh(&mut kept, name, 30);
        }
        weigh(&mut kept, "d", 60);
        assert!(!has(&kept, "a") && !has(&kept, "b") && has(&kept, "c"));
        weigh(&mut kept, "e", 1000);
        assert_eq!(kept.entries.len(), 1);
        assert!(has(&kept, "e"));
    }
}
