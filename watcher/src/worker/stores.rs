//! The copies of all repositories: a worker fetches into its own and reads the others', since an application may have several.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::store::{Store, StoreLimits};
use crate::index::Index;
use crate::slot::RepoKey;

pub struct Stores {
    index: Arc<Index>,
    limits: StoreLimits,
    each: Mutex<HashMap<RepoKey, Arc<Store>>>,
}

impl Stores {
    pub fn new(index: Arc<Index>, limits: StoreLimits) -> Self {
        Self {
            index,
            limits,
            each: Mutex::default(),
        }
    }

    /// The one of a repository: the same for whoever asks.
    pub fn of(&self, key: &RepoKey) -> Arc<Store> {
        let mut each = self.each();
        let store = each.entry(key.clone()).or_insert_with(|| {
            let folder = self.index.fixed().cache.join(key.folder());
            Arc::new(Store::new(
                folder,
                self.index.adopted(key),
                self.limits,
                Arc::<Index>::clone(&self.index),
            ))
        });
        Arc::clone(store)
    }

    /// Forgets one that nobody else holds.
    pub fn release(&self, key: &RepoKey, store: Arc<Store>) {
        let mut each = self.each();
        drop(store);
        if each
            .get(key)
            .is_some_and(|store| Arc::strong_count(store) == 1)
        {
            each.remove(key);
        }
    }

    fn each(&self) -> MutexGuard<'_, HashMap<RepoKey, Arc<Store>>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
