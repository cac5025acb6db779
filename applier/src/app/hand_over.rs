//! Objects that move between applications: what this one wants is told to the others, and what another wants isn't deleted.

use std::collections::HashSet;
use std::time::Instant;

use super::App;
use super::target::Target;
use crate::object::Key;
use crate::plan::Why;
use crate::wanted::{Said, Settled};

impl App {
    /// Says what the application wants: of the newest manifests, and of those that it is held at.
    pub(super) fn tell_wanted(&self) {
        let Some(newest) = self.target.as_ref().or(self.held_target.as_ref()) else {
            return;
        };
        let wants = |target: &Target| -> Vec<Key> {
            // What its project forbids it can't take over. One that isn't known yet forbids nothing for good.
            let known = self
                .ctx
                .projects
                .get(target.present.spec.project())
                .is_some();
            if known && self.blocking(target).next().is_some() {
                return Vec::new();
            }
            let manifests = target.manifests.iter();
            manifests.map(|manifest| manifest.key.clone()).collect()
        };
        let targets = [self.target.as_deref(), self.held_target.as_deref()];
        let keys: HashSet<Key> = targets.into_iter().flatten().flat_map(wants).collect();
        let said = Said {
            generation: newest.generation,
            published: newest.present.trigger.published,
            instance: newest.present.tracking.instance.as_str().into(),
            keys,
        };
        let stirred = (self.ctx.wanted).says(&self.hash, &self.id, said, Instant::now());
        self.ctx.live.stir(&stirred, &self.hash);
    }

    /// Those of the objects that no other application wants.
    pub(super) fn unwanted(&self, keys: &[Key]) -> Vec<Key> {
        let unwanted = |key: &&Key| self.ctx.wanted.other(key, &self.hash).is_none();
        keys.iter().filter(unwanted).cloned().collect()
    }

    /// Whom a deletion waits for, that could want what is to be deleted.
    pub(super) fn unsettled(&mut self, why: Why) -> Option<String> {
        match why {
            Why::Pruned | Why::Deleted => {}
            Why::BeforeHook => return None,
        }
        match self.ctx.wanted.settled(&self.hash, Instant::now()) {
            Settled::Yes => None,
            Settled::No { waits_for, again } => {
                let again = u64::try_from(again.as_millis()).unwrap_or(u64::MAX);
                self.look_again_at(Self::now().saturating_add(again));
                Some(waits_for)
            }
        }
    }
}
