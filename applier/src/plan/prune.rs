//! Deleting in reverse: last waves first, and within a wave what needs others before what others need.

use std::collections::BTreeMap;

use super::step::{Step, Why};
use crate::object::{Key, rank};

/// An object that is to go. One that is on its way out already is only waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Going {
    pub(crate) key: Key,
    pub(crate) wave: i64,
    pub(crate) deleting: bool,
}

/// By wave from last to first; each waits until the one before it is gone.
pub(super) fn steps(mut objects: Vec<Going>, why: Why) -> Vec<Step> {
    objects.sort_by_key(|object| std::cmp::Reverse(object.wave));
    let mut steps = Vec::new();
    for wave in objects.chunk_by(|a, b| a.wave == b.wave) {
        steps.extend(deletes(wave, why));
        steps.push(gone(wave));
    }
    steps
}

/// One wave: a batch for each kind, what needs others before what others need.
pub(super) fn deletes(objects: &[Going], why: Why) -> Vec<Step> {
    let mut keys: Vec<&Key> = objects
        .iter()
        .filter(|object| !object.deleting)
        .map(|object| &object.key)
        .collect();
    keys.sort_by(|a, b| {
        let order = rank(&b.kind).cmp(&rank(&a.kind));
        order.then_with(|| (&a.kind, a).cmp(&(&b.kind, b)))
    });
    keys.chunk_by(|a, b| a.kind == b.kind && a.group == b.group)
        .map(|batch| Step::Delete {
            keys: batch.iter().copied().cloned().collect(),
            why,
        })
        .collect()
}

pub(super) fn gone(objects: &[Going]) -> Step {
    Step::AwaitGone(objects.iter().map(|object| object.key.clone()).collect())
}

/// Beside which wave of a release each object goes, as in Argo CD: the waves of all that leaves change places, the last with the
/// first, so that what came last goes first.
pub(super) fn beside_waves(objects: Vec<Going>) -> BTreeMap<i64, Vec<Going>> {
    let mut waves: BTreeMap<i64, Vec<Going>> = BTreeMap::new();
    for object in objects {
        waves.entry(object.wave).or_default().push(object);
    }
    let numbers: Vec<i64> = waves.keys().rev().copied().collect();
    numbers.into_iter().zip(waves.into_values()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn going(kind: &str, wave: i64) -> Going {
        Going {
            key: Key::new("", kind, "n", "a"),
            wave,
            deleting: false,
        }
    }

    #[test]
    fn what_came_last_goes_first() {
        let objects = vec![
            going("Namespace", -1),
            going("ConfigMap", 0),
            going("Deployment", 0),
            going("Job", 5),
        ];
        let order: Vec<String> = steps(objects, Why::Deleted)
            .iter()
            .map(|step| match step {
                Step::Delete { keys, .. } => keys[0].kind.to_string(),
                Step::AwaitGone(_) => "wait".to_owned(),
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(
            order,
            [
                "Job",
                "wait",
                "Deployment",
                "ConfigMap",
                "wait",
                "Namespace",
                "wait"
            ]
        );
    }

    #[test]
    fn what_is_on_its_way_out_is_waited_for_and_not_deleted_again() {
        let leaves = Going {
            deleting: true,
            ..going("Job", 5)
        };
        let steps = steps(vec![leaves, going("ConfigMap", 0)], Why::Pruned);
        assert!(matches!(&steps[0], Step::AwaitGone(keys) if &*keys[0].kind == "Job"));
        assert!(matches!(&steps[1], Step::Delete { keys, .. } if &*keys[0].kind == "ConfigMap"));
    }

    #[test]
    fn the_waves_of_what_leaves_change_places() {
        let order = beside_waves(vec![going("a", 0), going("b", 7), going("c", 3)]);
        let order: Vec<(i64, &str)> = order
            .iter()
            .map(|(wave, objects)| (*wave, &*objects[0].key.kind))
            .collect();
        assert_eq!(order, [(0, "b"), (3, "c"), (7, "a")]);
    }
}
