//! What a release of the application would be compared with, told to whoever asks. Nothing is asked of the cluster here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bus::Digest;

use super::App;
use super::ignore::rules;
use super::target::Target;
use crate::diff::{Comparison, Masking, Prepared, Rules};
use crate::drift::Ignores;
use crate::live::{Chain, Claim, Look, Owner};
use crate::object::{Key, Manifest};
use crate::secrets::places;
use crate::settings::Settings;

impl App {
    /// With the newest desired state, or with `manifests` under its settings. Objects that are as they were applied are left out.
    pub(super) fn prepare_diff(&self, manifests: Option<Arc<[u8]>>) -> Prepared {
        let (newest, target) = self.to_be_compared(manifests)?;
        let forbidden = self.forbidden(&target);
        let blocking = target.findings.iter().chain(&forbidden);
        let blocking: Vec<&str> = blocking
            .filter(|finding| finding.blocks)
            .take(10)
            .map(|finding| finding.message.as_str())
            .collect();
        if !blocking.is_empty() {
            return Err(blocking.join("; "));
        }
        let settings = self.ctx.settings.get();
        let (ignores, _) = Ignores::of(rules(&target), &settings.ignores);
        // By object, all manifests of it that are known.
        let mut known: HashMap<&Key, Vec<&Manifest>> = HashMap::new();
        let targets = [&self.target, &self.held_target].into_iter().flatten();
        for manifest in targets
            .chain([&target])
            .flat_map(|target| &target.manifests)
        {
            known.entry(&manifest.key).or_default().push(manifest);
        }
        let rules = |key: &Key| Rules {
            mask: ignores.mask(key),
            masking: self.masking(key, known.get(key).map_or(&[], Vec::as_slice), &settings),
        };
        let members = target.manifests.iter().enumerate();
        let wanted = members
            .filter(|(_, manifest)| manifest.hook.is_none() && !self.is_as_applied(manifest))
            .map(|(at, manifest)| (at, rules(&manifest.key)))
            .collect();
        let leaving = self.leaving_objects(&target);
        let leaving = leaving
            .into_iter()
            .map(|(key, version)| {
                let rules = rules(&key);
                (key, version, rules)
            })
            .collect();
        Ok(Box::new(Comparison {
            app: self.id.clone(),
            asking_as: self.asking_as(&newest),
            writer: self.writer(&target.present)?,
            target,
            wanted,
            leaving,
        }))
    }

    /// The newest target, and `manifests` under its settings: itself without them.
    pub(super) fn to_be_compared(
        &self,
        manifests: Option<Arc<[u8]>>,
    ) -> Result<(Arc<Target>, Arc<Target>), String> {
        let newest = self
            .target
            .as_ref()
            .ok_or("nothing was rendered for this application yet")?;
        let target = match manifests {
            None => newest.clone(),
            Some(payload) => {
                let digest = Digest::of(&payload);
                let target = self.target(&newest.present, newest.generation, digest, payload);
                Arc::new(target.map_err(|error| Chain(&error).to_string())?)
            }
        };
        Ok((newest.clone(), target))
    }

    /// Whether it is what was applied last, secrets of then included, and nobody changed it since.
    fn is_as_applied(&self, manifest: &Manifest) -> bool {
        let same = self
            .applied
            .get(&manifest.key)
            .is_some_and(|applied| applied.manifest == manifest.digest);
        // Without a reference nobody would know.
        let known = self
            .applied
            .get(&manifest.key)
            .is_some_and(|applied| !applied.reference.is_empty() && applied.resolved.is_none());
        let Look::Present(entry) = self.ctx.live.look(&manifest.key) else {
            return false;
        };
        same && known && entry.drift.is_none() && entry.hash.as_deref() == Some(&*self.hash)
    }

    /// Ours in the inventory and in the cluster, and not in the target.
    fn leaving_objects(&self, target: &Target) -> Vec<(Key, Box<str>)> {
        let owner = Owner {
            hash: &self.hash,
            tracking: &target.present.tracking,
        };
        let stay: HashSet<&Key> = target.manifests.iter().map(|one| &one.key).collect();
        let inventory = self.record.iter().flat_map(|record| &record.inventory);
        let is_ours = |key: &Key| match self.ctx.live.look(key) {
            Look::Present(entry) => owner.claim(key, &entry) == Claim::Ours,
            Look::Unknown | Look::Absent => false,
        };
        inventory
            .filter(|(key, item)| !item.hook && !stay.contains(key) && is_ours(key))
            .map(|(key, item)| (key.clone(), item.version.clone()))
            .collect()
    }

    /// Where the object has secrets, now or after a release: by all manifests of it that are known. Where the one that was applied
    /// last had some and isn't among them, everywhere.
    fn masking(&self, key: &Key, known: &[&Manifest], settings: &Settings) -> Masking {
        let mut masking = Masking::of_kind(key, &settings.masked_annotations());
        let applied = self.applied.get(key);
        let is_known = applied.is_none_or(|applied| {
            let is_applied = |known: &&Manifest| known.digest == applied.manifest;
            applied.resolved.is_none() || known.iter().any(is_applied)
        });
        if !is_known {
            return Masking::Everything;
        }
        for known in known.iter().filter(|known| known.has_references()) {
            masking.add(places::of(&known.body.value()));
        }
        masking
    }
}
