//! Which workloads restart, since a Secret that their pods use has other values than when these began.

use std::collections::BTreeMap;

use crate::object::{Key, Manifest, secrets_of};

/// A workload that is to restart when the secrets of its wave are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    /// Index of the manifest.
    pub(crate) at: usize,
    /// Its own, or that of the last of its Secrets.
    pub(crate) wave: i64,
}

/// By Secret: a keyed digest of its values.
pub(crate) type Contents = BTreeMap<Key, Box<str>>;

/// For each workload that wants it (`wants`) and uses some of `contents`: what these hold, as one text.
pub(crate) fn uses(
    manifests: &[Manifest],
    contents: &Contents,
    wants: impl Fn(&Manifest) -> bool,
) -> BTreeMap<Key, String> {
    manifests
        .iter()
        .filter(|manifest| manifest.hook.is_none() && wants(manifest))
        .filter_map(|manifest| {
            let held: Vec<String> = secrets(manifest)
                .filter_map(|secret| Some(format!("{}={}", secret.name, contents.get(&secret)?)))
                .collect();
            (!held.is_empty()).then(|| (manifest.key.clone(), held.join("\n")))
        })
        .collect()
}

/// The Secrets that a workload uses.
pub(crate) fn secrets(workload: &Manifest) -> impl Iterator<Item = Key> {
    secrets_of(workload)
        .into_iter()
        .map(|name| Key::new("", "Secret", &workload.key.namespace, &name))
}

/// Those of `due`, each in the wave in which its Secrets are new at the latest.
pub(crate) fn restarts<'a>(
    manifests: &[Manifest],
    due: impl IntoIterator<Item = &'a Key>,
) -> Vec<Restart> {
    let waves: BTreeMap<&Key, i64> = manifests
        .iter()
        .map(|manifest| (&manifest.key, manifest.wave))
        .collect();
    due.into_iter()
        .filter_map(|key| {
            let at = manifests.iter().position(|manifest| manifest.key == *key)?;
            let workload = &manifests[at];
            let wave = secrets(workload)
                .filter_map(|secret| waves.get(&secret).copied())
                .fold(workload.wave, i64::max);
            Some(Restart { at, wave })
        })
        .collect()
}
