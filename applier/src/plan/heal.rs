//! Self-heal: the objects that are no longer as they were applied, and those only.

use super::step::{Batch, Step};
use super::{Presence, Presences};
use crate::object::{Manifest, Phase, rank};

/// Indexes of the manifests whose object drifted or is gone.
pub(crate) fn drifted(manifests: &[Manifest], live: &Presences) -> Batch {
    let mut batch: Batch = manifests
        .iter()
        .enumerate()
        .filter(|(_, manifest)| manifest.hook.is_none())
        .filter(|(_, manifest)| match live.get(&manifest.key) {
            Some(Presence::Absent) => true,
            Some(Presence::Present(facts)) => facts.drifted && !facts.deleting,
            Some(Presence::Others(_)) | None => false,
        })
        .map(|(at, _)| at)
        .collect();
    batch.sort_by_key(|&at| {
        (
            manifests[at].wave,
            rank(&manifests[at].key.kind),
            manifests[at].key.clone(),
        )
    });
    batch
}

/// One kind after another; nothing is waited for, since nothing new is rolled out.
pub(crate) fn heal(manifests: &[Manifest], batch: &[usize]) -> Vec<Step> {
    batch
        .chunk_by(|&a, &b| {
            let (a, b) = (&manifests[a], &manifests[b]);
            a.wave == b.wave && a.key.kind == b.key.kind && a.key.group == b.key.group
        })
        .map(|chunk| Step::Apply {
            phase: Phase::Sync,
            batch: chunk.to_vec(),
        })
        .collect()
}
