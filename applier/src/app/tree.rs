//! The application's own objects that are there, told to whoever asks for what they own.

use super::App;
use crate::plan::Presence;
use crate::tree::{Root, Rooted};

impl App {
    pub(super) fn roots(&self) -> Rooted {
        let Some((target, live)) = self.shown.looked() else {
            return Err("the application's objects are not known yet".to_owned());
        };
        let mut keys: Vec<_> = target.manifests.iter().map(|one| &one.key).collect();
        let inventory = self
            .record
            .iter()
            .flat_map(|record| record.inventory.keys());
        let left: Vec<_> = inventory.filter(|key| !keys.contains(key)).collect();
        keys.extend(left);
        let roots = keys.into_iter().filter_map(|key| match live.get(key) {
            Some(Presence::Present(facts)) => Some(Root {
                key: key.clone(),
                uid: facts.uid.clone(),
                health: facts.health.clone(),
                words: facts.words,
            }),
            Some(Presence::Others(_) | Presence::Absent) | None => None,
        });
        Ok(roots.collect())
    }
}
