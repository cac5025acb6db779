//! Deleting in reverse: last waves first, and within a wave what needs others before what others need.

use super::step::{Step, Why};
use super::{Facts, Item, Presence, Presences};
use crate::object::{Key, rank};

/// What may be deleted of `leaving`: there, proven ours, and not on its way out already.
pub(crate) fn provable(leaving: &[(Key, Item)], live: &Presences) -> Vec<(Key, i64)> {
    leaving
        .iter()
        .filter(|(key, _)| {
            matches!(
                live.get(key),
                Some(Presence::Present(Facts {
                    proven: true,
                    deleting: false,
                    ..
                }))
            )
        })
        .map(|(key, item)| (key.clone(), item.wave))
        .collect()
}

/// Batches of one kind, by wave from last to first; each wave waits until the one before it is gone. The last one isn't
/// waited for unless `to_the_end`.
pub(crate) fn steps(mut keys: Vec<(Key, i64)>, why: Why, to_the_end: bool) -> Vec<Step> {
    keys.sort_by(|(a, wave_a), (b, wave_b)| {
        wave_b
            .cmp(wave_a)
            .then_with(|| rank(&b.kind).cmp(&rank(&a.kind)))
            .then_with(|| (&a.kind, a).cmp(&(&b.kind, b)))
    });
    let mut steps = Vec::new();
    let mut waves = keys.chunk_by(|(_, a), (_, b)| a == b).peekable();
    while let Some(wave) = waves.next() {
        for batch in wave.chunk_by(|(a, _), (b, _)| a.kind == b.kind && a.group == b.group) {
            steps.push(Step::Delete {
                keys: batch.iter().map(|(key, _)| key.clone()).collect(),
                why,
            });
        }
        if to_the_end || waves.peek().is_some() {
            steps.push(Step::AwaitGone(
                wave.iter().map(|(key, _)| key.clone()).collect(),
            ));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_last_goes_first() {
        let key = |kind: &str| Key::new("", kind, "n", "a");
        let keys = vec![
            (key("Namespace"), -1),
            (key("ConfigMap"), 0),
            (key("Deployment"), 0),
            (key("Job"), 5),
        ];
        let order: Vec<String> = steps(keys, Why::Deleted, false)
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
                "Namespace"
            ]
        );
    }
}
