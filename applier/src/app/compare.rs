//! First contact without leave to apply (manual sync, `--observe`): what the server's dry run says, once per object and version.

use bus::message::condition::ConditionType;

use super::App;
use super::target::Target;
use crate::execute::compare;
use crate::live::Look;
use crate::plan::{Presence, Presences};

impl App {
    pub(super) async fn compare(&mut self, target: &Target, live: &Presences) {
        let applies =
            !self.ctx.observe && (target.present.spec.automated() || self.held_at().is_some());
        if applies || self.running.is_some() || self.blocking(target).next().is_some() {
            return;
        }
        for manifest in target
            .manifests
            .iter()
            .filter(|manifest| manifest.hook.is_none())
        {
            let same = self
                .applied
                .get(&manifest.key)
                .is_some_and(|applied| applied.manifest == manifest.digest);
            let present = matches!(live.get(&manifest.key), Some(Presence::Present(_)));
            let Look::Present(entry) = self.ctx.live.look(&manifest.key) else {
                continue;
            };
            let known = self
                .compared
                .get(&manifest.key)
                .is_some_and(|(digest, version, _)| {
                    *digest == manifest.digest && *version == entry.resource_version
                });
            if same || !present || known {
                continue;
            }
            match compare::differs(&self.ctx, manifest).await {
                Ok(differs) => {
                    let seen = (manifest.digest.clone(), entry.resource_version, differs);
                    self.compared.insert(manifest.key.clone(), seen);
                }
                Err(error) => {
                    let message = format!(
                        "comparing {}: {}",
                        manifest.key,
                        error.describe(manifest.is_sensitive())
                    );
                    self.fault(ConditionType::ComparisonError, &message);
                }
            }
        }
    }
}
