//! Which manifests are what was applied last.

use api::placeholder;
use serde_json::json;

use super::decide::Difference;
use super::rotation;
use crate::execute::Outcome;
use crate::object::Manifest;
use crate::plan::{Presence, Presences};
use crate::secrets::{Given, Resolved, body};
use crate::store::{Applied, AppliedMap, DigestKey};

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

/// Keyed digest of the values of a Secret that has some of a store. Its other metadata don't reach pods.
pub(super) fn contents_digest(
    manifest: &Manifest,
    resolved: &Resolved,
    key: &DigestKey,
) -> Option<Box<str>> {
    if !manifest.has_references() || !manifest.key.is_secret() {
        return None;
    }
    let whole = manifest.body.value();
    let mut body = json!({"apiVersion": whole["apiVersion"], "kind": whole["kind"]});
    for field in ["data", "stringData"] {
        if let Some(values) = whole.get(field) {
            body[field] = values.clone();
        }
    }
    // They say what the placeholders mean.
    let annotations = whole["metadata"]["annotations"].as_object();
    for (name, text) in annotations.into_iter().flatten() {
        if name.starts_with(placeholder::PREFIX) {
            body["metadata"]["annotations"][name] = text.clone();
        }
    }
    body::render(&body, manifest.filled.as_deref(), resolved)
        .ok()
        .map(|body| key.digest(&body))
}

/// What is remembered of an object that was just applied.
pub(super) fn made(
    manifest: &Manifest,
    given: &Given,
    key: &DigestKey,
    before: Option<&Applied>,
    outcome: Outcome,
) -> Applied {
    Applied {
        manifest: manifest.digest.clone(),
        resolved: resolved_digest(manifest, &given.values, key),
        versions: rotation::used(manifest, &given.versions),
        contents: contents_digest(manifest, &given.values, key),
        began_with: before.and_then(|before| before.began_with.clone()),
        reference: outcome.reference,
        client_side: outcome.client_side,
    }
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
