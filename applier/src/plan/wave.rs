//! One wave: one kind after another, each hook's remains deleted first.

use super::step::{Batch, Step, Why};
use super::{Presences, hooks};
use crate::object::{Key, Manifest, Phase, rank};

/// Orders the manifests of a wave by kind, then by name.
pub(super) fn sort(manifests: &[Manifest], batch: &mut Batch) {
    batch.sort_by(|&a, &b| {
        let (a, b) = (&manifests[a].key, &manifests[b].key);
        (rank(&a.kind), &a.kind, a).cmp(&(rank(&b.kind), &b.kind, b))
    });
}

/// The applies of those that are `due`; `batch` is in order.
pub(super) fn applies(
    manifests: &[Manifest],
    live: &Presences,
    attempt: &str,
    phase: Phase,
    batch: &[usize],
    due: impl Fn(usize) -> bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let remains: Vec<Key> = batch
        .iter()
        .map(|&at| &manifests[at])
        .filter(|manifest| hooks::leaves_remains(manifest, live, attempt, phase))
        .map(|manifest| manifest.key.clone())
        .collect();
    if !remains.is_empty() {
        steps.push(Step::Delete {
            keys: remains.clone(),
            why: Why::BeforeHook,
        });
        steps.push(Step::AwaitGone(remains));
    }
    let same_kind = |&a: &usize, &b: &usize| {
        let (a, b) = (&manifests[a].key, &manifests[b].key);
        a.kind == b.kind && a.group == b.group
    };
    for kind in batch.chunk_by(same_kind) {
        let batch: Batch = kind.iter().copied().filter(|&at| due(at)).collect();
        if !batch.is_empty() {
            steps.push(Step::Apply { phase, batch });
        }
    }
    steps
}
