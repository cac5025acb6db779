//! Which fields of the application's objects don't count, told to the live cache before it is asked.

use std::sync::Arc;

use api::application::spec::ResourceIgnoreDifferences;

use super::App;
use super::target::Target;
use crate::drift::{Ignores, Mask};
use crate::settings::Settings;

/// What was last told, and from what it was made.
#[derive(Default)]
pub(super) struct Known {
    of: Option<(Arc<Target>, Arc<Settings>)>,
    /// Entries of `spec.ignoreDifferences` that can't be used.
    pub(super) problems: Vec<String>,
}

impl App {
    /// Rules of the target and of argocd-cm, for each object of the target.
    pub(super) fn mask(&mut self, target: &Arc<Target>) {
        let settings = self.ctx.settings.get();
        let known = &self.ignores.of;
        if known
            .as_ref()
            .is_some_and(|(of, with)| Arc::ptr_eq(of, target) && Arc::ptr_eq(with, &settings))
        {
            return;
        }
        let (ignores, problems) = Ignores::of(rules(target), &settings.ignores);
        // Most objects have the same rules about them, or none.
        let mut shared: Vec<Arc<Mask>> = Vec::new();
        for manifest in &target.manifests {
            let mask = ignores.mask(&manifest.key);
            let known = shared.iter().rev().take(8).find(|known| ***known == mask);
            let mask = known.cloned().unwrap_or_else(|| Arc::new(mask));
            if !shared.iter().any(|known| Arc::ptr_eq(known, &mask)) {
                shared.push(mask.clone());
            }
            if self.ctx.live.mask(&manifest.key) != mask {
                self.ctx.live.set_mask(&manifest.key, &mask);
                self.paces.forget(&manifest.key);
            }
        }
        self.ignores = Known {
            of: Some((target.clone(), settings)),
            problems,
        };
    }
}

pub(super) fn rules(target: &Target) -> &[ResourceIgnoreDifferences] {
    let said = target.present.spec.ignore_differences.as_ref();
    said.map_or(&[], Vec::as_slice)
}
