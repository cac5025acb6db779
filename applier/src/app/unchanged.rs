//! Which manifests are what was applied last.

use super::decide::Difference;
use crate::object::Manifest;
use crate::plan::{Presence, Presences};
use crate::secrets::Resolved;
use crate::store::{AppliedMap, DigestKey};

/// By manifest, before secrets: what tells whether a release is needed.
pub(super) fn by_manifest(manifests: &[Manifest], applied: &AppliedMap) -> Vec<bool> {
    manifests
        .iter()
        .map(|manifest| {
            applied
                .get(&manifest.key)
                .is_some_and(|applied| applied.manifest == manifest.digest)
        })
        .collect()
}

/// Keyed digest of a manifest with its secrets; none where it has none.
pub(super) fn resolved_digest(
    manifest: &Manifest,
    resolved: &Resolved,
    key: &DigestKey,
) -> Option<Box<str>> {
    if !manifest.has_references() {
        return None;
    }
    manifest
        .content(resolved)
        .ok()
        .map(|body| key.digest(&body))
}

/// By manifest, with secrets: what tells which objects a release applies.
pub(super) fn with_secrets(
    manifests: &[Manifest],
    applied: &AppliedMap,
    resolved: &Resolved,
    key: &DigestKey,
) -> Vec<bool> {
    manifests
        .iter()
        .map(|manifest| {
            applied.get(&manifest.key).is_some_and(|applied| {
                applied.manifest == manifest.digest
                    && applied.resolved == resolved_digest(manifest, resolved, key)
            })
        })
        .collect()
}

/// What differs between the manifests and what is live. `may_prune`: whether objects that left would be deleted.
pub(super) fn difference(
    manifests: &[Manifest],
    unchanged: &[bool],
    live: &Presences,
    leaving: usize,
    applied: &AppliedMap,
) -> Difference {
    let mut difference = Difference {
        leaving: leaving > 0,
        ..Difference::default()
    };
    for (manifest, unchanged) in manifests
        .iter()
        .zip(unchanged)
        .filter(|(manifest, _)| manifest.hook.is_none())
    {
        match live.get(&manifest.key) {
            Some(Presence::Others(_)) => {}
            Some(Presence::Present(facts))
                if !facts.proven && !applied.contains_key(&manifest.key) =>
            {
                difference.changed = true;
            }
            _ if !unchanged => difference.changed = true,
            Some(Presence::Present(facts)) => {
                difference.drifted |= facts.drifted && !facts.deleting;
            }
            Some(Presence::Absent) | None => difference.drifted = true,
        }
    }
    difference
}
