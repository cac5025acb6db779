//! What holds for every plan.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::simulate::{Done, Object, World, manifests};
use super::{Step, Why};
use crate::object::{Key, Manifest, Phase};

fn rank(manifest: &Manifest) -> (Phase, i64) {
    (
        manifest
            .hook
            .as_ref()
            .map_or(Phase::Sync, |hook| hook.phases[0]),
        manifest.wave,
    )
}

/// Objects as they are, whatever was done to get there.
fn essence(world: &World) -> (Vec<(Key, Box<str>)>, BTreeSet<Key>) {
    let objects = world
        .objects
        .iter()
        .map(|(key, object)| (key.clone(), object.digest.clone()))
        .collect();
    (objects, world.inventory.keys().cloned().collect())
}

proptest! {
    #[test]
    fn nothing_is_deleted_that_the_inventory_does_not_hold(
        first in manifests(), second in manifests(), strangers in manifests(),
    ) {
        let mut world = World::default();
        world.release(&first, "1.0");
        let inventory: BTreeSet<Key> = world.inventory.keys().cloned().collect();
        for stranger in &strangers {
            let foreign = Object { digest: "s".into(), proven: true, attempt: None, healthy: true };
            world.objects.entry(stranger.key.clone()).or_insert(foreign);
        }
        for step in world.plan(&second, "2.0").steps {
            if let Step::Delete { keys, why: Why::Pruned } = step {
                for key in keys {
                    prop_assert!(inventory.contains(&key), "{key} was never ours");
                    prop_assert!(second.iter().all(|manifest| manifest.key != key), "{key} is wanted");
                }
            }
        }
    }

    #[test]
    fn what_is_not_proven_ours_is_never_deleted(first in manifests(), second in manifests()) {
        let mut world = World::default();
        world.release(&first, "1.0");
        for object in world.objects.values_mut() {
            object.proven = false;
        }
        let deletes = world.plan(&second, "2.0").steps.into_iter().any(|step| matches!(step, Step::Delete { .. }));
        prop_assert!(!deletes);
    }

    #[test]
    fn no_wave_begins_before_the_one_before_it_is_healthy(manifests in manifests()) {
        let mut world = World::default();
        world.release(&manifests, "1.0");
        for done in &world.log {
            let Done::Applied { key, healthy_before } = done else { continue };
            let own = manifests.iter().find(|manifest| manifest.key == *key).map(rank);
            for earlier in manifests.iter().filter(|manifest| Some(rank(manifest)) < own) {
                prop_assert!(healthy_before.contains(&earlier.key), "{key} came before {} was healthy", earlier.key);
            }
        }
    }

    #[test]
    fn a_release_cut_off_anywhere_and_planned_again_ends_the_same(
        first in manifests(), second in manifests(), cut in 0..40_usize, forgets in any::<bool>(),
    ) {
        let mut whole = World::default();
        whole.release(&first, "1.0");
        let mut cut_off = whole.clone();
        whole.release(&second, "2.0");

        let before = cut_off.applied.clone();
        let plan = cut_off.plan(&second, "2.0");
        cut_off.grow(&second);
        for step in plan.steps.iter().take(cut) {
            cut_off.carry_out(&second, step, "2.0");
        }
        if forgets {
            // What was applied is written with the outcome, which never came.
            cut_off.applied = before;
        }
        cut_off.release(&second, "2.0");
        prop_assert_eq!(essence(&whole), essence(&cut_off));
    }

    #[test]
    fn no_hook_runs_twice_in_one_attempt(manifests in manifests(), cut in 0..40_usize) {
        let mut world = World::default();
        let plan = world.plan(&manifests, "1.0");
        world.grow(&manifests);
        for step in plan.steps.iter().take(cut) {
            world.carry_out(&manifests, step, "1.0");
        }
        world.release(&manifests, "1.0");
        for hook in manifests.iter().filter(|manifest| manifest.hook.is_some()) {
            let runs = world.log.iter().filter(|done| matches!(done, Done::Applied { key, .. } if *key == hook.key)).count();
            prop_assert_eq!(runs, 1, "{}", hook.key);
        }
    }

    #[test]
    fn a_release_of_what_is_live_applies_nothing_but_hooks(manifests in manifests()) {
        let mut world = World::default();
        world.release(&manifests, "1.0");
        for step in world.plan(&manifests, "2.0").steps {
            if let Step::Apply { batch, .. } = step {
                prop_assert!(batch.iter().all(|&at| manifests[at].hook.is_some()));
            }
        }
    }
}
