//! What holds for every plan.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::hooks::AttemptEnd;
use super::simulate::{Done, Object, World, manifests};
use super::{Step, Why};
use crate::object::{Key, Manifest, Phase, Say};

/// When a manifest's turn is in a release that doesn't fail: each of its phases, with its wave.
fn turns(manifest: &Manifest) -> Vec<(Phase, i64)> {
    let phases = match &manifest.hook {
        None => vec![Phase::Sync],
        Some(hook) => hook.phases.clone(),
    };
    phases
        .into_iter()
        .filter(|phase| *phase != Phase::SyncFail)
        .map(|phase| (phase, manifest.wave))
        .collect()
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

/// How often a hook was made in a phase.
fn runs(world: &World, hook: &Key, of: Phase) -> usize {
    let is = |done: &&Done| matches!(done, Done::Applied { key, phase, .. } if key == hook && *phase == of);
    world.log.iter().filter(is).count()
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
            let foreign = Object { digest: "s".into(), proven: true, mark: None, healthy: true, deleting: false };
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
        let strangers: BTreeSet<Key> = world.objects.keys().cloned().collect();
        world.log.clear();
        world.release(&second, "2.0");
        let wanted: BTreeSet<&Key> = second.iter().map(|manifest| &manifest.key).collect();
        for stranger in strangers.iter().filter(|key| !wanted.contains(key)) {
            prop_assert!(world.objects.contains_key(stranger), "{stranger} is gone");
        }
    }

    #[test]
    fn no_wave_begins_before_the_one_before_it_is_healthy(manifests in manifests()) {
        let mut world = World::default();
        world.release(&manifests, "1.0");
        for done in &world.log {
            let Done::Applied { key, phase, healthy_before } = done else { continue };
            let own = manifests.iter().find(|manifest| manifest.key == *key).map(|manifest| (*phase, manifest.wave));
            // One that runs again later is made anew then.
            let earlier = manifests.iter().filter(|manifest| turns(manifest).last().copied() < own && !turns(manifest).is_empty());
            for earlier in earlier.filter(|manifest| manifest.key != *key) {
                prop_assert!(healthy_before.contains(&earlier.key), "{key} came before {} was healthy", earlier.key);
            }
        }
    }

    #[test]
    fn what_came_last_is_gone_before_what_came_first_goes(first in manifests(), second in manifests(), cut in 0..40_usize) {
        let mut world = World::default();
        world.release(&first, "1.0");
        world.log.clear();
        world.begin(&second, "2.0", cut);
        world.release(&second, "2.0");
        let leaves = |key: &Key| second.iter().all(|manifest| manifest.key != *key);
        let wave = |key: &Key| first.iter().find(|manifest| manifest.key == *key).map(|manifest| manifest.wave);
        for done in &world.log {
            let Done::Deleted { key, there } = done else { continue };
            for other in there.iter().filter(|_| leaves(key)).filter(|other| leaves(other)) {
                let last = |key: &Key| first.iter().any(|manifest| manifest.key == *key && manifest.options.prune_last);
                let kept = world.objects.contains_key(other);
                let in_order = match (last(key), last(other)) {
                    (false, true) => true,
                    (true, false) => false,
                    (true, true) | (false, false) => wave(other) <= wave(key),
                };
                prop_assert!(kept || in_order, "{key} goes while {other} is there");
            }
        }
    }

    #[test]
    fn nothing_that_needs_a_word_goes_without_it(first in manifests(), second in manifests(), cut in 0..40_usize) {
        let mut world = World::default();
        world.release(&first, "1.0");
        world.begin(&second, "2.0", cut);
        world.release(&second, "2.0");
        let wanted: BTreeSet<&Key> = second.iter().map(|manifest| &manifest.key).collect();
        for manifest in first.iter().filter(|manifest| manifest.hook.is_none() && !wanted.contains(&manifest.key)) {
            if matches!(manifest.options.prune, Say::Confirm | Say::No) {
                prop_assert!(world.objects.contains_key(&manifest.key), "{} is gone", manifest.key);
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
        cut_off.begin(&second, "2.0", cut);
        if forgets {
            // What was applied is written with the outcome, which never came.
            cut_off.applied = before;
        }
        cut_off.release(&second, "2.0");
        prop_assert_eq!(essence(&whole), essence(&cut_off));
    }

    #[test]
    fn what_is_newer_wins_over_a_release_left_anywhere(
        first in manifests(), second in manifests(), cut in 0..40_usize,
    ) {
        let mut world = World::default();
        world.begin(&first, "1.0", cut);
        world.finish(&first, "1.0", AttemptEnd::Left);
        world.release(&second, "2.0");
        for manifest in second.iter().filter(|manifest| manifest.hook.is_none()) {
            let live = world.objects.get(&manifest.key).map(|object| &object.digest);
            prop_assert_eq!(live, Some(&manifest.digest), "{}", manifest.key);
        }
        for key in world.objects.keys().filter(|key| second.iter().all(|manifest| manifest.key != **key)) {
            let stays = world.inventory.get(key).is_some_and(|item| item.hook || !matches!(item.options.prune, Say::Nothing | Say::Yes));
            // What may only go after something that stays has to stay, too.
            let held = world.inventory.values().any(|item| item.options.prune == Say::Confirm);
            prop_assert!(stays || held, "{key} is left over");
        }
    }

    #[test]
    fn no_hook_runs_twice_in_one_phase_of_an_attempt(manifests in manifests(), cut in 0..40_usize, again in 0..40_usize) {
        let mut world = World::default();
        world.begin(&manifests, "1.0", cut);
        world.begin(&manifests, "1.0", again);
        world.release(&manifests, "1.0");
        for manifest in &manifests {
            for phase in manifest.hook.iter().flat_map(|hook| &hook.phases) {
                let expected = usize::from(*phase != Phase::SyncFail);
                prop_assert_eq!(runs(&world, &manifest.key, *phase), expected, "{} in {}", manifest.key, phase.as_str());
            }
        }
    }

    #[test]
    fn a_failure_runs_its_hooks_once_wherever_it_is_cut_off(
        manifests in manifests(), at in 0..40_usize, cut in 0..10_usize,
    ) {
        let mut world = World::default();
        world.fail(&manifests, "1.0", at, cut);
        // After a crash the same step fails again.
        world.fail(&manifests, "1.0", at, usize::MAX);
        world.finish(&manifests, "1.0", AttemptEnd::Failed);
        for manifest in &manifests {
            for phase in manifest.hook.iter().flat_map(|hook| &hook.phases) {
                let runs = runs(&world, &manifest.key, *phase);
                if *phase == Phase::SyncFail {
                    prop_assert_eq!(runs, 1, "{}", manifest.key);
                } else {
                    prop_assert!(runs <= 1, "{} ran {runs} times in {}", manifest.key, phase.as_str());
                }
            }
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
